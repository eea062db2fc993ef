"""
Opens connections, says nothing on them, and opens each again that is closed, 200 a second.

Faster, it would be the processor that is taken from others, and any program can do that.

Arguments: host, port, how many, seconds.
"""

import contextlib
import selectors
import socket
import sys
import time

host, port, count, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
lines, opened, end = selectors.DefaultSelector(), 0, time.monotonic() + seconds
while time.monotonic() < end:
    with contextlib.suppress(OSError):
        for _ in range(min(10, count - len(lines.get_map()))):
            line = socket.create_connection((host, port), timeout=0.2)
            line.settimeout(0)
            lines.register(line, selectors.EVENT_READ, line)
            opened += 1
    time.sleep(0.05)
    for key, _ in lines.select(0):
        try:
            said = key.data.recv(4096)
        except OSError:
            said = b""
        if not said:
            lines.unregister(key.data)
            key.data.close()
print("opened", opened)

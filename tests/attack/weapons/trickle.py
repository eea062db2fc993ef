"""
Asks for /metrics on each of many connections, a byte at a time.

Arguments: host, port, how many, seconds.
"""

import resource
import socket
import sys
import time

host, port, count, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
request = b"GET /metrics HTTP/1.1\r\nX-Slow: " + 4096 * b"a"
lines: dict[socket.socket, int] = {}
most, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    while len(lines) < count:
        line = socket.socket()
        line.settimeout(0)
        # Connected in its own time, all at once.
        line.connect_ex((host, port))
        lines[line] = 0
    for line, sent in list(lines.items()):
        try:
            lines[line] += line.send(request[sent : sent + 1])
        except BlockingIOError:
            pass
        except OSError:
            line.close()
            del lines[line]
    most = max(most, sum(sent > 1 for sent in lines.values()))
    time.sleep(0.2)
print(most, "held at once")

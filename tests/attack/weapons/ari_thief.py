"""
Takes an ARI application for a moment, some times over.

Arguments: host, port, user, application, seconds, times. The environment's PASSWORD is the user's.
"""

import base64
import os
import socket
import sys
import time

host, port, user, app, seconds, times = sys.argv[1:]
login = base64.b64encode(f"{user}:{os.environ['PASSWORD']}".encode()).decode()
upgrade = [
    f"GET /ari/events?app={app} HTTP/1.1",
    f"Host: {host}",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Authorization: Basic {login}",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
]
for _ in range(int(times)):
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall("\r\n".join([*upgrade, "", ""]).encode())
        print(line.recv(64).split(b"\r\n")[0].decode(), flush=True)
        time.sleep(float(seconds))
    time.sleep(float(seconds))

"""
Prints what it can read of all files below some directories, again and again.

Arguments: seconds, then directories.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for top in sys.argv[2:]:
        for where, _, names in os.walk(top):
            for name in names:
                with contextlib.suppress(OSError):
                    found = os.open(Path(where, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
                    with os.fdopen(found, "rb") as file:
                        print(file.read(1 << 20).decode("utf-8", "replace"))
    time.sleep(0.2)
print("read")

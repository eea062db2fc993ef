"""kannel between message centres of two libraries: what comes from one goes to the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from clients.test_smpp import Library, centre

from harness.database import until
from harness.free_port import free_port

_CENTRE = """
group = smsc
smsc = smpp
smsc-id = {own}
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = kannel
smsc-password = secret
system-type = ""
max-pending-submits = 100
reroute-smsc-id = {other}
allowed-smsc-id = {own}
"""
_CORE = """
group = core
admin-port = {admin}
admin-password = secret
smsbox-port = {box}
sms-combine-concatenated-mo = false

# It asks for one, and none is started.
group = smsbox
bearerbox-host = 127.0.0.1
"""


@asynccontextmanager
async def two_centres() -> AsyncIterator[tuple[int, int]]:
    """The ports of the router's message centre and of the phones', with kannel between them."""
    program = Path(os.environ["PBX_KANNEL"])
    libraries = [str(each) for each in program.parents[2].glob("**/*-linux-gnu")]
    async with (
        centre(accounts=("kannel", "router"), library=Library.SMPP34) as near,
        centre(accounts=("phone", "kannel")) as far,
    ):
        with tempfile.TemporaryDirectory(prefix="agi-router-kannel-") as home:
            configuration = Path(home) / "kannel.conf"
            admin = free_port()
            configuration.write_text(
                _CORE.format(admin=admin, box=free_port())
                + _CENTRE.format(own="near", port=near, other="far")
                + _CENTRE.format(own="far", port=far, other="near")
            )
            process = await asyncio.create_subprocess_exec(
                program,
                *("-v", "4", configuration),
                env={"LD_LIBRARY_PATH": ":".join(libraries)},
            )
            url = f"http://127.0.0.1:{admin}/status.txt?password=secret"

            def both_are_up() -> bool:
                with contextlib.suppress(OSError), urllib.request.urlopen(url) as told:
                    return bool(told.read().count(b"(online ") == 2)
                return False

            try:
                await asyncio.to_thread(until, both_are_up)
                yield near, far
            finally:
                # Asked to end it waits half a minute for a centre that does not hang up.
                process.kill()
                await process.wait()

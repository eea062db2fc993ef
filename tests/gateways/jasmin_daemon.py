"""
Jasmin's daemon, with a user ``router`` and a message centre: each gets what the other sends.

Run by the Python of Jasmin's venv. Arguments: a folder for what it writes, and the port of the
message centre, where its account is ``jasmin``. Bound there, it says its own port on a line of
JSON.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import lockfile
import txamqp
from jasmin.managers.listeners import SMPPClientSMListener
from jasmin.managers.proxies import SMPPClientManagerPBProxy
from jasmin.protocols.smpp.configs import SMPPClientConfig
from jasmin.routing.jasminApi import Group, SmppClientConnector, SmppServerSystemIdConnector, User
from jasmin.routing.proxies import RouterPBProxy
from jasmin.routing.Routes import DefaultRoute
from twisted.internet import defer, reactor, task

PORT = 2775
CENTRE = "centre"
home, centre = Path(sys.argv[1]), int(sys.argv[2])

# Its wheel lacks the definitions of AMQP that it reads; a library of its has the same.
SPECIFICATION = Path(txamqp.__file__).parent / "specs/standard/amqp0-9-1.stripped.xml"
CONFIGURATION = f"""
[amqp-broker]
spec = {SPECIFICATION}
[smpp-server]
bind = 127.0.0.1
port = {PORT}
[smpp-server-pb]
bind = 127.0.0.1
[router]
bind = 127.0.0.1
authentication = no
store_path = {home}
[client-management]
bind = 127.0.0.1
authentication = no
store_path = {home}
[dlr]
dlr_lookup_retry_delay = 1
"""
SERVICES = ("dlr-lookup", "dlr-thrower", "deliver-thrower")

# Its log goes to where it is asked for nothing.
told, sys.stdout = sys.stdout, sys.stderr

# One that is killed leaves its lock, and it stands in /tmp.
_lock = lockfile.FileLock
lockfile.FileLock = lambda _: _lock(str(home / "jasmind"))

# As released it looks for the answer on the request, and drops each receipt.
_answered = SMPPClientSMListener.submit_sm_resp_event


def answered(self: Any, exchange: Any, message: Any) -> Any:
    """Handle the answer to a message that it has submitted."""
    exchange.request.response = exchange.response
    return _answered(self, exchange, message)


SMPPClientSMListener.submit_sm_resp_event = answered


async def connected(proxy: Any, port: int) -> Any:
    """A proxy of a part of it, as soon as that listens."""
    while True:
        try:
            await proxy.connect("127.0.0.1", port)
        except Exception:  # noqa: BLE001 - it is not there yet, and the test waits only so long
            await task.deferLater(reactor, 0.2)
        else:
            return proxy


async def set_up() -> None:
    """Make its user, its connector and its routes."""
    router = await connected(RouterPBProxy(), 8988)
    manager = await connected(SMPPClientManagerPBProxy(), 8989)
    group = Group("all")
    await router.group_add(group)
    await router.user_add(User("router", group, "router", "secret"))
    await router.mtroute_add(DefaultRoute(SmppClientConnector(CENTRE)), 0)
    await router.moroute_add(DefaultRoute(SmppServerSystemIdConnector("router")), 0)
    await manager.add(
        SMPPClientConfig(
            id=CENTRE,
            port=centre,
            username="jasmin",
            password="secret",
            submit_sm_throughput=0,
            log_file=str(home / "centre.log"),
        )
    )
    await manager.start(CENTRE)
    while await manager.session_state(CENTRE) != "BOUND_TRX":
        await task.deferLater(reactor, 0.2)
    print(json.dumps({"port": PORT}), file=told, flush=True)


def failed(reason: Any) -> None:
    """End with the reason."""
    reason.printTraceback(file=sys.stderr)
    reactor.stop()


configuration = home / "jasmin.cfg"
configuration.write_text(CONFIGURATION)
options = [f"--enable-{each}" for each in SERVICES]
sys.argv = ["jasmind", "-c", str(configuration), "--disable-http-api", "--disable-jcli", *options]
reactor.callWhenRunning(lambda: defer.ensureDeferred(set_up()).addErrback(failed))
runpy.run_module("jasmin.bin.jasmind", run_name="__main__")

"""
What of `./docker/cells` is done on the ground, which only the outer half of the command enters.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg

from agi_router.errors import AgiRouterError
from testpbx.cells import DIFFERS
from testpbx.cells.demo import demo
from testpbx.cells.site import Site
from testpbx.errors import PbxError
from testpbx.phones import PhoneError
from testpbx.state import Places

_FAILED = 4


def describe(site: Site, *, as_json: bool) -> None:
    """Say how it is reached."""
    answer = site.describe()
    if as_json:
        print(json.dumps(answer))
        return
    print(f"# SIP: {answer['sip']}   the carrier: {answer['carrier_out']}")
    print(f"# servers: {', '.join(answer['servers'])}")
    for name, value in answer["env"].items():
        print(f"# {name}={shlex.quote(value)}")
    print("./docker/cells run agi-router cell list")


def run(site: Site, words: list[str]) -> int:
    """Run a command as `agi-router` is run here."""
    return subprocess.run(words, env={**os.environ, **site.env}, check=False).returncode


def main() -> int:
    """Do it; returns the exit code."""
    command, *words = sys.argv[1:]
    state = Path(os.environ["CELLS_STATE"])
    places = Places(
        checkout=Path(os.environ["PBX_CHECKOUT"]), cache=Path(os.environ["PBX_CACHE"]), state=state
    )
    site = Site(places, state / "inside")
    try:
        if command == "up":
            site.up()
        elif command == "describe":
            describe(site, as_json="--json" in words)
        elif command == "run":
            return run(site, words)
        else:
            return 0 if demo(site, as_json="--json" in words) else DIFFERS
    except (PbxError, PhoneError, AgiRouterError, psycopg.Error, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())

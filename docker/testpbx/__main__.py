"""The command `./docker/pbx`."""

import argparse
import json
import os
import shlex
import sys
from typing import Any

from testpbx import pbx
from testpbx.errors import PbxError
from testpbx.state import Places, alone

ABOUT = """\
The test PBX: Asterisk, PostgreSQL and the router on 127.0.0.1.

  up       bring it up, or what is missing of it; prints how to reach it
  down     stop everything and remove its data; safe at any time
  status   say whether it is up

It is made of containers if a Docker engine answers, else of processes, with Asterisk in a Debian
root file system; both use the same configuration. SIP from loopback is the carrier; calls out
go to 127.0.0.1:5090, where nothing listens until a phone does.
"""
MORE = """\
Without --json, `up` prints shell: eval "$(./docker/pbx up)" gives you a shell in which
`agi-router` talks to this PBX. If AGI_ROUTER_DSN is set, that database is used.

exit codes: 0 done, or up; 1 error, one line on standard error; 2 usage;
            3 status: down; 4 status: partly up
"""
EXIT_STATUS = {"up": 0, "down": 3, "partly": 4}


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(
        prog="./docker/pbx",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--engine", choices=("auto", "docker", "rootfs"), default="auto")
    parser.add_argument(
        "--no-router", action="store_true", help="up: only PostgreSQL and Asterisk"
    )
    parser.add_argument(
        "--media-guard",
        action="store_true",
        help="up, as rootfs: calls by the native bridge, behind rules of nftables for this"
        " machine's ports 10000 to 30000",
    )
    return parser.parse_args()


def shell(answer: dict[str, Any]) -> str:
    """What `up` prints for people: comments, and exports to be evaluated."""
    comments = [
        f"# {name}: {answer[name]}" for name in ("engine", "sip", "carrier_out", "ari", "logs")
    ]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in answer["env"].items()]
    return "\n".join([*comments, *exports])


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    places = Places.from_env()
    # The wrapper has found out which form it is to be.
    engine = os.environ["PBX_ENGINE"] if args.engine == "auto" else args.engine
    try:
        with alone(places):
            if args.command == "up":
                answer = pbx.up(
                    places,
                    engine=engine,
                    router=not args.no_router,
                    media_guard=args.media_guard,
                )
                print(json.dumps(answer) if args.json else shell(answer))
                return 0
            if args.command == "down":
                pbx.down(places)
                if args.json:
                    print(json.dumps({"status": "down"}))
                return 0
            word, answer = pbx.status(places)
            print(json.dumps({"status": word, **answer}) if args.json else word)
            return EXIT_STATUS[word]
    except (PbxError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; ./docker/pbx down cleans up", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

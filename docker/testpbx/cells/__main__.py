"""The command `./docker/cells`: what of it is done beside the ground on which all runs."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testpbx.cells import DIFFERS
from testpbx.cells.ground import Ground
from testpbx.errors import PbxError
from testpbx.state import Places, alone

ABOUT = """\
Many on one machine: Kamailio in front, two cells of two Asterisks with a router each, for each
cell a PostgreSQL with a standby, and a global database. All of it has a network of its own.

  up       bring it up
  demo     place calls through it while machines die; print what each caller saw; take it down
  run      run a command there:  ./docker/cells run agi-router cell list
  status   say whether it is up
  down     end everything and remove its data; safe at any time
"""
CODES = """\
exit codes: 0 done, or up; 1 error, or a demo in which something differs; 2 usage; 3 status: down
"""
EXIT_STATUS = {"up": 0, "down": 3}


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(
        prog="./docker/cells",
        description=ABOUT,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("up", "demo", "run", "status", "down"))
    parser.add_argument("--json", action="store_true", help="up, demo: print one JSON object")
    # What stands behind `run` is somebody else's, options and all.
    own, words = (sys.argv[1:2], sys.argv[2:]) if sys.argv[1:2] == ["run"] else (sys.argv[1:], [])
    parsed = parser.parse_args(own)
    if bool(words) != (parsed.command == "run"):
        parser.error("run needs a command")
    return argparse.Namespace(**vars(parsed), words=words)


class Cells:
    """All of it, as it is seen from outside."""

    def __init__(self) -> None:
        """Nothing is changed."""
        self.places = Places(
            checkout=Path(os.environ["PBX_CHECKOUT"]),
            cache=Path(os.environ["PBX_CACHE"]),
            state=Path(os.environ["CELLS_STATE"]),
        )
        self.ground = Ground(self.places.state, self.places.logs / "ground.log")

    @property
    def is_up(self) -> bool:
        """Whether an `up` has come to its end."""
        inside = self.ground.inside.relative_to("/")
        return self.ground.is_there and (self.ground.root / inside / "complete").exists()

    def up(self) -> None:
        """Bring it up, unless it is."""
        if self.is_up:
            return
        self.down()
        self.ground.lay()
        try:
            self.inside("up")
        except BaseException:
            self.down()
            raise

    def inside(self, *words: str) -> int:
        """
        Do something on the ground.

        Returns:
            DIFFERS where the demo has seen a difference, else 0.

        Raises:
            PbxError: It failed, and has said why.
        """
        code = self._enter(*words)
        # With 1 ends what fails without a word of ours, too.
        if code not in {0, DIFFERS}:
            raise PbxError(f"logs are in {self.places.logs}")
        return code

    def run(self, words: list[str]) -> int:
        """Run somebody's command on the ground."""
        if not self.is_up:
            raise PbxError("it is down: run ./docker/cells up first")
        return self._enter("run", *words)

    def _enter(self, *words: str) -> int:
        program = [sys.executable, "-m", "testpbx.cells.inside", *words]
        return subprocess.run([*self.ground.enter(), *program], check=False).returncode

    def down(self) -> None:
        """End all of it; the logs stay until the next `up`."""
        if self.ground.is_there:
            self._keep_logs()
        self.ground.remove()
        shutil.rmtree(self.places.cache / f"postgres-{self.places.state.name}", ignore_errors=True)
        shutil.rmtree(self.places.state, ignore_errors=True)

    def _keep_logs(self) -> None:
        cache = self.ground.root / self.ground.inside.relative_to("/") / "cache"
        shutil.rmtree(self.places.logs, ignore_errors=True)
        self.places.logs.mkdir(mode=0o700, parents=True)
        for found in cache.glob("logs-*"):
            ignore = shutil.ignore_patterns("asterisk")
            shutil.copytree(
                found, self.places.logs / found.name.removeprefix("logs-"), ignore=ignore
            )
        for found in cache.glob("*.log"):
            shutil.copy(found, self.places.logs)


def carry_out(cells: Cells, command: str, *options: str) -> int:
    """Do one of the commands that go one after the other; returns the exit code."""
    match command:
        case "up":
            cells.up()
            cells.inside("describe", *options)
        case "demo":
            try:
                cells.up()
                return 1 if cells.inside("demo", *options) else 0
            finally:
                cells.down()
        case "status":
            word = "up" if cells.is_up else "down"
            print(json.dumps({"status": word}) if options else word)
            return EXIT_STATUS[word]
        case _:
            cells.down()
    return 0


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    cells = Cells()
    try:
        if args.command == "run":
            return cells.run(args.words)
        with alone(cells.places):
            return carry_out(cells, args.command, *(["--json"] if args.json else []))
    except (PbxError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; ./docker/cells down cleans up", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

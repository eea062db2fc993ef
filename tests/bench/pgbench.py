"""
pgbench, running the statements of one bind.

The statements are recorded from the program itself, so that both sides of a comparison stay the
same statements. What differs from bind to bind, its id, its number and its callers' tags, becomes
a variable.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.abc import Params, Query

from agi_router.numbers import BLOCK_SIZE

from .errors import BenchError

__all__ = ["Recorder", "pgbench", "script"]

_RATE = re.compile(r"^tps = ([0-9.]+) ", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([0-9]+)", re.MULTILINE)
_ANY_TAG = "random(1, 9223372036854775807)"


class Recorder(psycopg.Connection[dict[str, Any]]):
    """
    A connection that remembers what it was asked.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[tuple[Query, dict[str, Any]]] = []

    def execute(
        self,
        query: Any,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool = False,
    ) -> psycopg.Cursor[dict[str, Any]]:
        """Remember and execute a statement."""
        assert params is None or isinstance(params, dict)
        self.asked.append((query, dict(params or {})))
        return super().execute(query, params, prepare=prepare, binary=binary)


def script(recorder: Recorder) -> str:
    """
    What one bind on a number drawn has asked, as a script that binds others each time it is run.

    Raises:
        BenchError: A bind is not of the form that this module knows.
    """
    if [set(values) & {"drawn"} for _, values in recorder.asked] != [{"drawn"}]:
        raise BenchError("a bind is no longer one statement")
    ((query, values),) = recorder.asked
    line = psycopg.ClientCursor(recorder).mogrify(query, values)
    tags = [":tag0", ":tag1"]
    number = f"({values['block'] * BLOCK_SIZE}::bigint + :serial)"
    for column, variables, kind in (
        ("id", [":id"], "bigint"),
        ("drawn", [number], "bigint"),
        ("tags", [f"'{{' || {' || $$,$$ || '.join(tags)} || '}}'"], "text"),
        ("place", ["1", "1"], "integer"),
        ("x_number", [number] * 2, "bigint"),
        ("shown", [number] * 2, "bigint"),
        ("caller_tag", tags, "bigint"),
        # Each is the only callee of the other.
        ("callee_tags", [f"'{{' || {name} || '}}'" for name in reversed(tags)], "text"),
    ):
        line = _array(line, values[column], variables, kind)
    terms = psycopg.ClientCursor(recorder).mogrify("%(terms)s::jsonb", values)
    if terms not in line:
        raise BenchError("bind no longer takes its terms as text")
    line = line.replace(terms, f"jsonb_set({terms}, '{{0,id}}', to_jsonb(:id::bigint))")
    # One line: a comment would hide the rest of it.
    line = " ".join(re.sub(r"--.*", "", line).split()).rstrip(";")
    draws = [rf"\set {name[1:]} {_ANY_TAG}" for name in tags]
    draws.append(rf"\set serial random(0, {BLOCK_SIZE - 1})")
    id_drawn = r"SELECT nextval('agi_router.binding_id') AS id \gset"
    return "\n".join([*draws, id_drawn, line + ";"]) + "\n"


def _array(text: str, array: str, variables: Sequence[str], kind: str = "bigint") -> str:
    literal = f"'{array}'"
    if literal not in text:
        raise BenchError("bind no longer takes its routes as arrays")
    return text.replace(literal, f"(ARRAY[{','.join(variables)}]::{kind}[])")


def pgbench(
    program: Path, dsn: str, scripts: Sequence[Path], *, clients: int, seconds: int
) -> float:
    """
    Run scripts, each as often as the others, for a time; returns runs per second.

    Raises:
        BenchError: It failed, or one of its transactions did.
    """
    done = subprocess.run(
        [
            program,
            *("-n", "-M", "prepared", "-c", str(clients), "-j", str(os.cpu_count() or 1)),
            *("-T", str(seconds)),
            *(f"--file={each}" for each in scripts),
            dsn,
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    rate, failed = _RATE.search(done.stdout), _FAILED.search(done.stdout)
    if done.returncode or rate is None or (failed is not None and int(failed[1])):
        raise BenchError(f"pgbench failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return float(rate[1])

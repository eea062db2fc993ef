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
    What one bind has asked, as a pgbench script that binds other parties each time it is run.

    Raises:
        BenchError: A bind is not of the form that this module knows.
    """
    cursor = psycopg.ClientCursor(recorder)
    lines = []
    names: list[str] = []
    for query, values in recorder.asked:
        line = cursor.mogrify(query, values)
        if "terms" in values:
            if not names:
                raise BenchError("bind no longer chooses its number by a statement of its own")
            line = _array(line, values["caller_tag"], names)
            # Each is the only callee of the other.
            callees = [f"'{{' || {name} || '}}'" for name in reversed(names)]
            line = _array(line, values["callee_tags"], callees, "text")
            for column in ("x_number", "shown"):
                line = _array(line, values[column], [":drawn_x_number"] * len(names))
            line = line.replace(str(values["block"]), "(:drawn_x_number::bigint / 10000)")
            terms = cursor.mogrify("%(terms)s", values)
            drawn = f"jsonb_set({terms}, '{{id}}', to_jsonb(:drawn_binding_id::bigint))"
            line = line.replace(terms, drawn)
        # One line each: a comment would hide the rest of it.
        line = " ".join(re.sub(r"--.*", "", line).split()).rstrip(";")
        if "draws" in values:
            names = [f":tag{place}" for place in range(values["tags"].count(",") + 1)]
            lines += [rf"\set {name[1:]} {_ANY_TAG}" for name in names]
            line = _array(line, values["tags"], names)
            lines.append(line + r" \gset drawn_")
        else:
            lines.append(line + ";")
    return "\n".join(lines) + "\n"


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

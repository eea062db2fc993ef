"""
What came of a file whose rows are written down one by one, as commands tell it.
"""

from agi_router.bulk.tally import Tally
from agi_router.cli.exit_codes import exit_code
from agi_router.cli.output import echo, echo_json, echo_pairs
from agi_router.errors import CsvError

__all__ = ["echo_tally"]


def echo_tally(tally: Tally, *, as_json: bool) -> int:
    """
    Print what came of a file.

    Returns:
        The exit code: not 0 where a row was not written.
    """
    # What the store refuses may be known later than what cannot be read.
    faults = sorted(tally.faults)
    told = {name: getattr(tally, name) for name in ("rows", "added", "known", "refused")}
    if as_json:
        echo_json({**told, "faults": [each._asdict() for each in faults]})
    else:
        echo_pairs(told)
        for each in faults:
            echo(f"line {each.line}: {each.why}")
    return exit_code(CsvError) if tally.refused else 0

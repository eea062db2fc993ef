"""
Which of several runs at the same time has which file of the tests that they share.
"""

import os
from pathlib import Path

__all__ = ["is_ours"]


def is_ours(file: Path) -> bool:
    """
    Whether a file is this run's: from now on it is, if no other run has come to it before.

    Read: PBX_LANE, this run's name; without one it has all files. PBX_SHARES, a directory that is
    that of all runs.
    """
    name = os.environ.get("PBX_LANE")
    if name is None:
        return True
    claim = Path(os.environ["PBX_SHARES"]) / file.name
    try:
        # A link is there with what it says, or not at all.
        claim.symlink_to(name)
    except FileExistsError:
        return claim.readlink() == Path(name)
    return True

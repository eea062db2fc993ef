"""
The patience of the test PBX: of seconds, where a test is not about what is shipped.

A caller is promised 0.6 s. On a machine that has no time for Asterisk and the router they do not
keep it, and refuse; that is measured by `tests/bench` and by the tier chaos, and is no fault of
what other tests look at.
"""

import subprocess
from pathlib import Path

__all__ = ["FALLBACK", "PATIENCE", "SETTINGS", "lengthen", "shorten"]

PATIENCE = 2.0
"""Seconds for the first router."""
FALLBACK = 3.0
"""Seconds for all others together."""
SETTINGS = {"AGI_ROUTER_PATIENCE": f"{PATIENCE}", "AGI_ROUTER_DECISION_TIMEOUT": "1.8"}
"""Those of every router and of the doctor."""

_OTHERS = f"""
[globals](+)
AGI_ROUTER_PATIENCE_FALLBACK={FALLBACK}
"""
_FIRST = f"""
[globals](+)
AGI_ROUTER_PATIENCE={PATIENCE}
"""


def lengthen(root: Path, *, first: bool = True) -> None:
    """Let the dialplan of the PBX below *root* wait for so long, or only for the others."""
    conf = root / "etc/asterisk/extensions.conf"
    _load(root, conf.read_text("utf-8") + _OTHERS + (_FIRST if first else ""))


def shorten(root: Path) -> None:
    """Let it wait for as long as it does where it is shipped."""
    conf = root / "etc/asterisk/extensions.conf"
    _load(root, conf.read_text("utf-8").replace(_OTHERS, "").replace(_FIRST, ""))


def _load(root: Path, text: str) -> None:
    (root / "etc/asterisk/extensions.conf").write_text(text, "utf-8")
    command = ["chroot", str(root), "asterisk", "-rx", "dialplan reload"]
    subprocess.run(command, check=True, capture_output=True)

"""
Writes docs/openapi.json anew, from the code.

    python tests/openapi.py
"""

from __future__ import annotations

import json
from pathlib import Path

from agi_router.doors.http.app import describe_api

FILE = Path(__file__).parents[1] / "docs/openapi.json"


def document() -> str:
    """Return the file as it should be."""
    return json.dumps(describe_api(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), "utf-8")

"""
The dialplan's globals: what a site sets below the include wins, whatever its own file looks like.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.pbx import Dialplan

INCLUDE = '#include "agi_router.conf"\n'
# As Debian ships it: sections of its own, and globals among them.
STOCK = """[general]
static=yes
writeprotect=no
clearglobalvars=no

[globals]
CONSOLE=Console/dsp
TRUNK=DAHDI/G2

[default]
exten => s,1,NoOp()
"""
BARE = "[general]\nstatic=yes\n"
OVERRIDE = "AGI_ROUTER_PATIENCE_FALLBACK=0.21\n"


@pytest.fixture
def site(pbx: dict[str, Any], dialplan: Dialplan) -> Iterator[Dialplan]:
    """The dialplan of a site; its file is as shipped again after the test."""
    assert Path(pbx["rootfs"]).is_dir()
    yield dialplan
    dialplan.reset()


@pytest.mark.parametrize("section", ["[globals]\n", "[globals](+)\n"])
@pytest.mark.parametrize(
    "layout",
    [
        pytest.param("{stock}{include}{override}", id="below the stock file"),
        pytest.param("{include}{override}{stock}", id="above it"),
        pytest.param("{include}{stock}{override}", id="around it"),
    ],
)
@pytest.mark.parametrize("stock", [STOCK, BARE], ids=["globals", "none"])
def test_an_override_wins(site: Dialplan, stock: str, layout: str, section: str) -> None:
    """And what is not overridden is as shipped."""
    site.load(layout.format(stock=stock, include=INCLUDE, override=section + OVERRIDE))

    assert site.get("AGI_ROUTER_PATIENCE_FALLBACK") == "0.21"
    assert site.get("AGI_ROUTER_PATIENCE") == "0.35"


def test_an_override_in_the_stock_section(site: Dialplan) -> None:
    """Where somebody would write it first: it wins if the include stands above."""
    site.load(INCLUDE + STOCK.replace("[globals]\n", f"[globals]\n{OVERRIDE}"))

    assert site.get("AGI_ROUTER_PATIENCE_FALLBACK") == "0.21"

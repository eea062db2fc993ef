"""What dialplan and router must both know: nothing is said where they agree."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from agi_router.pbx.agreement import GLOBALS, Known, find_differences
from agi_router.settings import Settings

SHIPPED = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")
THEIRS = {name: re.findall(rf"(?m)^{name}=(.*)$", SHIPPED)[0] for name in GLOBALS}
DEFAULTS = Settings()
OURS = Known(
    app=DEFAULTS.ari_app,
    agi_listen=DEFAULTS.agi_listen,
    language=DEFAULTS.language.value,
    patience=DEFAULTS.patience,
)


def differing(ours: Known = OURS, **theirs: str) -> list[str]:
    """The settings that differ, where some of the dialplan's globals are others."""
    changed = {f"AGI_ROUTER_{name}": value for name, value in theirs.items()}
    return [what for what, _ in find_differences({**THEIRS, **changed}, ours)]


def test_what_is_shipped_agrees() -> None:
    """The dialplan's defaults are those of the settings."""
    assert find_differences(THEIRS, OURS) == []


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"LANGUAGE": "en"}, "language: the dialplan speaks en, but AGI_ROUTER_LANGUAGE is zh"),
        ({"LANGUAGE": ""}, "language: the dialplan speaks no language, but"),
        (
            {"PATIENCE": "0.5"},
            "patience: the dialplan waits 0.5 s, but AGI_ROUTER_PATIENCE is 0.35",
        ),
        ({"PATIENCE": ""}, "patience: the dialplan waits no s, but"),
        ({"AGI": "127.0.0.1:4574"}, "agi: the dialplan asks FastAGI at 127.0.0.1:4574, but"),
        ({"AGI": "192.0.2.1:4573"}, "agi: the dialplan asks FastAGI at 192.0.2.1:4573, but"),
        ({"AGI": ""}, "agi: the dialplan asks no FastAGI, but"),
        ({"APP": "other"}, "app: the dialplan asks other, but AGI_ROUTER_ARI_APP is agi_router"),
        (
            {"APP": "a", "NEXT_a": "b", "NEXT_b": "a"},
            "app: the dialplan asks a and then b, but AGI_ROUTER_ARI_APP is agi_router",
        ),
        (
            {"EARLY_MEDIA": ""},
            "early media: the dialplan has no AGI_ROUTER_EARLY_MEDIA, so two who",
        ),
        (
            {"EARLY_MEDIA": "hear "},
            "early media: the dialplan's AGI_ROUTER_EARLY_MEDIA is hear , which counts as none",
        ),
        ({"TRUNK": "a& b"}, "trunk: the dialplan's AGI_ROUTER_TRUNK names ' b', with a space"),
    ],
)
def test_each_difference_is_named(theirs: dict[str, str], said: str) -> None:
    """With both values, and nothing else."""
    changed = {f"AGI_ROUTER_{name}": value for name, value in theirs.items()}
    [(what, text)] = find_differences({**THEIRS, **changed}, OURS)
    assert f"{what}: {text}".startswith(said)


def test_what_means_the_same() -> None:
    """Other words for one thing."""
    assert differing(PATIENCE="0.350") == []
    assert differing(AGI="localhost:4573") == []
    assert differing(replace(OURS, agi_listen="0.0.0.0:4573"), AGI="192.0.2.1:4573") == []
    assert differing(replace(OURS, agi_listen="off"), AGI="") == []
    assert differing(replace(OURS, agi_listen="off")) == ["agi"]
    assert differing(APP="agi_router_2", NEXT_agi_router_2="agi_router") == []
    assert differing(TRUNK="a&b") == []
    assert differing(EARLY_MEDIA="hear") == differing(EARLY_MEDIA="both") == []

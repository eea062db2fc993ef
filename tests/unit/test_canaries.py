"""The search for canaries finds what it looks for, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.canaries import files_below, found, found_in_file, spellings

CANARY, OTHER = "13966660471", "15077772583"


@pytest.mark.parametrize("name", spellings(CANARY))
def test_every_spelling_is_found(name: str) -> None:
    text = spellings(CANARY)[name]
    for planted in (text, text.upper()):
        assert f"139****71: {name}" in found(b"\x00xx" + planted + b"yy\xff", [OTHER, CANARY])


@pytest.mark.parametrize(
    "text", ["+86 139 6666 0471", "0086-139-6666-0471", "sip:+8613966660471@x"]
)
def test_what_stands_around_it_does_not_matter(text: str) -> None:
    assert found(text.encode(), [CANARY])


def test_nothing_is_found_in_what_is_masked_or_another_number() -> None:
    assert found(b"139****0471 139 0471 15077772583 700012345670471", [CANARY]) == []


def test_files_are_searched_whole(tmp_path: Path) -> None:
    """Across the pieces in which a big file is read, and in every folder; links lead out of it."""
    big = tmp_path / "a/b/big"
    big.parent.mkdir(parents=True)
    at = (1 << 24) - 5
    big.write_bytes(b"-" * at + CANARY.encode() + b"-" * 100)
    (tmp_path / "link").symlink_to(big)

    assert list(files_below(tmp_path)) == [big]
    assert "139****71: plain" in found_in_file(big, [CANARY])
    assert found_in_file(tmp_path / "gone", [CANARY]) == []

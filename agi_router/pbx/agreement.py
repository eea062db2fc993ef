"""
What dialplan and router must both know, each by settings of its own, and where they differ.

The journal is not among it: one directory may have two paths, and Asterisk tells by a line that it
writes whether it is the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["EARLY_MEDIA", "GLOBALS", "NEXT", "Known", "find_differences"]

GLOBALS = (
    "AGI_ROUTER_APP",
    "AGI_ROUTER_AGI",
    "AGI_ROUTER_EARLY_MEDIA",
    "AGI_ROUTER_LANGUAGE",
    "AGI_ROUTER_PATIENCE",
    "AGI_ROUTER_TRUNK",
)
"""
Globals of the dialplan that are compared.
"""

NEXT = "AGI_ROUTER_NEXT_"
"""
What the names of globals begin with that say who takes over from an application.
"""

EARLY_MEDIA = ("none", "hear", "both")
"""
What may be heard before the answer; the dialplan takes every other word for the first.
"""

_ANYWHERE = ("0.0.0.0", "[::]")  # noqa: S104 - compared with, never bound  # noqa: S104 - compared, not bound
_HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """
    What the router's settings say.

    Attributes:
        app: Application name for ARI.
        agi_listen: Address and port of FastAGI, or ``off``.
        language: Language of prompts where a binding has none.
        patience: Seconds.
    """

    app: str
    agi_listen: str
    language: str
    patience: float


def find_differences(theirs: Mapping[str, str], ours: Known) -> list[tuple[str, str]]:
    """
    Compare the dialplan's globals with the router's settings.

    Args:
        theirs: The globals of :data:`GLOBALS`, and those that say who takes over; empty values
            where one is not set.
        ours: What the router knows.

    Returns:
        The setting and what is wrong with it, in words, for each that differs.
    """
    return [
        *_app(theirs, ours.app),
        *_agi(theirs["AGI_ROUTER_AGI"], ours.agi_listen),
        *_language(theirs["AGI_ROUTER_LANGUAGE"], ours.language),
        *_patience(theirs["AGI_ROUTER_PATIENCE"], ours.patience),
        *_trunk(theirs["AGI_ROUTER_TRUNK"]),
        *_early_media(theirs["AGI_ROUTER_EARLY_MEDIA"]),
    ]


def _app(theirs: Mapping[str, str], ours: str) -> Iterator[tuple[str, str]]:
    asked = [theirs["AGI_ROUTER_APP"]]
    while (after := theirs.get(f"{NEXT}{asked[-1]}")) and after not in asked:
        asked.append(after)
    if ours not in asked:
        yield (
            "app",
            (
                f"the dialplan asks {' and then '.join(asked)}, but AGI_ROUTER_ARI_APP is {ours}:"
                " no call comes to this router"
            ),
        )


def _agi(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    if not theirs:
        if ours != "off":
            yield (
                "agi",
                (
                    f"the dialplan asks no FastAGI, but AGI_ROUTER_AGI_LISTEN is {ours}: set"
                    " AGI_ROUTER_AGI in the dialplan, or AGI_ROUTER_AGI_LISTEN=off"
                ),
            )
        return
    host, _, port = theirs.rpartition(":")
    our_host, _, our_port = ours.rpartition(":")
    same = host == our_host or our_host in _ANYWHERE or {host, our_host} <= {*_HERE}
    if ours == "off" or port != our_port or not same:
        yield (
            "agi",
            (
                f"the dialplan asks FastAGI at {theirs}, but AGI_ROUTER_AGI_LISTEN is {ours}:"
                " give both the same"
            ),
        )


def _language(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    if theirs != ours:
        yield (
            "language",
            (
                f"the dialplan speaks {theirs or 'no language'}, but AGI_ROUTER_LANGUAGE is"
                f" {ours}: give both the same"
            ),
        )


def _patience(theirs: str, ours: float) -> Iterator[tuple[str, str]]:
    try:
        same = float(theirs) == ours
    except ValueError:
        same = False
    if not same:
        yield (
            "patience",
            (
                f"the dialplan waits {theirs or 'no'} s, but AGI_ROUTER_PATIENCE is {ours:g}: give"
                " both the same"
            ),
        )


def _trunk(theirs: str) -> Iterator[tuple[str, str]]:
    for name in theirs.split("&"):
        if name != name.strip():
            yield "trunk", f"the dialplan's AGI_ROUTER_TRUNK names '{name}', with a space"


def _early_media(theirs: str) -> Iterator[tuple[str, str]]:
    if not theirs:
        yield (
            "early media",
            (
                "the dialplan has no AGI_ROUTER_EARLY_MEDIA, so two who agree may talk before the"
                " answer: copy the dialplan that came with this program"
            ),
        )
    elif theirs not in EARLY_MEDIA:
        yield (
            "early media",
            (
                f"the dialplan's AGI_ROUTER_EARLY_MEDIA is {theirs}, which counts as none: set"
                f" {', '.join(EARLY_MEDIA[:-1])} or {EARLY_MEDIA[-1]}"
            ),
        )

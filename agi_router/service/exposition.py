"""
What is told to Prometheus: families of figures, as its text format has them.

Our own, because the library that writes it brings a web server, a client and HTML along: 2 MB of
each process that tells a few dozen lines.

Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["CONTENT_TYPE", "Family", "Kind", "Sample", "expose", "show_number"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of what :func:`expose` makes."""

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
"""What kinds of families there are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """
    One value of a family.

    Attributes:
        value: The value.
        labels: What tells it from the others of its family: names and values.
        suffix: What follows the family's name; a histogram's have one.
    """

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """
    Values under one name.

    Attributes:
        name: The name; that of a counter ends in ``_total``.
        text: What it is, in a sentence.
        kind: What kind of values.
        samples: The values.
    """

    name: str
    text: str
    kind: Kind
    samples: Iterable[Sample]


def expose(families: Iterable[Family]) -> bytes:
    """
    The text that answers a scrape.
    """
    return "".join(line for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterable[str]:
    text = family.text.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {text}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_quoted(value)}"' for name, value in sample.labels)
        shown = f"{{{labels}}}" if labels else ""
        yield f"{family.name}{sample.suffix}{shown} {show_number(sample.value)}\n"


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def show_number(value: float) -> str:
    """
    A value as Prometheus reads it.
    """
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))

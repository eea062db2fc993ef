"""
``agi-router tenant texts``: which texts of a tenant's bindings go on, how, and when.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from agi_router.cli.acts import record_act
from agi_router.cli.arguments import TENANT, Checked
from agi_router.cli.context import open_serving_database, read_settings
from agi_router.cli.output import echo_json, echo_pairs, json_option
from agi_router.db.connection import Queries
from agi_router.durations import parse_duration
from agi_router.messages.rule_store import TenantRules, TextRuleStore
from agi_router.messages.rules import NumberRule, check_hold, check_words
from agi_router.messages.views import describe_rules

__all__ = ["group"]

_NONE = "none"


@dataclass(frozen=True)
class _Hold:
    """
    How long, as it was typed; of nothing, not at all.
    """

    value: timedelta | None


def _read_hold(text: str) -> _Hold:
    return _Hold(None if text == _NONE else check_hold(parse_duration(text)))


def _read_list(text: str) -> tuple[str, ...]:
    """
    The lines of a file; none for ``none``.

    Raises:
        ValueError: It cannot be read, or holds what is no word.
    """
    if text == _NONE:
        return ()
    try:
        lines = Path(text).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError("a file of UTF-8 is needed, a line for each, or none") from None
    return check_words([line for line in lines if line.strip()])


_NAME = click.argument("name", type=TENANT, metavar="NAME")
_LIST = Checked("file|none", _read_list)


@click.group("texts")
def group() -> None:
    """
    Rules for texts: numbers in them, words, templates, and whether they wait for a release.
    """


@group.command("set")
@_NAME
@click.option(
    "--numbers",
    type=click.Choice([each.value for each in NumberRule]),
    help="What becomes of a text that tells a phone number.",
)
@click.option("--words", type=_LIST, help="A text with one of these is refused.")
@click.option(
    "--templates", type=_LIST, help="A text that is none of these is refused; *: anything."
)
@click.option("--opt-out", type=_LIST, help="Who sends one of these is texted no more.")
@click.option(
    "--hold",
    type=Checked("duration|none", _read_hold),
    help="How long a text waits for a release.",
)
@click.option(
    "--checked/--unchecked",
    default=None,
    help="Whether 'tenant check' is asked about each before it is taken.",
)
@json_option
def set_(  # noqa: PLR0917 - options, not arguments
    name: str,
    numbers: str | None,
    words: tuple[str, ...] | None,
    templates: tuple[str, ...] | None,
    opt_out: tuple[str, ...] | None,
    hold: "_Hold | None",
    *,
    checked: bool | None,
    as_json: bool,
) -> None:
    r"""
    Judge a tenant's texts otherwise from now on. What is left out stays as it is.

    \b
    Example:
      agi-router tenant texts set couriers --numbers redact --hold 10m
    """
    given: dict[str, Any] = {
        "numbers": None if numbers is None else NumberRule(numbers),
        "words": words,
        "templates": templates,
        "opt_out": opt_out,
        "checked": checked,
    }
    changes = {each: value for each, value in given.items() if value is not None}
    if hold is not None:
        changes["hold"] = hold.value
    if not changes:
        raise click.UsageError("say what changes")
    with open_serving_database(read_settings()) as connection:
        queries = Queries(connection)
        store = TextRuleStore(queries)
        rules = replace(store.find(name).rules, **changes)
        record_act(queries, f"rules for texts of {name}")
        _echo(store.put(name, rules), as_json=as_json)


@group.command("show")
@_NAME
@json_option
def show(name: str, *, as_json: bool) -> None:
    r"""
    Show by which rules a tenant's texts are judged.

    \b
    Example:
      agi-router tenant texts show couriers
    """
    with open_serving_database(read_settings()) as connection:
        _echo(TextRuleStore(Queries(connection)).find(name), as_json=as_json)


def _echo(rules: TenantRules, *, as_json: bool) -> None:
    described = describe_rules(rules)
    if as_json:
        echo_json(described)
    else:
        lists = {
            each: ", ".join(value) if isinstance(value, list) else value
            for each, value in described.items()
        }
        echo_pairs(lists)

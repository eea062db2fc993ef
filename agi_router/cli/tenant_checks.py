"""
``agi-router tenant check``: a tenant's own service that is asked before a call is connected.
"""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import click

from agi_router.calls.check import Unanswered
from agi_router.calls.views import describe_check
from agi_router.cli.acts import record_act
from agi_router.cli.arguments import SPAN, TENANT, Checked
from agi_router.cli.context import read_settings
from agi_router.cli.output import echo_json, echo_pairs, json_option
from agi_router.cli.stores import open_checks
from agi_router.events.addresses import address_on_record, check_host
from agi_router.events.model import check_url

__all__ = ["group"]

_NAME = click.argument("name", type=TENANT, metavar="NAME")


@click.group("check")
def group() -> None:
    """
    A tenant's own service is asked about each of its calls before anybody rings.
    """


@group.command("set")
@_NAME
@click.argument("url", type=Checked("url", check_url))
@click.option(
    "--unanswered",
    type=click.Choice([each.value for each in Unanswered]),
    default=Unanswered.REFUSE.value,
    show_default=True,
    help="What becomes of a call about which it says nothing in time.",
)
@click.option(
    "--timeout-ms",
    type=click.IntRange(10, 5000),
    help="Milliseconds that it has, if those are fewer than AGI_ROUTER_CHECK_TIMEOUT.",
)
@json_option
def set_(name: str, url: str, unanswered: str, timeout_ms: int | None, *, as_json: bool) -> None:
    r"""
    Have the service at URL asked from now on. What it was set to before is replaced.

    The secret that signs questions is shown this once, where there was no service before.

    \b
    Example:
      agi-router tenant check set couriers https://shop.example/calls
    """
    settings = read_settings()
    parts = urlsplit(url)
    check_host(
        parts.hostname or "", secure=parts.scheme == "https", allowed=settings.webhook_hosts
    )
    with open_checks(settings) as (store, queries):
        record_act(queries, f"check of {name} at {address_on_record(url)}")
        made, secret = store.put(
            name, url, unanswered=Unanswered(unanswered), timeout_ms=timeout_ms
        )
    told: dict[str, Any] = {} if secret is None else {"secret": secret}
    (echo_json if as_json else echo_pairs)(describe_check(made) | told)


@group.command("show")
@_NAME
@json_option
def show(name: str, *, as_json: bool) -> None:
    r"""
    Show which service is asked.

    \b
    Example:
      agi-router tenant check show couriers
    """
    with open_checks(read_settings()) as (store, _):
        described = describe_check(store.find(name))
    (echo_json if as_json else echo_pairs)(described)


@group.command("rotate-secret")
@_NAME
@click.option(
    "--overlap",
    type=SPAN,
    default="1d",
    show_default=True,
    help="How long questions are signed with the old secret too.",
)
@json_option
def rotate_secret(name: str, overlap: timedelta, *, as_json: bool) -> None:
    r"""
    Give the service a new secret, and show it this once.

    \b
    Example:
      agi-router tenant check rotate-secret couriers
    """
    with open_checks(read_settings()) as (store, queries):
        record_act(queries, f"secret of the check of {name}")
        secret = store.rotate_secret(name, overlap=overlap)
    (echo_json if as_json else echo_pairs)({"secret": secret})


@group.command("remove")
@_NAME
@json_option
def remove(name: str, *, as_json: bool) -> None:
    r"""
    Have nobody asked from now on.

    \b
    Example:
      agi-router tenant check remove couriers
    """
    with open_checks(read_settings()) as (store, queries):
        described = describe_check(store.find(name))
        record_act(queries, f"check of {name}")
        store.remove(name)
    (echo_json if as_json else echo_pairs)(described)

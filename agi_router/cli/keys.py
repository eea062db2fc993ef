"""
``agi-router key``: the keys that tag and seal real numbers.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from agi_router.bindings.reseal import Renewal
from agi_router.cli.acts import record_act
from agi_router.cli.context import open_database, read_settings
from agi_router.cli.output import echo, echo_json, echo_table, json_option
from agi_router.db.connection import Queries
from agi_router.db.migrate import check_schema
from agi_router.errors import KeyInUse, SealError, SettingsError
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyKind, KeyRing
from agi_router.maintenance.rotation import Rotation

__all__ = ["group"]

_LOOK = 0.2
# Connections that are named.
_SHOWN = 8


@click.group("key")
def group() -> None:
    """
    Keys that tag and seal real numbers.
    """


@group.command("new")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this new file (mode 0600) instead of printing it.",
)
@json_option
def new(file: Path | None, *, as_json: bool) -> None:
    r"""
    Make a new key ring.

    Without it no number in the database can be read: keep a copy in a safe place, apart from the
    backups of the database. An existing file is never overwritten.

    \b
    Examples:
      agi-router key new --file /etc/agi-router/key
      export AGI_ROUTER_KEY="$(agi-router key new)"
    """
    ring = KeyRing.generate()
    if file is not None:
        write_key_ring(file, ring)
        if as_json:
            echo_json({"file": str(file)})
        else:
            echo(f"wrote {file}; now set AGI_ROUTER_KEY_FILE={file}")
    elif as_json:
        echo_json({"key": ring.to_text()})
    else:
        echo(ring.to_text(), nl=False)


@group.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    r"""
    List the keys, what they are for, how many values each has sealed, and how many need it.

    \b
    new      in the file, not written with yet
    current  written with
    old      only read with; once no value needs it: "agi-router key retire"
    retired  no longer known to anybody
    destroyed  no longer known to anybody, and what it has sealed is read by nobody

    \b
    Example:
      agi-router key list
    """
    with _open_rotation() as rotation:
        rows = rotation.listed()
    if as_json:
        echo_json(rows)
        return
    columns = ("kind", "id", "state", "current_at", "sealed", "uses")
    echo_table(
        ("kind", "id", "state", "current since", "sealed", "uses"),
        [[row[column] for column in columns] for row in rows],
        empty="no keys",
    )


@group.command("rotate")
@click.option("--tag", is_flag=True, help="Only the key that callers are found by.")
@click.option("--seal", is_flag=True, help="Only the key that numbers are sealed with.")
@click.option(
    "--leave-over",
    is_flag=True,
    help="Leave what is over under its key, with --seal: the new key begins a period.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long routers may take to know the new keys.",
)
@json_option
def rotate(*, tag: bool, seal: bool, leave_over: bool, wait: float, as_json: bool) -> None:
    r"""
    Make new keys, write with them, and renew what was written with the old ones.

    Calls go on. Routers read the key file again when it changes; where one has a file of its own,
    copy the new one there, and run this again if it was not seen in time. Interrupted while rows
    are renewed, "agi-router key renew" goes on. The old keys stay until they are retired.

    With --seal --leave-over only what lives comes under the new key. What is over can be read as
    long as the key of its period is there: see "agi-router key destroy".

    \b
    Examples:
      agi-router key rotate
      agi-router key rotate --seal --leave-over
    """
    if leave_over and (tag or not seal):
        raise click.UsageError("--leave-over goes with --seal alone")
    asked: dict[KeyKind, bool] = {"tag": tag, "seal": seal}
    kinds = [kind for kind in KINDS if asked[kind]]
    with _open_rotation(act="the key file") as rotation:
        chosen = rotation.add(kinds or KINDS)
        _await_routers(rotation, wait)
        rotation.switch(chosen)
        _say("written with now: " + ", ".join(f"{k} key {i}" for k, i in chosen.items()))
        _renew(rotation, over=not leave_over, as_json=as_json)


@group.command("renew")
@json_option
def renew(*, as_json: bool) -> None:
    r"""
    Bring all rows under the current keys, and the cipher of AGI_ROUTER_CIPHER.

    Calls go on. May be interrupted and begun again.

    \b
    Example:
      AGI_ROUTER_CIPHER=sm4-gcm agi-router key renew
    """
    with _open_rotation(act="all rows") as rotation:
        rotation.finish()
        _renew(rotation, over=True, as_json=as_json)


@group.command("retire")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("keyid", metavar="ID", type=click.IntRange(1, 255))
@json_option
def retire(kind: KeyKind, keyid: int, *, as_json: bool) -> None:
    r"""
    Take a key that no row needs out of the key file.

    A backup of the database from before needs it still: keep the copy of the old file with it.

    \b
    Example:
      agi-router key retire tag 1
    """
    with _open_rotation(act=f"{kind} key {keyid}") as rotation:
        rotation.retire(kind, keyid)
    if as_json:
        echo_json({"kind": kind, "id": keyid, "state": "retired"})
    else:
        echo(f"{kind} key {keyid} is retired and no longer in the file")


@group.command("destroy")
@click.argument("keyid", metavar="ID", type=click.IntRange(1, 255))
@click.option("--confirm", metavar="WORD", help="Do it: the word that was told without this.")
@click.option("--reason", metavar="TEXT", help="Why; for those who ask later.")
@json_option
def destroy(keyid: int, confirm: str | None, reason: str | None, *, as_json: bool) -> None:
    r"""
    Destroy the seal key of a period: nobody reads the parties of its bindings any more.

    Their rows stay and are counted; where parties would be shown, "destroyed" stands. Said once,
    it tells what would go, and a word; with that word it is done. It refuses while anything that
    lives, is held, or ended less than six months ago was sealed with the key. Backups of the key
    file have it still: delete those, too.

    \b
    Examples:
      agi-router key destroy 1
      agi-router key destroy 1 --confirm 20000-1f3870be --reason "end of retention, 2026"
    """
    with _open_rotation() as rotation:
        states = {row["id"]: row["state"] for row in rotation.listed() if row["kind"] == "seal"}
        if states.get(keyid) == "destroyed":
            # A run before this one may have got no further than the database.
            rotation.forget()
            raise KeyInUse(f"seal key {keyid} was destroyed before")
        period = rotation.weigh(keyid)
        if confirm is not None and confirm != period.word:
            raise KeyInUse("that is not the word for what would go by now: ask for it again")
        if confirm is not None:
            rotation.destroy(
                period, lambda queries: record_act(queries, str(period), reason=reason)
            )
    state = "old" if confirm is None else "destroyed"
    if as_json:
        told = {"values": period.values, "bindings": period.bindings, "digest": period.digest}
        echo_json({"id": keyid, "state": state, **told, "confirm": period.word})
    elif confirm is None:
        echo(f"would go with {period}")
        echo(f"to do it: agi-router key destroy {keyid} --confirm {period.word}")
    else:
        echo(f"destroyed {period}")


@contextmanager
def _open_rotation(*, act: str | None = None) -> Iterator[Rotation]:
    settings = read_settings()
    keys = settings.load_keys()
    if settings.key_file is None:
        raise SettingsError(
            "AGI_ROUTER_KEY holds the keys themselves, which no command can change: write them to"
            " a file (mode 0600) and set AGI_ROUTER_KEY_FILE"
        )
    with open_database(settings) as connection:
        check_schema(connection)
        if act is not None:
            record_act(Queries(connection), act)
        yield Rotation(connection, check_keys(connection, keys), settings.key_file)


def _await_routers(rotation: Rotation, wait: float) -> None:
    """
    Wait until all routers know the keys in the file.

    Raises:
        KeyInUse: Some do not, and time is over.
    """
    deadline = time.monotonic() + wait
    while unaware := rotation.unaware():
        if time.monotonic() >= deadline:
            raise KeyInUse(
                f"{len(unaware)} connection(s) of routers do not know the new keys, so the old"
                f" ones are still written with: {'; '.join(unaware[:_SHOWN])}. Bring the key file"
                " to their machines, or restart those whose keys are set by AGI_ROUTER_KEY; end"
                " one that is no router by pg_terminate_backend(pid); then run this again"
            )
        time.sleep(_LOOK)


def _renew(rotation: Rotation, *, over: bool, as_json: bool) -> None:
    """
    Renew all rows, with a bar on stderr.

    Raises:
        SealError: Some could not be renewed.
    """
    rotation.renew_secrets()
    renewal = rotation.renewal(over=over)
    done = 0
    with click.progressbar(
        length=renewal.outstanding(), label="renewing", show_pos=True, file=sys.stderr
    ) as bar:
        for count in renewal.run():
            done += count
            bar.update(count)
    # Now that no route is found by an older tag, no mark is needed under one.
    rotation.renew_secrets()
    done -= len(renewal.left)
    if as_json:
        current = {"tag": rotation.keys.tag_key_id, "seal": rotation.keys.seal_key_id}
        left = [{"binding": str(name), "why": why} for name, why in renewal.left]
        echo_json({"current": current, "renewed": done, "left": left})
    else:
        echo(f"{done} binding(s) renewed")
    _check_whole(renewal)


def _check_whole(renewal: Renewal) -> None:
    if renewal.left:
        name, why = renewal.left[0]
        raise SealError(
            f"{len(renewal.left)} binding(s) could not be renewed and keep their old keys in use;"
            f" the first is {name}: {why}"
        )


def _say(text: str) -> None:
    echo(text, err=True)

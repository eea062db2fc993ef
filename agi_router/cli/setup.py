"""
``agi-router setup``: everything that stands between an Asterisk of one's own and the first call.
"""

import os
import re
import socket
from importlib.resources import files
from pathlib import Path

import click

from agi_router.cli.output import echo
from agi_router.errors import SettingsError
from agi_router.setup.asterisk_copy import open_copy
from agi_router.setup.host import (
    ETC,
    Host,
    asterisk_directory,
    database_name,
    steps,
)
from agi_router.setup.snippets import (
    EDITED,
    OWN,
    OWNER,
    USER,
    Site,
    asterisk_files,
    database_sql,
    pg_hba,
    pg_ident,
    restored_files,
)

__all__ = ["setup"]

_DATABASE = "agi_router"
_SHOWN = ("database.sql", "pg_ident.conf", "pg_hba.conf", "asterisk")


@click.command()
@click.option("--database", metavar="NAME", help="Database to use. [default: agi_router]")
@click.option(
    "--carrier",
    "carriers",
    metavar="ADDRESS",
    multiple=True,
    help="Where the carrier's calls come from; may be given several times.",
)
@click.option("--trunk", metavar="HOST[:PORT]", help="Where calls go out to.")
@click.option("--http", is_flag=True, help="The HTTP door, too: its account and its unit.")
@click.option("--check", "checking", is_flag=True, help="Change nothing, tell what is missing.")
@click.option("--show", type=click.Choice(_SHOWN), help="Print one of the texts, and do nothing.")
@click.option(
    "--apply-asterisk",
    "copy",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write Asterisk's files into a copy of /etc/asterisk, made if DIR is not there; in a"
    " directory of root's.",
)
@click.option(
    "--remove",
    "removing",
    is_flag=True,
    help="Undo it, but keep the key; with --apply-asterisk, undo that in the copy.",
)
@click.pass_context
def setup(
    context: click.Context,
    *,
    database: str | None,
    carriers: tuple[str, ...],
    trunk: str | None,
    http: bool,
    checking: bool,
    show: str | None,
    copy: Path | None,
    removing: bool,
) -> None:
    r"""
    Make what the service needs on the machine of an Asterisk: as root, and as often as you like.

    That is: the account, /etc/agi-router with key and secrets, the journal's directory, settings,
    a command line that reads them, the systemd unit, and the prompts where this Asterisk looks for
    them. Files that it has not made, or that were changed since, are left as they are. What is for
    you to do, in PostgreSQL and in Asterisk, is printed.

    \b
    Example:
      agi-router setup --database telecom
      agi-router setup --apply-asterisk /root/asterisk.new --carrier 192.0.2.10 --trunk 192.0.2.20
      diff -ru /etc/asterisk /root/asterisk.new
    """
    name = _database(database)
    if show in {"database.sql", "pg_ident.conf", "pg_hba.conf"}:
        texts = {
            "database.sql": database_sql(name),
            "pg_ident.conf": pg_ident(http=http),
            "pg_hba.conf": pg_hba(name),
        }
        echo(texts[show], nl=False)
        return
    if os.geteuid():
        raise SettingsError("setup looks at files that only root may read: run it as root")
    if show is not None:
        for file, text in asterisk_files({}, _site(carriers, trunk)).items():
            echo(f"; ---- {file}\n{text}")
    elif copy is not None:
        _apply(copy, None if removing else _site(carriers, trunk))
    elif removing:
        for what, told in Host().remove():
            echo(f"{what:8}  {told}")
        echo(_AFTER_REMOVAL.format(database=name, user=USER, owner=OWNER), nl=False)
    elif not _make(name, checking=checking, http=http):
        context.exit(1)


def _database(given: str | None) -> str:
    name = given or database_name() or _DATABASE
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", name):
        raise SettingsError("--database: letters, digits, '_', '.' and '-' are allowed")
    return name


def _make(database: str, *, checking: bool, http: bool) -> bool:
    """
    Take every step, or only look; whether nothing is left to do.
    """
    done = True
    for step in steps(Host(), database, http=http):
        missing = step.look()
        if missing and not checking and not missing.startswith("left"):
            step.make()
            echo(f"made     {step.what}")
            missing = step.look()
        elif not missing:
            echo(f"ok       {step.what}")
        if missing:
            told, _, why = (
                missing.partition(": ") if missing.startswith("left") else ("missing", "", missing)
            )
            echo(f"{told:7}  {step.what}: {why}")
            done = done and told == "left"
    if not checking:
        echo(
            _NEXT.format(
                sql=database_sql(database), ident=pg_ident(http=http), hba=pg_hba(database)
            )
        )
    return done


_NEXT = """
Keep a copy of /etc/agi-router/key in a safe place: without it the database cannot be read.

PostgreSQL, as its administrator (agi-router setup --show database.sql, and so on):

{sql}
in pg_ident.conf:

{ident}
in pg_hba.conf, before other lines that begin with "local":

{hba}
Asterisk, into a copy to look at:

agi-router setup --apply-asterisk /root/asterisk.new --carrier ADDRESS --trunk ADDRESS

Then: agi-router db migrate; agi-router db grant agi-router; agi-router doctor.
See docs/install.md."""

_AFTER_REMOVAL = """
Left for you: our lines in Asterisk's files (agi-router setup --remove --apply-asterisk DIR takes
them out of a copy), in pg_ident.conf and in pg_hba.conf; and in the database "{database}":

DROP SCHEMA agi_router CASCADE;
DROP OWNED BY "{user}", "{owner}";
DROP ROLE "{user}", "{owner}";
"""


def _site(carriers: tuple[str, ...], trunk: str | None) -> Site:
    if not carriers or trunk is None:
        raise SettingsError("say --carrier and --trunk: where calls come from and go out to")
    for given in (*carriers, trunk):
        if not re.fullmatch(r"[A-Za-z0-9.:/\[\]-]{1,255}", given):
            raise SettingsError("--carrier and --trunk are addresses, like 192.0.2.10")
    try:
        password = (ETC / "ari-password").read_text("utf-8").strip()
        secret = (ETC / "agi-secret").read_text("utf-8").strip()
    except FileNotFoundError:
        raise SettingsError("there are no secrets yet: run 'agi-router setup' first") from None
    default = next(Path("/usr/lib").glob("*/asterisk/modules"), Path("/usr/lib/asterisk/modules"))
    modules = asterisk_directory("Module directory", str(default))
    name = re.sub(r"[^a-z0-9]", "", socket.gethostname().partition(".")[0].lower())
    return Site(
        name=name or "pbx",
        carriers=carriers,
        trunk=trunk,
        modules=frozenset(path.name for path in modules.glob("*.so")),
        ari_password=password,
        agi_secret=secret,
        dialplan=files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8"),
    )


def _apply(path: Path, site: Site | None) -> None:
    """
    Write Asterisk's files into a copy; without a site, take out what was written.
    """
    with open_copy(path) as copy:
        before = {name: text for name in EDITED if (text := copy.read(name)) is not None}
        after = restored_files(before) if site is None else asterisk_files(before, site)
        for name, text in after.items():
            if before.get(name) != text:
                copy.write(name, text)
                echo(f"changed  {path / name}")
        if site is None:
            for name in OWN:
                copy.remove(name)

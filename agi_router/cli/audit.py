"""
``agi-router audit``: who had real numbers shown to him, and whether that record is whole.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import click

from agi_router.cli.arguments import COUNT, NUMBER, SINCE
from agi_router.cli.context import open_database, read_settings
from agi_router.cli.output import (
    echo,
    echo_json,
    echo_pairs,
    echo_table,
    json_option,
)
from agi_router.db.connection import Queries
from agi_router.db.migrate import check_schema
from agi_router.db.rights import Purpose, check_rights
from agi_router.numbers import PhoneNumber
from agi_router.records.audit import Audit
from agi_router.records.chain import Algorithm, SigningKey
from agi_router.records.digests import DayDigests
from agi_router.records.heads import (
    open_heads,
    read_heads,
    read_signing_key,
    read_verifying_key,
    write_keys,
)
from agi_router.records.signing import AuditChain
from agi_router.records.verification import Finding
from agi_router.records.views import describe_act, describe_verdict

__all__ = ["group"]

_KEY = "/etc/agi-router-audit/key"
_HEADS = "/var/lib/agi-router-audit/heads"
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("audit")
def group() -> None:
    """
    Who had real numbers shown to him, and who changed what; and whether that record is whole.
    """


@group.command("list")
@click.option(
    "--since",
    type=SINCE,
    default="7d",
    show_default=True,
    help="A time, or how long ago.",
)
@click.option("--until", type=SINCE, help="Before a time, or so long ago.")
@click.option("--act", help='Whose act begins so, like "lock" or "POST /v1/locks".')
@click.option("--user", help="By this user of a host.")
@click.option("--api-key", help="With this API key.")
@click.option("--case", help="For this case.")
@click.option("--person", type=NUMBER, metavar="NUM", help="About this person: - asks for it.")
@click.option("--limit", type=COUNT, default=100, show_default=True, help="At most so many.")
@json_option
def list_(  # noqa: PLR0917 - filters
    since: datetime,
    until: datetime | None,
    act: str | None,
    user: str | None,
    api_key: str | None,
    case: str | None,
    person: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    r"""
    List who had real numbers shown to him, and who changed what; newest first.

    The user is the real one of the process, the login that which the kernel keeps; what sudo said
    is a hint, for anybody can say it. JSON also says what stood before a change, and what after.

    \b
    Examples:
      agi-router audit list --since 30d --act lock
      agi-router audit list --since 1y --person - --json
    """
    settings = read_settings()
    tags = None
    if person is not None:
        number = PhoneNumber.parse(person, fixed_lines=settings.fixed_lines)
        tags = settings.load_keys().tags(number)
    with open_database(settings) as connection:
        check_schema(connection)
        check_rights(connection, Purpose.AUDIT)
        rows = Audit(Queries(connection)).rows(
            since=since,
            until=until,
            act=act,
            user=user,
            api_key=api_key,
            case_id=case,
            tags=tags,
            limit=limit,
        )
    if as_json:
        echo_json(list(map(describe_act, rows)))
        return
    echo_table(
        (
            "at",
            "user",
            "login",
            "sudo says",
            "role",
            "from",
            "act",
            "what",
            "case",
            "reason",
            "key",
            "request",
        ),
        [
            (
                row["at"],
                f"{row['name']} ({row['uid']})",
                row["login_uid"],
                row["claimed"],
                row["role"],
                row["address"] or row["host"],
                row["act"],
                row["subject"],
                row["case_id"],
                row["reason"],
                row["api_key"],
                row["request_id"],
            )
            for row in rows
        ],
        empty="nobody had a real number shown to him, or changed anything that is recorded",
    )


@group.command("new-key")
@click.option(
    "--file", type=_FILE, default=_KEY, show_default=True, help="The new file, mode 0600."
)
@json_option
def new_key(file: Path, *, as_json: bool) -> None:
    r"""
    Make the key that signs the audit, and beside it FILE.pub, by which anybody can verify.

    The account of the database must not be able to read it: who can write the database and has
    this key can make another audit.

    \b
    Example:
      agi-router audit new-key --file /etc/agi-router-audit/key
    """
    key = SigningKey.generate()
    public = write_keys(file, key)
    told = {"key": key.partner.id, "file": str(file), "public": str(public)}
    (echo_json if as_json else echo_pairs)(told)


@group.command("sign")
@click.option("--key", type=_FILE, default=_KEY, show_default=True, help="The signing key.")
@click.option(
    "--heads",
    type=_FILE,
    default=_HEADS,
    show_default=True,
    help="The file that gets a line for each signature; keep copies of it elsewhere.",
)
@click.option(
    "--digest",
    type=click.Choice([each.value for each in Algorithm]),
    default=Algorithm.SHA256.value,
    show_default=True,
    help="What makes the digests of new rows.",
)
def sign(key: Path, heads: Path, digest: str) -> None:
    r"""
    Sign what the audit is by now, and print the head, in JSON: who keeps it can prove what was.

    It is for a timer, once an hour or more often, and for a role of its own ("db grant --for
    sign"). It refuses where the audit is no longer what was signed before.

    \b
    Examples:
      agi-router audit sign
      agi-router audit sign --digest sm3 | mail -s "audit head" notary@example.com
    """
    signing_key = read_signing_key(key)
    with open_database(read_settings()) as connection:
        check_schema(connection)
        check_rights(connection, Purpose.SIGN)
        # Who may not sign leaves no file behind.
        with open_heads(heads) as file:
            head = AuditChain(Queries(connection)).sign(file, signing_key, Algorithm(digest))
    echo(head.to_line())


@group.command("verify")
@click.option(
    "--public-key",
    "public_keys",
    type=_FILE,
    multiple=True,
    default=(f"{_KEY}.pub",),
    show_default=True,
    help="A public key that is believed, as often as needed.",
)
@click.option(
    "--heads",
    type=_FILE,
    multiple=True,
    default=(_HEADS,),
    show_default=True,
    help="A file of heads, as often as needed: that of the signer, and copies kept elsewhere.",
)
@click.option(
    "--digests",
    is_flag=True,
    help="Also make the digests of days anew, of bindings, calls, texts and events; takes a role"
    " that serves.",
)
@json_option
@click.pass_context
def verify(
    context: click.Context,
    public_keys: Sequence[Path],
    heads: Sequence[Path],
    *,
    digests: bool,
    as_json: bool,
) -> None:
    r"""
    Find out whether a row of the audit was changed, removed, inserted or moved; name the first.

    The exit code is 1 where something was found. Rows that are not signed yet are counted.

    \b
    Example:
      agi-router audit verify --heads /var/lib/agi-router-audit/heads --heads ~/head-of-may
    """
    keys = [read_verifying_key(each) for each in public_keys]
    signed = [head for each in heads for head in read_heads(each)]
    with open_database(read_settings()) as connection:
        check_schema(connection)
        check_rights(connection, Purpose.SERVE if digests else Purpose.AUDIT)
        queries = Queries(connection)
        verdict = AuditChain(queries).verify(signed, keys)
        if digests:
            clock = queries.row("today", {})
            today = clock["day"] if clock else date.min
            found = [
                Finding(each.what, audit_id=each.audit_id)
                for each in DayDigests(queries).compare(today)
            ]
            verdict = replace(verdict, findings=[*verdict.findings, *found])
    if as_json:
        echo_json(describe_verdict(verdict))
    else:
        for each in verdict.findings:
            place = "" if each.position is None else f"place {each.position}: "
            row = "" if each.audit_id is None else f" (row {each.audit_id})"
            echo(f"{place}{each.what}{row}")
        if not verdict.findings:
            echo(
                f"the audit is as it was signed: {verdict.signed} row(s);"
                f" {verdict.unsigned} not signed yet"
            )
    if verdict.findings:
        context.exit(1)

"""The audit's chain: digests, heads, and the files that hold heads and keys."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from agi_router.errors import AuditFileInvalid
from agi_router.records.chain import (
    BEGIN,
    Algorithm,
    Head,
    SigningKey,
    VerifyingKey,
    digest_row,
)
from agi_router.records.heads import (
    open_heads,
    read_heads,
    read_signing_key,
    read_verifying_key,
    write_keys,
)
from agi_router.records.verification import KEPT, Finding, Walk, believe

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = SigningKey.generate()
ROWS = st.dictionaries(
    st.sampled_from(["act", "subject", "reason", "uid"]),
    st.none() | st.text() | st.integers(-(2**63), 2**63 - 1),
)


@given(ROWS, ROWS, st.integers(1, 2**63), st.sampled_from(Algorithm))
def test_digest_is_of_what_a_row_says(
    row: dict[str, object], other: dict[str, object], position: int, by: Algorithm
) -> None:
    """Two rows have one digest if, and only if, they say the same; so have two places."""
    said = [{k: v for k, v in each.items() if v is not None} for each in (row, other)]
    one, two = (digest_row(BEGIN, position, each, by) for each in (row, other))
    assert len(one) == 32
    assert (one == two) is (said[0] == said[1])
    assert digest_row(BEGIN, position + 1, row, by) != one
    assert digest_row(one, position, row, by) != one


def test_time_is_the_moment_and_not_how_it_is_written() -> None:
    """A session's time zone changes no digest."""
    shanghai = AT.astimezone(timezone(timedelta(hours=8)))
    one, two = (digest_row(BEGIN, 1, {"at": at}, Algorithm.SM3) for at in (AT, shanghai))
    assert one == two
    assert digest_row(BEGIN, 1, {"at": AT}, Algorithm.SHA256) != one


def test_head_is_a_line() -> None:
    """What was printed is read again; its key knows it, and no other key."""
    head = KEY.sign(7, bytes(range(32)), AT)
    again = Head.parse(head.to_line())
    assert again == head
    assert KEY.partner.has_signed(again)
    assert not SigningKey.generate().partner.has_signed(again)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position", 8),
        ("digest", "00" * 32),
        ("signed_at", "2026-03-01T12:00:00.000001+00:00"),
        ("key", "0" * 16),
        ("signature", "AAAA"),
    ],
)
def test_head_that_was_changed(name: str, value: object) -> None:
    """Whatever is changed in it, it is signed by nobody."""
    said = json.loads(KEY.sign(7, bytes(range(32)), AT).to_line())
    assert said[name] != value
    assert not KEY.partner.has_signed(Head.parse(json.dumps({**said, name: value})))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        '{"position": 1, "digest": "x", "signed_at": "", "key": "", "signature": ""}',
        '{"position": 1, "digest": "", "signed_at": "2026-03-01", "key": "", "signature": ""}',
        '{"position": null, "digest": "", "signed_at": "", "key": "", "signature": ""}',
    ],
)
def test_what_is_no_head(line: str) -> None:
    """It is told apart."""
    with pytest.raises(ValueError):  # noqa: PT011 - json's own is one
        Head.parse(line)


def test_keys_in_files(tmp_path: Path) -> None:
    """The private key is its owner's, the public one stands beside it; none is overwritten."""
    file = tmp_path / "key"
    public = write_keys(file, KEY)
    assert (file.stat().st_mode & 0o777, public.name) == (0o600, "key.pub")
    assert read_signing_key(file).partner.id == KEY.partner.id == read_verifying_key(public).id
    with pytest.raises(AuditFileInvalid, match="exists"):
        write_keys(file, KEY)
    file.chmod(0o644)
    with pytest.raises(AuditFileInvalid, match="chmod 600"):
        read_signing_key(file)


def test_keys_that_are_none(tmp_path: Path) -> None:
    """Not there, no PEM, of another kind."""
    other = generate_private_key(SECP256R1())
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(AuditFileInvalid, match="new-key"):
        read_signing_key(tmp_path / "none")
    with pytest.raises(AuditFileInvalid, match="name a copy of it"):
        read_verifying_key(tmp_path / "none")
    with pytest.raises(AuditFileInvalid, match=r"make .*none first"):
        write_keys(tmp_path / "none" / "key", KEY)
    for content, why in ((b"x", "PEM"), (private, "Ed25519")):
        file = tmp_path / "key"
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(AuditFileInvalid, match=why):
            read_signing_key(file)
    for content, why in ((b"x", "PEM"), (public, "Ed25519")):
        with pytest.raises(ValueError, match=why):
            VerifyingKey.parse(content)


def test_file_of_heads(tmp_path: Path) -> None:
    """It grows by lines; one that a crash has cut is passed over, and written anew."""
    file = tmp_path / "heads"
    with open_heads(file) as heads:
        assert heads.last is None
        heads.append(KEY.sign(1, BEGIN, AT))
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"position": 2')
    assert [head.position for head in read_heads(file)] == [1]
    with open_heads(file) as heads:
        assert heads.last == KEY.sign(1, BEGIN, AT)
        heads.append(KEY.sign(3, BEGIN, AT))
        assert heads.last is not None
        assert heads.last.position == 3
    assert [head.position for head in read_heads(file)] == [1, 3]


def test_files_that_hold_no_heads(tmp_path: Path) -> None:
    """A line that is none is named, and a link is not followed."""
    file, link = tmp_path / "heads", tmp_path / "link"
    file.write_text(f"{KEY.sign(1, BEGIN, AT).to_line()}\nx\n")
    link.symlink_to(file)
    with pytest.raises(AuditFileInvalid, match="line 2"):
        read_heads(file)
    with pytest.raises(AuditFileInvalid, match="cannot be read"):
        read_heads(tmp_path / "none")
    with pytest.raises(AuditFileInvalid, match="cannot be opened"), open_heads(link):
        pass


Chain = list[dict[str, object]]


def a_chain(rows: int) -> Chain:
    """Rows as the database gives them, each at its place."""
    made: Chain = []
    digest = BEGIN
    for position in range(1, rows + 1):
        row = {"id": position + 100, "act": "lock set", "subject": f"lock {position}"}
        digest = digest_row(digest, position, row, Algorithm.SHA256)
        of_chain = {"position": position, "audit_id": row["id"], "algorithm": "sha256"}
        made.append({**row, **of_chain, "digest": digest})
    return made


def chained(rows: Chain) -> Chain:
    """The same rows with digests that fit, as anybody can make them."""
    digest = BEGIN
    made: Chain = []
    for position, row in enumerate(rows, start=1):
        said = {name: row[name] for name in ("id", "act", "subject")}
        digest = digest_row(digest, position, said, Algorithm.SHA256)
        made.append({**row, "position": position, "digest": digest})
    return made


def look(rows: Chain, heads: dict[int, Head]) -> tuple[Walk, Finding | None]:
    walk = Walk(heads)
    for row in rows:
        walk.step(row)
    walk.end()
    return walk, walk.finding


@given(data=st.data(), rows=st.integers(1, 12))
def test_any_change_is_found(data: st.DataObject, rows: int) -> None:
    """A row is changed, removed, inserted or moved, and digests are made anew or not."""
    chain = a_chain(rows)
    places = data.draw(st.sets(st.integers(1, rows)).map(lambda some: some | {rows}))
    heads = {
        place: KEY.sign(place, bytes(chain[place - 1]["digest"]), AT)  # type: ignore[call-overload]
        for place in places
    }
    walk, finding = look(chain, heads)
    assert (finding, walk.rows, walk.signed) == (None, rows, rows)
    at = data.draw(st.integers(0, rows - 1))
    other = [dict(row) for row in chain]
    what = data.draw(st.sampled_from(["changed", "removed", "inserted", "moved"]))
    if what == "changed":
        other[at]["subject"] = "nothing"
    elif what == "removed":
        del other[at]
    elif what == "inserted":
        other.insert(at, {**chain[at], "id": 99, "audit_id": 99})
    else:
        to = data.draw(st.integers(0, rows - 1))
        other[at], other[to] = other[to], other[at]
        at = min(at, to)
    if other == chain:
        return
    first = at + 1
    if data.draw(st.booleans()) or at == len(other):
        # Where all fits nobody can tell what was changed behind the last head that holds.
        other = chained(other)
        first = max((place for place in places if place <= at), default=0) + 1
    _, finding = look(other, heads)
    assert finding is not None
    assert finding.position == first


def test_what_the_walk_meets() -> None:
    """A row that is gone, an algorithm that there is not, and what was deleted up to a head."""
    chain = a_chain(3)
    old, last = (
        KEY.sign(place, bytes(chain[place - 1]["digest"]), at)  # type: ignore[call-overload]
        for place, at in ((1, AT), (3, AT + KEPT))
    )
    walk, finding = look(chain[1:], {1: old, 3: last})
    assert (finding, walk.rows, walk.signed, walk.position) == (None, 2, 3, 3)
    _, finding = look(chain[1:], {1: replace(old, signed_at=AT + timedelta(hours=1)), 3: last})
    assert finding == Finding("a row was removed from the chain", 1)
    for row, what in (
        ({**chain[0], "id": None}, "a row was removed"),
        ({**chain[0], "algorithm": "md5"}, "algorithm"),
    ):
        _, finding = look([row, *chain[1:]], {})
        assert finding is not None
        assert (finding.position, finding.audit_id, what in finding.what) == (1, 101, True)


def test_heads_that_are_believed() -> None:
    """Those of a known key; of one place the last, unless they differ."""
    one, later, other = (
        KEY.sign(1, BEGIN, AT),
        KEY.sign(1, BEGIN, AT + timedelta(hours=1)),
        KEY.sign(1, bytes(31) + b"x", AT),
    )
    assert believe([one, later], [KEY.partner]) == ({1: later}, [])
    assert believe([later, one], [KEY.partner]) == ({1: later}, [])
    foreign = SigningKey.generate().sign(2, BEGIN, AT)
    believed, findings = believe([one, other, foreign], [KEY.partner])
    assert believed == {1: one}
    assert [each.position for each in findings] == [1, 2]

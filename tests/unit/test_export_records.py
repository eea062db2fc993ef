"""Records of an export: written and read back, sealed, known by their ledger."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from agi_router.errors import RequestInvalid
from agi_router.exports.formats import Csv, Jsonl, find_format
from agi_router.exports.kinds import KINDS, describe, read_cells, write_cells
from agi_router.exports.ledger import Ledger, LedgerWriter, marks_of
from agi_router.exports.manifest import Manifest, PackedFile
from agi_router.exports.sealing import Recipient, RecipientKey, Sealer, open_sealed
from agi_router.keys.segments import SEGMENT, FileCipher
from agi_router.records.chain import SigningKey
from harness.values import NOW

CALLS = next(kind for kind in KINDS if kind.name == "calls")
KEY = RecipientKey(X25519PrivateKey.generate())
PAGE = Path(__file__).parents[2] / "docs/export-schema.json"
CELLS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def test_schema_file() -> None:
    """What stands in docs is what a package has."""
    assert json.loads(PAGE.read_text("utf-8")) == describe()


@given(st.lists(CELLS, min_size=1))
def test_cells(cells: list[str | None]) -> None:
    """What is written is read back."""
    line = write_cells(cells)
    assert b"\n" not in line
    assert list(read_cells(line)) == cells


def test_cells_of_other_types() -> None:
    """Times are in UTC, truth is a letter."""
    assert write_cells([1, True, False, NOW]) == b"1\tt\tf\t2025-03-14T21:30:25+00:00"


@given(st.lists(st.lists(CELLS, min_size=len(CALLS.columns), max_size=len(CALLS.columns))))
def test_formats(rows: list[list[str | None]]) -> None:
    """By template or one by one: the same."""
    rows = [
        [
            str(len(cell)) if cell and column.type == "integer" else (cell or None)
            for cell, column in zip(row, CALLS.columns, strict=True)
        ]
        for row in rows
    ]
    lines = list(map(write_cells, rows))
    told = Jsonl().encode(CALLS, lines)
    read = [list(json.loads(line).values()) for line in told.split(b"\n")[:-1]]
    assert [[None if v is None else str(v) for v in row] for row in read] == rows
    together = Csv().encode(CALLS, lines)
    assert together == b"".join(Csv().encode(CALLS, [line]) for line in lines)


def test_no_such_format() -> None:
    """Those that there are, are named."""
    with pytest.raises(RequestInvalid, match="csv, jsonl"):
        find_format("xml")


def sealed(clear: bytes, cipher: FileCipher, recipient: Recipient) -> bytes:
    """Something sealed in two pieces."""
    out = io.BytesIO()
    sealer = Sealer(out.write, recipient, cipher)
    sealer.write(clear[:7])
    sealer.write(clear[7:])
    sealer.close()
    return out.getvalue()


def opened(content: bytes, key: RecipientKey = KEY) -> bytes:
    """What it says."""
    return b"".join(open_sealed(io.BytesIO(content).read, key))


@pytest.mark.parametrize("cipher", FileCipher)
@pytest.mark.parametrize("length", [0, 10, SEGMENT, SEGMENT + 1])
def test_sealing(cipher: FileCipher, length: int) -> None:
    """What was sealed comes out, and nothing of it where it was cut off at any segment."""
    clear = bytes(length)
    content = sealed(clear, cipher, KEY.partner)
    assert opened(content) == clear
    head = content.index(b"\n") + 1
    for damaged in (content[:-1], content[:head], content[: head + SEGMENT + 16][:-1]):
        with pytest.raises(ValueError, match="is not as it was sealed"):
            opened(damaged)


def changed(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The same with another header."""
    head, _, rest = content.partition(b"\n")
    header = json.loads(head)
    change(header)
    return json.dumps(header).encode() + b"\n" + rest


def test_headers() -> None:
    """A header that is none, another's or incomplete opens nothing."""
    content = sealed(b"clear", FileCipher.AES_256_GCM, KEY.partner)
    for wrong in (b"", b"no end", b"{}\n", b"[]\n", b"x" * 10000 + b"\n"):
        with pytest.raises(ValueError, match="is no sealed file"):
            opened(wrong)
    for change in (lambda h: h.pop("key"), lambda h: h.pop("ephemeral")):
        with pytest.raises(ValueError, match="not sealed for this key"):
            opened(changed(content, change))
    with pytest.raises(ValueError, match="is not as it was sealed"):
        opened(changed(content, lambda h: h.update(recipient="another")))
    with pytest.raises(ValueError, match="is not as it was sealed"):
        opened(changed(content, lambda h: h.update(cipher="sm4-gcm")))


def test_keys() -> None:
    """Keys of X25519 and of RSA serve, others do not."""
    rsa = RecipientKey(generate_private_key(public_exponent=65537, key_size=2048))
    assert opened(sealed(b"x", FileCipher.SM4_GCM, rsa.partner), rsa) == b"x"
    weak = generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what is refused
    other = Ed25519PrivateKey.generate()
    for key in (KEY.key, rsa.key):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert RecipientKey.parse(private).partner.id == Recipient.parse(public).id
    for wrong in (weak, other):
        public = wrong.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(ValueError, match="neither"):
            Recipient.parse(public)
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, why in ((private, "no key of"), (b"-", "no private key")):
        with pytest.raises(ValueError, match=why):
            RecipientKey.parse(content)
    with pytest.raises(ValueError, match="no public key"):
        Recipient.parse(b"-")


def test_whose_records_are() -> None:
    """The cell tells; empty: nobody's."""
    kind = next(each for each in KINDS if each.name == "calls")
    place = [each.name for each in kind.columns].index("tenant")
    cells: list[str | None] = [None] * len(kind.columns)
    lines = []
    for tenant in ("shop", None, "shop", "a\tb"):
        cells[place] = tenant
        lines.append(write_cells(cells))
    counted = kind.tenants(lines)
    assert {read_cells(cell)[0]: n for cell, n in counted.items()} == {
        "shop": 2,
        None: 1,
        "a\tb": 1,
    }


def test_manifests() -> None:
    """What is not one, or was signed by another, is refused."""
    key = SigningKey.generate()
    file = PackedFile(
        name="calls-0001",
        kind="calls",
        records=2,
        tenants={"shop": 1},
        clear_sha256="",
        octets=1,
        sha256="",
    )
    manifest = Manifest(
        **dict.fromkeys(
            ("made_at", "numbers", "format", "cipher", "recipient", "schema_sha256"), "-"
        ),
        day="2026-03-01",
        sequence=0,
        files=[file],
    )
    text = manifest.to_text(key)
    assert Manifest.parse(text, [key.partner]) == Manifest.parse(text) == manifest
    assert (manifest.name, manifest.counts["calls"]) == ("2026-03-01-000", 2)
    assert (set(manifest.tenants), manifest.tenants["shop"]["calls"]) == ({"shop"}, 1)
    assert manifest.without_files().files == []
    for wrong in ("", "[]", "{}", '{"signature": "-"}'):
        with pytest.raises(ValueError, match="is no manifest"):
            Manifest.parse(wrong)
    with pytest.raises(ValueError, match="is signed by none"):
        Manifest.parse(text, [SigningKey.generate().partner])


@given(
    st.lists(st.integers(0, 60), unique=True).map(sorted),
    st.sets(st.integers(0, 60)),
    st.sets(st.integers(0, 60)),
)
def test_ledgers(
    tmp_path_factory: pytest.TempPathFactory, then: list[int], changed: set[int], gone: set[int]
) -> None:
    """Whatever has come, changed or gone meanwhile: what is not known is new, nothing else."""
    path = tmp_path_factory.mktemp("ledger") / "calls"
    with LedgerWriter(path) as writer:
        writer.add(marks_of([b"%d" % each for each in then]))
        writer.sync()
    now = [
        b"%d%s" % (each, b"!" if each in changed else b"")
        for each in range(61)
        if each not in gone
    ]
    with Ledger(path) as ledger:
        late = [line for line in now if not ledger.knows(marks_of([line])[0])]
    assert late == [line for line in now if line.endswith(b"!") or int(line) not in then]

"""Sealing: key rings, tags, sealed numbers, key files."""

from __future__ import annotations

import base64
import itertools
import os
import re
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agi_router.bindings.words import Side
from agi_router.errors import KeyMismatch, KeyRingError, SealError
from agi_router.keys.file import load_key_ring, replace_key_ring, write_key_ring
from agi_router.keys.ring import Cipher, KeyRing, Purpose, Row, _Sm4Gcm
from agi_router.numbers import PhoneNumber
from harness.values import A, B, X, Y

K1 = bytes(range(32))
K2 = bytes(range(32, 64))
T1 = base64.b64encode(K1).decode()
T2 = base64.b64encode(K2).decode()

RING = KeyRing.parse(f"tag 1 {T1}\nseal 1 {T2}")
SM4_RING = replace(RING, cipher=Cipher.SM4_GCM)
SM4_DERIVED = "9f275bf46c89f7924342765c34fe931a"
ROW = Row(7, X.value, 5, Side.A, Y.value)
BOUND = b"callee|7|700123456780001|700123456780002|a|5"
CALLEE = Purpose.CALLEE


def test_text_forms() -> None:
    """Comments, empty lines, several kinds of ends: one ring."""
    text = f"# keys; of ours\r\n\r\n  tag\t1  {T1}  # current\r\nseal 001 {T2}\r\n"
    assert KeyRing.parse(text) == RING
    assert KeyRing.parse(f"seal 1 {T2};tag 1 {T1};") == RING
    assert KeyRing.parse(RING.to_text()) == RING
    assert RING.to_text() == f"tag 1 {T1}\nseal 1 {T2}\n"


def test_generate() -> None:
    """New rings differ, and survive being written."""
    ring = KeyRing.generate()
    assert ring != KeyRing.generate()
    assert KeyRing.parse(ring.to_text()) == ring
    assert (ring.tag_key_id, ring.seal_key_id) == (1, 1)
    assert ring.tag_keys[0][1] != ring.seal_keys[0][1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no tag key"),
        (f"tag 1 {T1}", "no seal key"),
        (f"seal 1 {T1}", "no tag key"),
        (f"\nTAG 1 {T1}", "line 2: expected"),
        (f"tag {T1}", "line 1: expected"),
        (f"tag 1 {T1} {T2}", "line 1: expected"),
        (f"tag -1 {T1}", "line 1: expected"),
        (f"tag \u0661 {T1}", "line 1: expected"),
        (f"tag 1 {T1[:-2]}!=", "line 1: the key is not base64"),
        (f"tag 1 {T1[:-1]}", "line 1: the key is not base64"),
        (f"tag 1 {T1[:-1]}\u00e9", "line 1: the key is not base64"),
        (f"tag 1 AAAA;seal 1 {T2}", "tag key 1 is not 32 bytes"),
        (f"tag 1 {T1}{T2};seal 1 {T2}", "line 1: the key is not base64"),
        (f"tag 0 {T1};seal 1 {T2}", "1 to 255"),
        (f"tag 1 {T1};seal 256 {T2}", "1 to 255"),
        (f"tag 1 {T1};seal 2 {T2};seal 2 {T1}", "seal key 2 is listed twice"),
    ],
)
def test_malformed_text(text: str, words: str) -> None:
    """The message says where and what, and shows no key, nor does the traceback."""
    with pytest.raises(KeyRingError, match=words) as caught:
        KeyRing.parse(text)
    shown = "".join(traceback.format_exception_only(caught.value))
    assert T1[:8] not in shown
    assert T2[:8] not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_repr_shows_no_key() -> None:
    """Only ids are shown."""
    assert repr(RING) == str(RING) == "<KeyRing tag=[1] seal=[1]>"


def test_tag_is_stable() -> None:
    """The value is a promise: stored rows are found by it."""
    # hmac-sha256(bytes(0..31), "13912340001"), first 8 bytes, computed by openssl.
    assert RING.tag(A) == -0x60B4B44CE6CAB6E
    assert -(2**63) <= RING.tag(B) < 2**63


def test_another_person_or_key_has_another_tag() -> None:
    """The tag depends on the number and the key, and on nothing else."""
    other = KeyRing.parse(f"tag 1 {T2};seal 1 {T2}")
    assert len({RING.tag(A), RING.tag(B), other.tag(A)}) == 3


def test_tag_is_never_the_wildcard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash of zeros becomes 1; a hash with its first bit set is negative."""
    monkeypatch.setattr("hmac.HMAC.digest", lambda *_: bytes(32))
    assert RING.tag(A) == 1
    monkeypatch.setattr("hmac.HMAC.digest", lambda *_: b"\xff" * 32)
    assert RING.tag(A) == -1


def test_tags_of_orders() -> None:
    """Each part of what is tagged counts, and where one part ends; a newer key comes first."""
    numbers = [A, B]
    (tag,) = RING.order_tags("default", "O-1", "axb", numbers=numbers)
    assert RING.order_tags("default", "O-1", "axb", numbers=numbers) == [tag]
    others = {
        RING.order_tags(*names, numbers=parties)[0]
        for names, parties in (
            (("default", "O-1", "axb"), [B, A]),
            (("default", "O-1", "axb"), [A]),
            (("default", "O-1", "axyb"), numbers),
            (("default", "O-2", "axb"), numbers),
            (("rides", "O-1", "axb"), numbers),
            (("defaul", "tO-1", "axb"), numbers),
            (("default", "\udc80", "axb"), numbers),
        )
    }
    assert len(others) == 7
    assert tag not in others
    newer = KeyRing.parse(f"tag 1 {T1}; tag 2 {T2}; seal 1 {T2}")
    assert newer.order_tags("default", "O-1", "axb", numbers=numbers)[1] == tag


def test_rotation() -> None:
    """The last key writes, all read; a key taken out reads no more."""
    both = KeyRing.parse(f"tag 1 {T1};seal 1 {T2};tag 7 {T2};seal 9 {T1}")
    new = KeyRing.parse(f"tag 7 {T2};seal 9 {T1}")
    assert (both.tag_key_id, both.seal_key_id) == (7, 9)
    assert both.tags(A) == [new.tag(A), RING.tag(A)]
    assert both.tag(A) == new.tag(A)

    tag = RING.tag(A)
    old = RING.seal([B], ROW._replace(caller_tag=tag), CALLEE)
    fresh = both.seal([B], ROW._replace(caller_tag=tag), CALLEE)
    assert (old[:3], fresh[:3]) == (b"\x04\x01\x01", b"\x04\x09\x07")
    assert (
        both.open(old, ROW._replace(caller_tag=tag), CALLEE)
        == new.open(fresh, ROW._replace(caller_tag=tag), CALLEE)
        == (B,)
    )
    with pytest.raises(SealError, match="key 1, which is not at hand"):
        new.open(old, ROW._replace(caller_tag=tag), CALLEE)


def test_envelope() -> None:
    """Version, key ids, nonce, ciphertext and tag; never twice the same."""
    sealed = RING.seal([B], ROW, CALLEE)
    assert sealed[:3] == b"\x04\x01\x01"
    assert len(sealed) == 3 + 12 + 16 + 16
    assert sealed != RING.seal([B], ROW, CALLEE)
    assert B.digits.encode() not in sealed
    assert AESGCM(K2).decrypt(sealed[3:15], sealed[15:], sealed[:3] + BOUND) == b"13912340002     "
    # In a row for anyone too: the callee's tag is of that key.
    assert RING.seal([B], ROW.for_strangers, CALLEE)[:3] == b"\x04\x01\x01" == RING.header


@pytest.mark.parametrize(
    ("numbers", "size"), [(1, 16), (2, 32), (3, 64), (5, 64), (6, 128), (200, 4096)]
)
def test_sizes(numbers: int, size: int) -> None:
    """A few sizes for all: fixed lines, mobiles, and groups of about as many."""
    mobiles = [PhoneNumber(digits=f"138000{serial:05}") for serial in range(numbers)]
    fixed = [PhoneNumber.parse(f"010 8{serial:07}", fixed_lines=True) for serial in range(numbers)]
    for several in (mobiles, fixed):
        sealed = RING.seal(several, ROW, CALLEE)
        assert len(sealed) == 3 + 12 + size + 16
        assert RING.open(sealed, ROW, CALLEE) == tuple(several)


# RFC 8998, appendix A.1.
SM4_KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
SM4_NONCE = bytes.fromhex("00001234567800000000ABCD")
SM4_BOUND = bytes.fromhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2")


def test_sm4_gcm_is_that_of_the_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test vector of RFC 8998, appendix A.1."""
    monkeypatch.setattr("agi_router.keys.ring.HKDF.derive", lambda *_: SM4_KEY)
    cipher = _Sm4Gcm(K1)
    plain = b"".join(bytes([each]) * 8 for each in b"\xaa\xbb\xcc\xdd\xee\xff\xee\xaa")
    sealed = cipher.encrypt(SM4_NONCE, plain, SM4_BOUND)
    assert sealed.hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    assert cipher.decrypt(SM4_NONCE, sealed, SM4_BOUND) == plain


def test_sm4_gcm_side_by_side() -> None:
    """A ring writes by one cipher and opens what either has sealed; the key is a derived one."""
    sealed = SM4_RING.seal([B, A], ROW, CALLEE)
    assert sealed[:3] == b"\x05\x01\x01" == SM4_RING.header
    assert RING.open(sealed, ROW, CALLEE) == (B, A)
    assert SM4_RING.open(RING.seal([B], ROW, CALLEE), ROW, CALLEE) == (B,)
    # hkdf-sha256(bytes(32..63), no salt, "agi_router sm4-gcm"), 16 bytes, computed by openssl.
    derived = bytes.fromhex(SM4_DERIVED)
    decryptor = ciphers.Cipher(
        algorithms.SM4(derived), modes.GCM(sealed[3:15], sealed[-16:])
    ).decryptor()
    decryptor.authenticate_additional_data(sealed[:3] + BOUND)
    assert decryptor.update(sealed[15:-16]) + decryptor.finalize() == (
        b"13912340002+13912340001         "
    )
    for altered in (b"\x04" + sealed[1:], sealed[:2] + b"\x02" + sealed[3:], sealed[:20]):
        with pytest.raises(SealError):
            RING.open(altered, ROW, CALLEE)


def test_sm4_gcm_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenSSL without it is found out when the ring is made, and when a number is opened."""
    sealed = SM4_RING.seal([B], ROW, CALLEE)

    def unsupported(*_: object) -> None:
        raise UnsupportedAlgorithm("SM4")

    monkeypatch.setattr("agi_router.keys.ring.ciphers.Cipher", unsupported)
    with pytest.raises(KeyRingError, match="sm4-gcm cannot be had"):
        KeyRing.parse(RING.to_text(), cipher=Cipher.SM4_GCM)
    with pytest.raises(SealError, match="which this OpenSSL lacks"):
        RING.open(sealed, ROW, CALLEE)


def test_rings_are_changed() -> None:
    """A new key is not written with before it is made current; the last one cannot go."""
    ring = RING.with_new("tag", 2).with_new("seal", 7)
    assert (ring.tag_key_id, ring.seal_key_id) == (1, 1)
    assert [keyid for keyid, _ in ring.tag_keys + ring.seal_keys] == [2, 1, 7, 1]
    assert len(ring.tag_keys[0][1]) == 32
    assert ring.tag_keys[0] != RING.with_new("tag", 2).tag_keys[0]
    used = ring.using(tag=2, seal=7)
    assert (used.tag_key_id, used.seal_key_id) == (2, 7)
    assert used.using(tag=1, seal=1) == ring
    assert used.without("tag", 2).without("seal", 7) == RING
    assert replace(ring, cipher=Cipher.SM4_GCM).using(tag=2, seal=7).cipher is Cipher.SM4_GCM
    with pytest.raises(KeyRingError, match="no tag key 9"):
        ring.using(tag=9, seal=1)
    with pytest.raises(KeyRingError, match="no seal key"):
        RING.without("seal", 1)


def test_digest() -> None:
    """It tells which keys there are, and not which are current, nor the keys."""
    ring = RING.with_new("tag", 2)
    assert re.fullmatch("[0-9a-f]{8}", RING.digest)
    assert ring.digest == ring.using(tag=2, seal=1).digest != RING.digest
    assert KeyRing.parse(f"tag 1 {T2};seal 1 {T1}").digest != RING.digest


def test_open_returns_a_fixed_line_too() -> None:
    """What was sealed while fixed lines were on opens while they are off."""
    fixed = PhoneNumber.parse("010 8888 6666", fixed_lines=True)
    assert RING.open(RING.seal([fixed], ROW, CALLEE), ROW, CALLEE) == (fixed,)


def test_several_numbers_open_in_their_order() -> None:
    """Those who ring at once stand in one sealed value."""
    several = (B, A, PhoneNumber.parse("010 8888 6666", fixed_lines=True))
    sealed = RING.seal(several, ROW, CALLEE)
    assert RING.open(sealed, ROW, CALLEE) == several
    plain = AESGCM(K2).decrypt(sealed[3:15], sealed[15:], sealed[:3] + BOUND)
    assert plain.rstrip() == f"{B.digits}+{A.digits}+01088886666".encode()


def _sealed(plain: bytes) -> bytes:
    header, nonce = b"\x04\x01\x01", bytes(12)
    return header + nonce + AESGCM(K2).encrypt(nonce, plain, header + BOUND)


SEALED = RING.seal([B], ROW, CALLEE)


def _other(**columns: object) -> tuple[Row, Purpose]:
    return ROW._replace(**columns), CALLEE  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sealed", "place"),
    [
        (SEALED, _other(binding_id=8)),
        (SEALED, _other(x_number=Y.value)),
        (SEALED, _other(caller_tag=6)),
        (SEALED, _other(caller_tag=-5)),
        (SEALED, _other(caller_tag=0)),
        (SEALED, _other(side=Side.B)),
        (SEALED, _other(side="a|5")),
        (SEALED, _other(shown=X.value)),
        (SEALED, _other(shown=None)),
        (SEALED, (ROW, Purpose.CALLER)),
        (SEALED, (ROW, Purpose.LAST_CALLER)),
        (SEALED[:-1], (ROW, CALLEE)),
        (SEALED + b"\0", (ROW, CALLEE)),
        (SEALED[:-1] + bytes([SEALED[-1] ^ 1]), (ROW, CALLEE)),
        (SEALED[:2] + bytes([SEALED[2] ^ 1]) + SEALED[3:], (ROW, CALLEE)),
        # Versions of before, that of the other cipher, one that is not there yet.
        *((bytes([version]) + SEALED[1:], (ROW, CALLEE)) for version in (0, 1, 2, 3, 5, 6)),
        (SEALED[:2] + b"\x00" + SEALED[3:], (ROW, CALLEE)),
        (SEALED[:3] + bytes([SEALED[3] ^ 1]) + SEALED[4:], (ROW, CALLEE)),
        (b"", (ROW, CALLEE)),
        (SEALED[:15], (ROW, CALLEE)),
        (SEALED[:20], (ROW, CALLEE)),
        # Sealed by somebody with the key, but nothing that could be dialled.
        (_sealed(b"139&PJSIP/1"), (ROW, CALLEE)),
        (_sealed(b"\xff"), (ROW, CALLEE)),
        (_sealed(b"13912340002+"), (ROW, CALLEE)),
        (_sealed(b"13912340002+700123456780001"), (ROW, CALLEE)),
        (_sealed(b"                "), (ROW, CALLEE)),
    ],
    # What was sealed differs in every process, and a test has one name in all.
    ids=map(str, itertools.count()),
)
def test_what_does_not_open(sealed: bytes, place: tuple[Row, Purpose]) -> None:
    """Wrong place, altered, cut: one error, which tells nothing."""
    with pytest.raises(SealError, match=r"^A sealed number does not open") as caught:
        RING.open(sealed, *place)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_floor() -> None:
    """Once it is raised no older key becomes current again, whatever is asked for."""
    ring = RING.with_new("tag", 2).with_new("seal", 7)
    assert "floor" not in ring.to_text()
    raised = ring.using(tag=2, seal=7).with_floor
    assert raised.to_text().endswith("floor tag 2\nfloor seal 7\n")
    assert KeyRing.parse(raised.to_text()) == raised
    assert raised.without("tag", 1).using(tag=2, seal=7).tag_floor == 2
    for ids in ({"tag": 1, "seal": 7}, {"tag": 2, "seal": 1}):
        with pytest.raises(KeyMismatch, match=r"none below [27] may be"):
            raised.using(**ids)
    with pytest.raises(KeyRingError, match="lists tag key 1 last, which is below the floor of 2"):
        KeyRing.parse(ring.to_text() + "floor tag 2")
    # The highest of several counts.
    text = f"tag 2 {T1};seal 1 {T2}; floor tag 2; floor tag 1"
    assert KeyRing.parse(text).tag_floor == 2


def test_wrong_key_does_not_open() -> None:
    """The same id with another key is no key."""
    with pytest.raises(SealError, match=r"^A sealed number does not open"):
        replace(RING, seal_keys=((1, K1),)).open(SEALED, ROW, CALLEE)


def test_fingerprints() -> None:
    """Eight bytes tell two keys apart and do not depend on the id."""
    ring = KeyRing.parse(f"tag 1 {T1};tag 2 {T2};seal 3 {T2}")
    prints = ring.fingerprints()
    assert set(prints) == {("tag", 1), ("tag", 2), ("seal", 3)}
    assert all(len(each) == 8 for each in prints.values())
    assert prints["tag", 1] != prints["tag", 2]
    assert ring.fingerprint("seal", 3) == prints["seal", 3]
    assert RING.fingerprint("tag", 1) == prints["tag", 1]
    with pytest.raises(KeyRingError, match="no seal key 1"):
        ring.fingerprint("seal", 1)


def test_key_file(tmp_path: Path) -> None:
    """Written for its owner only, whatever the umask, and read again."""
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        write_key_ring(path, RING)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert load_key_ring(path) == RING


def test_key_file_is_not_overwritten(tmp_path: Path) -> None:
    """What exists stays, links too."""
    path = tmp_path / "key"
    path.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for each in (path, link):
        with pytest.raises(KeyRingError, match="exists and is left as it is"):
            write_key_ring(each, RING)
    assert path.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666, 0o601])
def test_key_file_of_others(tmp_path: Path, mode: int) -> None:
    """A file that group or others may touch is refused, with the command to run."""
    path = tmp_path / "my key"
    write_key_ring(path, RING)
    path.chmod(mode)
    with pytest.raises(KeyRingError) as caught:
        load_key_ring(path)
    assert f"mode {mode:04o}" in str(caught.value)
    assert f"run 'chmod 600 '{path}''" in str(caught.value)


@pytest.mark.parametrize("mode", [0o400, 0o440])
def test_key_file_is_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Systemd 252 makes it 0400, later ones 0440: both are the service's alone."""
    path = tmp_path / "key"
    write_key_ring(path, RING)
    path.chmod(mode)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_key_ring(path) == RING


@pytest.mark.parametrize(
    ("mode", "below"), [(0o444, ""), (0o460, ""), (0o441, ""), (0o440, "other")]
)
def test_key_file_of_others_beside_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, below: str
) -> None:
    """Others may not touch a credential either, and a file elsewhere is none."""
    path = tmp_path / "credentials" / below / "key"
    path.parent.mkdir(parents=True)
    write_key_ring(path, RING)
    path.chmod(mode)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with pytest.raises(KeyRingError, match=f"mode {mode:04o}"):
        load_key_ring(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no tag key"),
        (b"\xff\xfe", "is not text"),
        (b"tag 1 SECRET", "line 1"),
        (b"#" * 70000, "too large"),
    ],
)
def test_malformed_key_file(tmp_path: Path, content: bytes, words: str) -> None:
    """The message names the file and shows nothing of it."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyRingError, match=words) as caught:
        load_key_ring(path)
    assert str(path) in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_no_key_file(tmp_path: Path) -> None:
    """Missing, a directory, a pipe, a path that cannot be: each in words."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path, words in [
        (tmp_path / "none", "agi-router key new"),
        (tmp_path, "not a regular file"),
        (pipe, "not a regular file"),
        (tmp_path / "a\0b", "cannot be read"),
        (tmp_path / ("x" * 300), "File name too long"),
    ]:
        with pytest.raises(KeyRingError, match=words):
            load_key_ring(path)


def test_key_file_cannot_be_written(tmp_path: Path) -> None:
    """No directory, or a path that cannot be."""
    for path in (tmp_path / "no" / "key", tmp_path / "a\0b"):
        with pytest.raises(KeyRingError, match="cannot be written"):
            write_key_ring(path, RING)


def test_disk_full_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a key file is worse than none."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyRingError, match="No space left"):
        write_key_ring(tmp_path / "key", RING)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails while reading is an error in words."""

    def broken(_: int, __: int) -> bytes:
        raise OSError(5, "Input/output error")

    path = tmp_path / "key"
    write_key_ring(path, RING)
    monkeypatch.setattr("os.read", broken)
    with pytest.raises(KeyRingError, match="Input/output error"):
        load_key_ring(path)


def test_pairs_have_a_tag_under_every_key() -> None:
    """The current one first, in whatever order the parties are named."""
    old, new = KeyRing.generate(), KeyRing.generate()
    both = KeyRing(tag_keys=(*old.tag_keys, (2, new.tag_keys[0][1])), seal_keys=old.seal_keys)
    assert both.pair_tags((A, B)) == [both.pair_tag((B, A)), old.pair_tag((A, B))]
    assert len(set(both.pair_tags((A, B)))) == 2


def test_extensions_have_tags_of_their_own() -> None:
    """Under every key, the current one first; none is a caller's."""
    old, new = KeyRing.generate(), KeyRing.generate()
    both = KeyRing(tag_keys=(*old.tag_keys, (2, new.tag_keys[0][1])), seal_keys=old.seal_keys)
    tag = old.extension_tag("1234")
    assert both.extension_tags("1234") == [both.extension_tag("1234"), tag]
    others = {old.extension_tag("123"), both.extension_tag("1234"), old.tag(A), 0}
    assert len(others) == 4
    assert tag not in others


def test_key_file_is_replaced(tmp_path: Path) -> None:
    """Whole, for the same owner, through a link; nothing else is left behind."""
    path, link = tmp_path / "key", tmp_path / "link"
    write_key_ring(path, RING)
    path.chmod(0o400)
    link.symlink_to(path)
    owner = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    other = KeyRing.generate()
    replace_key_ring(link, other)
    assert load_key_ring(path) == other
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o400, *owner)
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_key_file_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or no file: what was there is there, and nothing else."""
    path = tmp_path / "key"
    with pytest.raises(KeyRingError, match="No such file"):
        replace_key_ring(path, RING)
    write_key_ring(path, RING)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyRingError, match="No space left"):
        replace_key_ring(path, KeyRing.generate())
    assert load_key_ring(path) == RING
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_text_says() -> None:
    """It opens for its own id, with its own key; altered it does not open."""
    ring = KeyRing.generate()
    sealed = ring.seal_text("到门口了 😀", "70012345678-1790000000.1")
    assert sealed[:3] == ring.secret_header
    assert ring.open_text(sealed, "70012345678-1790000000.1") == "到门口了 😀"
    for opener, data, name in (
        (ring, sealed, "70012345678-1790000000.2"),
        (KeyRing.generate(), sealed, "70012345678-1790000000.1"),
        (ring, sealed[:-1], "70012345678-1790000000.1"),
    ):
        with pytest.raises(SealError):
            opener.open_text(data, name)


def test_the_secret_of_an_api_key() -> None:
    """It opens for the key that it was sealed for, and for no row."""
    ring = KeyRing.generate()
    sealed = ring.seal_secret("abc", "abcdefghijklmnop")
    assert sealed[:3] == ring.secret_header
    assert ring.open_secret(sealed, "abcdefghijklmnop") == "abc"
    with pytest.raises(SealError):
        ring.open_secret(sealed, "ponmlkjihgfedcba")
    with pytest.raises(SealError):
        KeyRing.generate().open_secret(sealed, "abcdefghijklmnop")


def test_requests_are_known_again() -> None:
    """By all their parts, each as it stands; under every tag key, the current one first."""
    ring = KeyRing.generate()
    both = ring.with_new("tag", 2)
    (tag,) = ring.request_tags(b"a", b"bc")
    assert len(tag) == 32
    assert ring.request_tags(b"a", b"bc") == [tag]
    assert len({tag, *ring.request_tags(b"ab", b"c"), *ring.request_tags(b"abc")}) == 3
    assert both.request_tags(b"a", b"bc")[0] == tag
    assert len(set(both.request_tags(b"a", b"bc"))) == 2


def test_a_locked_person() -> None:
    """Opened for this lock and this tag alone; what is no number is told without it."""
    ((tag, sealed),) = RING.seal_locked(A, 17)
    assert RING.open_locked(sealed, 17, tag) == A
    for lock_id, other in ((18, tag), (17, tag + 1)):
        with pytest.raises(SealError):
            RING.open_locked(sealed, lock_id, other)
    header, nonce = sealed[:3], bytes(12)
    bound = header + f"lock|17|{tag}".encode()
    forged = header + nonce + AESGCM(K2).encrypt(nonce, b"no number", bound)
    with pytest.raises(SealError) as caught:
        RING.open_locked(forged, 17, tag)
    assert "no number" not in "".join(traceback.format_exception(caught.value))

"""Recordings without a database: notes, tracks, and directories."""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from agi_router.errors import ProtocolError, RecordingDamaged, RecordingsUnusable
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.recordings import vault as vault_room
from agi_router.recordings.clear import CALLEE, CALLER, ClearDirectory, judge_directory
from agi_router.recordings.keeper import Keeper
from agi_router.recordings.model import Gap, Kept, Note, RecordingState, is_name, parse_note
from agi_router.recordings.vault import Vault, open_key, renewed_key
from agi_router.recordings.wav import HEADER, interleaved, wav_header

NAME = "abcdefabcdefabcdef"
LINE = "1|pbx1-1741988825.42|700123456780001|1741988890123|recorded|end"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """That of the unit."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def keys() -> KeyRing:
    """New keys."""
    return KeyRing.generate()


@pytest.fixture
def clear(tmp_path: Path) -> ClearDirectory:
    """A directory as Asterisk writes to, though on a disk."""
    (tmp_path / "clear").mkdir()
    return ClearDirectory(tmp_path / "clear")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """An empty one."""
    made = Vault(tmp_path / "sealed")
    made.prepare()
    return made


def keeper(clear: ClearDirectory, vault: Vault, keys: KeyRing) -> Keeper:
    """Who keeps what is there."""
    return Keeper(clear, vault, lambda: keys, FileCipher.AES_256_GCM)


def record(clear: ClearDirectory, *, over: str | None = "1741988892", line: str = LINE) -> None:
    """What Asterisk leaves of a call of two seconds."""
    (clear.path / f"{NAME}.call").write_text(line)
    (clear.path / (NAME + CALLER)).write_bytes(b"\x01" * 16_000)
    (clear.path / (NAME + CALLEE)).write_bytes(b"\x02" * 15_840)
    if over is not None:
        (clear.path / f"{NAME}.end").write_text(over)


def heard(vault: Vault, keys: KeyRing, kept: Kept) -> bytes:
    """What a recording says."""
    assert kept.sealed_key is not None
    assert kept.cipher is not None
    vault.put_away(kept.name)
    return b"".join(vault.read(kept.name, kept.cipher, open_key(keys, kept.name, kept.sealed_key)))


def never(_: Note) -> bool:
    """The database knows of no end."""
    return False


@pytest.mark.parametrize(
    "line",
    [
        "",
        LINE[:-1],
        LINE.replace("1|", "2|", 1),
        LINE.replace("recorded", "perhaps"),
        LINE.replace("700123456780001", "13800000001"),
        LINE.replace("pbx1-1741988825.42", "../../etc"),
        LINE.replace("1741988890123", "soon"),
    ],
)
def test_notes_that_are_none(line: str) -> None:
    """Cut, of another version, or with a field that cannot be: nothing of it is told."""
    with pytest.raises(ProtocolError) as error:
        parse_note(line)
    assert "138" not in str(error.value)


def test_names() -> None:
    """Letters alone: neither a digit nor a way out of a directory."""
    assert is_name(NAME)
    assert not any(map(is_name, ("", "abc", "../abcdefab", "abcdef0123456", "ABCDEFABCDEF")))


def test_two_tracks_are_one_file() -> None:
    """In stereo, as long as the longer one; others read its header, too."""
    left, right = BytesIO(b"\x01" * 100_000), BytesIO(b"\x02" * 70_000)
    content = wav_header(100_000) + b"".join(interleaved(left.read, right.read, 100_000))
    assert len(content) == HEADER + 200_000
    assert content[HEADER : HEADER + 4] == b"\x01\x02\x01\x02"
    assert content[-4:] == b"\x01\xd5\x01\xd5"
    assert struct.unpack("<I", content[4:8]) == (len(content) - 8,)
    # Python's own reader knows the form, if not the law.
    with pytest.raises(wave.Error, match="unknown format: 6"), wave.open(BytesIO(content)):
        pass


@pytest.mark.parametrize("cipher", list(FileCipher))
def test_a_call(clear: ClearDirectory, vault: Vault, keys: KeyRing, cipher: FileCipher) -> None:
    """It is sealed, noted and no longer there in clear; it opens with its key alone."""
    record(clear)
    assert Keeper(clear, vault, lambda: keys, cipher).seal(never) == 1
    assert list(clear.path.iterdir()) == []
    (kept,) = vault.waiting()
    assert (kept.state, kept.gap, kept.length_ms) == (RecordingState.READY, None, 2000)
    assert heard(vault, keys, kept)[HEADER : HEADER + 2] == b"\x01\x02"
    sealed = next(each for each in vault.path.rglob(NAME))
    assert sealed.stat().st_size == kept.octets
    # The HTTP door's account reads what stays by the group, whatever the umask; not what is new.
    places = (sealed, sealed.parent, vault.path / "new")
    assert [each.stat().st_mode & 0o777 for each in places] == [0o640, 0o750, 0o700]
    assert b"\x01\x02\x01\x02" not in sealed.read_bytes()
    other = replace(kept, sealed_key=vault_room.new_key(keys, NAME, cipher)[1])
    with pytest.raises(RecordingDamaged, match="not as it was sealed"):
        heard(vault, keys, other)
    sealed.write_bytes(sealed.read_bytes()[:-1])
    with pytest.raises(RecordingDamaged, match="not as it was sealed"):
        heard(vault, keys, kept)
    vault.erase(NAME)
    with pytest.raises(RecordingDamaged, match="cannot be read"):
        heard(vault, keys, kept)


def test_its_key_is_renewed_without_its_file(keys: KeyRing) -> None:
    """Under another seal key it is the same."""
    key, sealed = vault_room.new_key(keys, NAME, FileCipher.SM4_GCM)
    assert renewed_key(keys, NAME, sealed) is sealed
    newer = keys.with_new("seal", 2)
    newer = newer.using(tag=1, seal=2)
    renewed = renewed_key(newer, NAME, sealed)
    assert renewed != sealed
    assert open_key(newer.without("seal", 1), NAME, renewed) == key


@pytest.mark.parametrize(
    ("over", "line", "settled", "state", "gap"),
    [
        ("", LINE, False, RecordingState.PARTIAL, Gap.NO_ROOM),
        (None, LINE, True, RecordingState.PARTIAL, Gap.CUT_OFF),
        (
            None,
            LINE.replace("recorded", "no_notice"),
            False,
            RecordingState.MISSING,
            Gap.NO_NOTICE,
        ),
    ],
)
def test_what_is_not_whole(
    clear: ClearDirectory,
    vault: Vault,
    keys: KeyRing,
    over: str | None,
    line: str,
    *,
    settled: bool,
    state: RecordingState,
    gap: Gap,
) -> None:
    """It is marked, and why."""
    record(clear, over=over, line=line)
    if gap is Gap.NO_NOTICE:
        for part in (CALLER, CALLEE):
            (clear.path / (NAME + part)).unlink()
    else:
        for file in clear.path.iterdir():
            os.utime(file, (1, 1))
    assert keeper(clear, vault, keys).seal(lambda _: settled) == 1
    (kept,) = vault.waiting()
    assert (kept.state, kept.gap) == (state, gap)


def test_a_call_that_goes_on(clear: ClearDirectory, vault: Vault, keys: KeyRing) -> None:
    """It is left alone, whatever the database says at the moment; so is one that is held."""
    record(clear, over=None)
    assert keeper(clear, vault, keys).seal(lambda _: True) == 0
    for file in clear.path.iterdir():
        os.utime(file, (1, 1))
    assert keeper(clear, vault, keys).seal(never) == 0
    assert len(list(clear.path.iterdir())) == 3


def test_there_was_no_room_for_a_note(clear: ClearDirectory, vault: Vault, keys: KeyRing) -> None:
    """Nothing is known of it and nothing was recorded: it goes; a note of a newer form stays."""
    record(clear, line="")
    assert keeper(clear, vault, keys).seal(never) == 0
    assert (list(clear.path.iterdir()), vault.waiting()) == ([], [])
    record(clear, line=LINE.replace("1|", "2|", 1))
    assert keeper(clear, vault, keys).seal(never) == 0
    assert len(list(clear.path.iterdir())) == 4


def test_what_is_not_ours(
    clear: ClearDirectory,
    vault: Vault,
    keys: KeyRing,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A link is not followed, and told once; it keeps no other from being sealed."""
    (tmp_path / "secret").write_text("secret")
    record(clear)
    (clear.path / (NAME + CALLER)).unlink()
    (clear.path / (NAME + CALLER)).symlink_to(tmp_path / "secret")
    (clear.path / "..call").write_text(LINE)
    (clear.path / f"{'b' * 18}.call").symlink_to(tmp_path / "secret")
    (clear.path / f"{'c' * 18}.call").write_text(LINE)
    (clear.path / f"{'c' * 18}.end").write_text("1741988892")
    own = keeper(clear, vault, keys)
    assert (own.seal(never), own.seal(never)) == (1, 0)
    assert [each.name for each in vault.waiting()] == ["c" * 18]
    assert len([each for each in caplog.records if each.msg == "recording.unreadable"]) == 2
    # Nor does a note beside a sealed file that is none.
    (vault.path / "new" / f"{NAME}.note").write_text("[]")
    assert [each.name for each in vault.waiting()] == ["c" * 18]


def test_what_goes_meanwhile(
    clear: ClearDirectory, vault: Vault, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound that another takes away while it is looked at is not put on record as nothing."""
    record(clear)
    found = clear.found()
    for part in (CALLER, CALLEE):
        (clear.path / (NAME + part)).unlink()
    monkeypatch.setattr(clear, "found", lambda: found)
    assert keeper(clear, vault, keys).seal(never) == 0
    assert vault.waiting() == []


def test_one_keeper_at_a_time(clear: ClearDirectory, vault: Vault) -> None:
    """A second is refused; what was left half done goes, and so does a late word of Asterisk's."""
    (vault.path / "new" / NAME).write_bytes(b"half")
    (vault.path / "new" / f".{NAME}.note.abc").write_bytes(b"half")
    whole = [vault.path / "new" / ("b" * 18), vault.path / "new" / f"{'b' * 18}.note"]
    for each in whole:
        each.write_bytes(b"whole")
    vault.claim()
    assert sorted((vault.path / "new").iterdir()) == whole
    with pytest.raises(RecordingsUnusable, match="another process"):
        Vault(vault.path).claim()
    record(clear)
    for name in (NAME, "b" * 18):
        (clear.path / f"{name}.end").write_text("1741988892")
        os.utime(clear.path / f"{name}.end", (1, 1))
    clear.remove_strays()
    assert {each.name.partition(".")[0].partition("-")[0] for each in clear.path.iterdir()} == {
        NAME
    }
    assert len(list(clear.path.iterdir())) == 4


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """What is wrong is said, and what to do."""
    on_disk = tmp_path / "disk"
    on_disk.mkdir()
    told = list(judge_directory(on_disk))
    assert any("is not in memory" in each for each in told) or Path("/tmp").is_mount()  # noqa: S108
    assert any("has mode" in each for each in told)
    assert list(judge_directory(tmp_path / "nowhere")) == [
        "cannot be looked at: No such file or directory"
    ]
    memory = Path("/dev/shm") / f"agi-recordings-{os.getpid()}"  # noqa: S108
    memory.mkdir()
    try:
        memory.chmod(0o3770)
        assert list(judge_directory(memory)) == []
        ClearDirectory(memory).check()
    finally:
        memory.rmdir()
    with pytest.raises(RecordingsUnusable, match=str(on_disk)):
        ClearDirectory(on_disk).check()

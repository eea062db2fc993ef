"""The end journal: claimed once, read whole, nothing thrown away unread."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agi_router.calls.end import Answer, End, parse_end
from agi_router.calls.journal import Backlog, EndJournal
from agi_router.errors import JournalError
from harness.accounts import as_account, open_to_all
from harness.values import X, call_id
from testpbx.waiting import until


def line(number: int) -> str:
    """Return the line of a refused call."""
    channel = f"PJSIP/carrier-in-{number:08x}"
    fields = f"{call_id(number)}|{X}|1741988890|stranger|||"
    return f"1|{fields}|dialplan/builtin|{channel}|21|end"


def append(directory: Path, *lines: str) -> None:
    """Write as Asterisk does: open, append, close."""
    with (directory / "ends").open("a", encoding="utf-8") as ends:
        ends.writelines(f"{text}\n" for text in lines)


def read(journal: EndJournal, file: str) -> list[Answer | End]:
    """Return all ends in a claimed file."""
    return [end for ends in journal.read(file) for end in ends]


def left(directory: Path) -> list[str]:
    """Return the names of all files that are left in a journal."""
    return [file.name for file in directory.rglob("*") if not file.is_dir()]


def unreadable(directory: Path) -> list[str]:
    """Return the lines that were kept because nobody could read them."""
    return (directory / "claimed/unreadable").read_text("utf-8").splitlines()


def test_an_empty_journal(tmp_path: Path) -> None:
    """Nothing is claimed, and nothing is made."""
    journal = EndJournal(tmp_path)
    assert not journal.claim()
    assert journal.claimed() == []
    assert list(tmp_path.iterdir()) == []


def test_claim_read_discard(tmp_path: Path) -> None:
    """A file is renamed, read, and deleted when it is settled."""
    journal = EndJournal(tmp_path)
    append(tmp_path, line(1), line(2))
    assert journal.claim()
    assert not (tmp_path / "ends").exists()
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1)), parse_end(line(2))]
    # Reading is no deleting: whoever dies now only makes the lines be told twice.
    assert journal.claimed() == [file]
    assert read(journal, file) == [parse_end(line(1)), parse_end(line(2))]
    journal.discard(file)
    assert left(tmp_path) == []


def test_asterisk_goes_on_writing(tmp_path: Path) -> None:
    """What comes after a claim goes to a new file; claimed files come oldest first."""
    journal = EndJournal(tmp_path)
    for number in (1, 2, 3):
        append(tmp_path, line(number))
        assert journal.claim()
    append(tmp_path, line(4))
    ids = [end.call_id for file in journal.claimed() for end in read(journal, file)]
    assert ids == [f"pbx1-1741988825.{number}" for number in (1, 2, 3)]
    assert (tmp_path / "ends").read_text("utf-8") == f"{line(4)}\n"


def test_a_writer_that_is_still_at_it(tmp_path: Path) -> None:
    """A line that was begun before the claim is in the claimed file."""
    journal = EndJournal(tmp_path)
    with (tmp_path / "ends").open("a", encoding="utf-8") as ends:
        assert journal.claim()
        ends.write(f"{line(1)}\n")
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1))]


def test_what_another_router_has_claimed_is_left_to_it_for_a_while(tmp_path: Path) -> None:
    """Each settles its own at once; what a dead one has left is taken by the others."""
    mine, theirs = EndJournal(tmp_path), EndJournal(tmp_path)
    append(tmp_path, line(1))
    assert mine.claim()
    append(tmp_path, line(2))
    assert theirs.claim()
    [first], [second] = mine.claimed(others_after=60), theirs.claimed(others_after=60)
    assert read(mine, first) == [parse_end(line(1))]
    assert read(theirs, second) == [parse_end(line(2))]
    assert mine.claimed() == theirs.claimed() == [first, second]
    assert until(lambda: mine.claimed(others_after=0.05) == [first, second], timeout=5)


def test_another_process_finds_what_was_claimed(tmp_path: Path) -> None:
    """A router that died between claiming and settling leaves the file to the next."""
    append(tmp_path, line(1))
    EndJournal(tmp_path).claim()
    journal = EndJournal(tmp_path)
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1))]


def test_two_claimers_have_one_winner(tmp_path: Path) -> None:
    """Routers that share a directory do not take a file from each other."""
    append(tmp_path, line(1))
    assert [EndJournal(tmp_path).claim() for _ in range(2)] == [True, False]
    with ThreadPoolExecutor(8) as pool:
        for number in range(2, 22):
            append(tmp_path, line(number))
            claims = pool.map(lambda _: EndJournal(tmp_path).claim(), range(8))
            assert sum(claims) == 1
    files = EndJournal(tmp_path).claimed()
    assert [len(read(EndJournal(tmp_path), file)) for file in files] == [1] * 21


def test_two_may_discard_one_file(tmp_path: Path) -> None:
    """Both read it, both settle it, both delete it."""
    append(tmp_path, line(1))
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    journal.discard(file)
    journal.discard(file)
    assert journal.claimed() == []


@pytest.mark.parametrize(
    "text",
    [
        line(2)[:40],
        line(2) + line(3),
        "",
        "garbage",
        line(2).replace("stranger", "because"),
        line(2).replace("1|pbx1", "2|pbx1"),
        # Somebody was rung: that cannot be.
        line(2).replace(X.digits, "_700XXXXXXXXXXXX").replace("|||", "|ANSWER||"),
    ],
)
def test_lines_that_cannot_be_read_are_kept(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The lines around one are read; it is kept for people, and logged without its contents."""
    append(tmp_path, line(1), text, line(4))
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    assert [end.call_id for end in read(journal, file)] == [
        "pbx1-1741988825.1",
        "pbx1-1741988825.4",
    ]
    journal.discard(file)
    assert unreadable(tmp_path) == [text]
    [record] = caplog.records
    assert record.msg == "journal.unreadable"
    assert X.digits not in str(vars(record))
    # It is no claimed file, and is never read again.
    assert journal.claimed() == []


@pytest.mark.parametrize(
    "dialled",
    [
        *("_700XXXXXXXXXXXX", "_700xxxxxxxxxxxx", "_700-XXXX-XXXX-XXXX"),
        *(
            "_86700XXXXXXXXXXXX",
            "_+86700XXXXXXXXXXXX",
            "_0086700XXXXXXXXXXXX",
            "_-86700xxxxxxxxxxxx",
        ),
    ],
)
@pytest.mark.parametrize("reason", ["x_malformed", "platform_fault", ""])
def test_calls_to_the_name_of_the_pattern_are_no_alarm(
    dialled: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Any caller can make such lines, as many as he likes: there is nothing to settle or keep."""
    text = line(2).replace(X.digits, dialled).replace("stranger", reason)
    append(tmp_path, line(1), text, line(3))
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    assert [end.call_id for end in read(journal, file)] == [
        "pbx1-1741988825.1",
        "pbx1-1741988825.3",
    ]
    journal.discard(file)
    assert left(tmp_path) == []
    assert caplog.records == []


def test_unreadable_lines_add_up(tmp_path: Path) -> None:
    """What was kept before stays."""
    journal = EndJournal(tmp_path)
    for text in ("one", "two"):
        append(tmp_path, text)
        journal.claim()
        [file] = journal.claimed()
        assert read(journal, file) == []
        journal.discard(file)
    assert unreadable(tmp_path) == ["one", "two"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A torn disk block spoils a line and not the file."""
    (tmp_path / "ends").write_bytes(b"\xff\x00\xfe\n" + f"{line(1)}\n".encode())
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1))]


def test_a_long_file_is_read_in_pieces(tmp_path: Path) -> None:
    """The ends of a long outage are never all in memory, and none is lost between two pieces."""
    append(tmp_path, *map(line, range(1, 1202)))
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    pieces = list(journal.read(file))
    assert all(len(ends) <= 200 for ends in pieces)
    assert len({end.call_id for ends in pieces for end in ends}) == 1201


def test_the_backlog(tmp_path: Path) -> None:
    """Claimed and unclaimed lines count; a settled journal has none, and no age."""
    journal = EndJournal(tmp_path)
    assert journal.backlog() == Backlog(size=0, age=0.0)
    append(tmp_path, line(1))
    journal.claim()
    append(tmp_path, line(2), line(3))
    backlog = journal.backlog()
    assert backlog.size == sum(len(line(n)) + 1 for n in (1, 2, 3))
    assert backlog.age > 0
    [file] = journal.claimed()
    journal.discard(file)
    (tmp_path / "ends").unlink()
    assert journal.backlog() == Backlog(size=0, age=0.0)


def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    """A line that is whole but for its line end is read."""
    (tmp_path / "ends").write_text(f"{line(1)}\n{line(2)}", encoding="utf-8")
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    assert len(read(journal, file)) == 2


ROUTER, ASTERISK, OTHER = 64990, 64991, 64992
GROUP = 64993


def link_to_a_secret(path: Path) -> None:
    """A link to what the router may read and Asterisk may not."""
    secret = path.parent.parent / "key"
    secret.write_text("tag 1 SECRET\n")
    path.symlink_to(secret)


def second_name_of_a_secret(path: Path) -> None:
    """The same by a second name."""
    secret = path.parent.parent / "key"
    secret.write_text("tag 1 SECRET\n")
    path.hardlink_to(secret)


def dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to(path.parent.parent / "nothing")


def link_to_the_environment(path: Path) -> None:
    """A link to what the kernel tells of the router."""
    path.symlink_to("/proc/self/environ")


def bind_socket(path: Path) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


WRONG: list[tuple[Callable[[Path], object], str]] = [
    (link_to_a_secret, "is a link"),
    (second_name_of_a_secret, "has a second name"),
    (dangling_link, "is a link"),
    (link_to_the_environment, "is a link"),
    (os.mkfifo, "is not a regular file"),
    (bind_socket, "is a socket"),
]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A journal with something beside it."""
    directory = tmp_path / "journal"
    directory.mkdir()
    return directory


@pytest.mark.parametrize(("make", "words"), WRONG)
def test_what_is_no_file_of_asterisk(
    make: Callable[[Path], object], words: str, shared: Path
) -> None:
    """It is told and put aside, nothing of it is read, and the lines after it are settled."""
    make(shared / "ends")
    journal = EndJournal(shared)
    assert journal.claim()
    append(shared, line(1))
    [file] = journal.claimed()
    with pytest.raises(JournalError) as caught:
        read(journal, file)
    assert str(caught.value) == (
        f"{shared}: ends {words}; it is kept as claimed/refused, look who made it"
    )
    assert journal.claim()
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1))]
    journal.discard(file)
    assert left(shared) == ["refused"]


def test_what_is_put_aside_takes_the_place_of_the_one_before(shared: Path) -> None:
    """Whoever leaves such things over and over fills no disk."""
    journal = EndJournal(shared)
    for _ in range(3):
        os.mkfifo(shared / "ends")
        journal.claim()
        for file in journal.claimed():
            with pytest.raises(JournalError):
                read(journal, file)
    assert left(shared) == ["refused"]


def test_a_directory_instead_of_the_file(shared: Path) -> None:
    """An empty one is removed; another is told, and all that was claimed before is settled."""
    journal = EndJournal(shared)
    append(shared, line(1))
    journal.claim()
    (shared / "ends").mkdir()
    assert not journal.claim()
    (shared / "ends/more").mkdir(parents=True)
    with pytest.raises(JournalError) as caught:
        journal.claim()
    assert str(caught.value) == f"{shared}: ends is a directory: remove it"
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1))]


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    """It is told by name, whatever is asked of it; it is made where that can be done."""
    gone = EndJournal(tmp_path / "gone")
    for asked in (gone.claim, gone.claimed, gone.backlog):
        with pytest.raises(JournalError) as caught:
            asked()
        assert str(caught.value) == f"{tmp_path}/gone: No such file or directory"
    gone.prepare()
    gone.prepare()
    assert stat.S_IMODE((tmp_path / "gone").stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE((tmp_path / "gone/claimed").stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="/file/journal: Not a directory"):
        EndJournal(tmp_path / "file/journal").prepare()


def test_a_link_in_the_place_of_the_journal(tmp_path: Path) -> None:
    """Whoever owns the directory above may put one there: it is not followed."""
    (tmp_path / "secrets/claimed").mkdir(parents=True)
    (tmp_path / "secrets/ends").write_text(line(1))
    (tmp_path / "journal").symlink_to(tmp_path / "secrets")
    with pytest.raises(JournalError, match="/journal: Not a directory"):
        EndJournal(tmp_path / "journal").claim()
    assert (tmp_path / "secrets/ends").exists()


def test_two_accounts_share_a_journal() -> None:
    """Asterisk's file is read by the router; what is claimed and kept, Asterisk does not see."""
    with open_to_all() as above:
        shared = above / "journal"
        shared.mkdir()
        os.chown(shared, ROUTER, GROUP)
        shared.chmod(0o3770)

        def write() -> str:
            os.umask(0o007)
            append(shared, line(1), "SECRET")
            return "written"

        def settle() -> str:
            journal = EndJournal(shared)
            journal.prepare()
            journal.claim()
            [file] = journal.claimed()
            ends = read(journal, file)
            journal.discard(file)
            return f"{len(ends)} {unreadable(shared)}"

        def take_over() -> str:
            """What Asterisk's account may do to what is the router's."""
            done = []
            attempts: list[Callable[[], object]] = [
                (shared / "claimed/unreadable").read_text,
                lambda: list((shared / "claimed").iterdir()),
                lambda: (shared / "claimed").rename(shared / "mine"),
                (shared / "claimed").rmdir,
                (shared / "claimed/new").touch,
            ]
            for attempt in attempts:
                try:
                    attempt()
                    done.append("done")
                except OSError as error:
                    done.append(str(error.strerror))
            return str(set(done) - {"Permission denied", "Operation not permitted"})

        def write_as_other() -> str:
            append(shared, line(2))
            return "written"

        assert as_account(ASTERISK, write, groups=[GROUP]) == "written"
        assert as_account(ROUTER, settle, groups=[GROUP]) == "1 ['SECRET']"
        assert as_account(ASTERISK, take_over, groups=[GROUP]) == "set()"
        assert "PermissionError" in as_account(OTHER, write_as_other)


def test_a_directory_of_asterisk_holds_files_of_asterisk() -> None:
    """Another account's are not read, whatever they are called."""
    with open_to_all() as shared:
        os.chown(shared, ASTERISK, GROUP)
        shared.chmod(0o2770)
        append(shared, line(1))
        os.chown(shared / "ends", OTHER, GROUP)

        def settle() -> str:
            journal = EndJournal(shared)
            journal.claim()
            [file] = journal.claimed()
            try:
                return str(read(journal, file))
            except JournalError as error:
                return str(error)

        said = as_account(ROUTER, settle, groups=[GROUP])
        assert said.startswith(
            f"{shared}: ends belongs to the account {OTHER}, not to {ASTERISK};"
        )


def test_a_directory_that_asterisk_has_made_for_the_router() -> None:
    """It is not used: what lies there is not the router's alone."""
    with open_to_all() as shared:
        os.chown(shared, ASTERISK, GROUP)
        shared.chmod(0o2770)
        (shared / "claimed").mkdir()
        os.chown(shared / "claimed", ASTERISK, GROUP)
        (shared / "claimed").chmod(0o777)
        append(shared, line(1))

        def claim() -> str:
            try:
                return str(EndJournal(shared).claim())
            except JournalError as error:
                return str(error)

        said = as_account(ROUTER, claim, groups=[GROUP])
        words = f"claimed belongs to the account {ASTERISK}: give it to this one, or remove it"
        assert said == f"{shared}: {words}"
        assert left(shared) == ["ends"]


def test_a_line_without_an_end(shared: Path) -> None:
    """Ten gigabytes that take no disk: the lines around them are read, and no memory is taken."""
    with (shared / "ends").open("wb") as ends:
        ends.write(f"{line(1)}\n".encode())
        ends.seek(10 << 30)
        ends.write(f"x\n{line(2)}\n".encode())
        ends.seek(20 << 30)
        ends.write(b"x")
    journal = EndJournal(shared)
    journal.claim()
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1)), parse_end(line(2))]
    journal.discard(file)
    # Cut: nobody reads that much of it.
    assert unreadable(shared) == ["\\u0000" * 4096] * 2


@pytest.mark.parametrize("size", [4096, 4097, 16_384, 100_000, 3_000_000])
def test_a_long_line_is_passed_over(size: int, shared: Path) -> None:
    """Wherever it ends: those before and after it are read."""
    append(shared, line(1), "x" * size, line(2))
    journal = EndJournal(shared)
    journal.claim()
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1)), parse_end(line(2))]
    journal.discard(file)
    assert unreadable(shared) == ["x" * 4096]


def test_what_is_kept_is_shown_and_not_obeyed(shared: Path) -> None:
    """A terminal would be told another title by it, for instance."""
    append(shared, "\x1b]0;owned\x07 号码")
    journal = EndJournal(shared)
    journal.claim()
    [file] = journal.claimed()
    assert read(journal, file) == []
    journal.discard(file)
    assert unreadable(shared) == ["\\u001b]0;owned\\u0007 号码"]


def test_what_is_kept_has_a_limit(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever writes garbage fills no disk, and no memory; how much it was is told."""
    journal = EndJournal(shared)
    for _ in range(3):
        append(shared, *(["x" * 999] * 2000))
        journal.claim()
        [file] = journal.claimed()
        assert read(journal, file) == []
        journal.discard(file)
    assert (shared / "claimed/unreadable").stat().st_size <= 1 << 20
    told = [(vars(each)["lines"], vars(each)["kept"]) for each in caplog.records]
    assert told == [(2000, 1048), (2000, 0), (2000, 0)]


def test_a_disk_that_is_full(
    shared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is settled is settled; a line that cannot be kept is told."""
    append(shared, line(1), "garbage")
    journal = EndJournal(shared)
    journal.claim()
    [file] = journal.claimed()
    assert read(journal, file) == [parse_end(line(1))]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agi_router.calls.journal._keep", full)
    journal.discard(file)
    assert left(shared) == []
    [record] = caplog.records
    assert (vars(record)["lines"], vars(record)["kept"]) == (1, 0)

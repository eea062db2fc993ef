"""The end journal: claimed once, read whole, nothing thrown away unread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agi_router.adapters.journal import Backlog, EndJournal
from agi_router.calls import End, parse_end
from testpbx.waiting import until


def line(number: int) -> str:
    """Return the line of a refused call."""
    channel = f"PJSIP/carrier-in-{number:08x}"
    fields = f"pbx1-1741988825.{number}|700012345670001|1741988890|stranger|||"
    return f"1|{fields}|dialplan/builtin|{channel}|21|end"


def append(directory: Path, *lines: str) -> None:
    """Write as Asterisk does: open, append, close."""
    with (directory / "ends").open("a", encoding="utf-8") as ends:
        ends.writelines(f"{text}\n" for text in lines)


def read(journal: EndJournal, file: Path) -> list[End]:
    """Return all ends in a claimed file."""
    return [end for ends in journal.read(file) for end in ends]


def unreadable(directory: Path) -> list[str]:
    """Return the lines that were kept because nobody could read them."""
    return (directory / "ends.unreadable").read_text("utf-8").splitlines()


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
    assert list(tmp_path.iterdir()) == []


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
        line(2).replace("700012345670001", "_700XXXXXXXXXXXX").replace("|||", "|ANSWER||"),
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
    assert "700012345670001" not in str(vars(record))
    # It is no claimed file, and is never read again.
    assert journal.claimed() == []


@pytest.mark.parametrize(
    "dialled", ["_700XXXXXXXXXXXX", "_700xxxxxxxxxxxx", "_700-XXXX-XXXX-XXXX"]
)
@pytest.mark.parametrize("reason", ["x_malformed", "platform_fault", ""])
def test_calls_to_the_name_of_the_pattern_are_no_alarm(
    dialled: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Any caller can make such lines, as many as he likes: there is nothing to settle or keep."""
    text = line(2).replace("700012345670001", dialled).replace("stranger", reason)
    append(tmp_path, line(1), text, line(3))
    journal = EndJournal(tmp_path)
    journal.claim()
    [file] = journal.claimed()
    assert [end.call_id for end in read(journal, file)] == [
        "pbx1-1741988825.1",
        "pbx1-1741988825.3",
    ]
    journal.discard(file)
    assert list(tmp_path.iterdir()) == []
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
    assert [len(ends) for ends in pieces] == [*[100] * 12, 1]
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

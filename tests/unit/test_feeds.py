"""Records of feeds: what they say, from which time on, and what is wrong with them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agi_router.errors import CsvError, FeedInvalid
from agi_router.feeds.digests import DigestIndex, digest_maker
from agi_router.feeds.files import digest_of, list_files, open_file, read_records
from agi_router.feeds.model import (
    Answer,
    Fault,
    Feed,
    FeedKind,
    Notice,
    NumberForm,
    Trust,
    check_authorization,
    check_feed,
    read_notice,
)
from harness.values import A

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
FEED = Feed(
    id=1,
    name="unicom",
    kind=FeedKind.STDIN,
    path=None,
    numbers=NumberForm.PLAIN,
    trust=Trust.FULL,
    every=None,
    created_at=NOW - timedelta(days=3),
    last_at=None,
    now=NOW,
)


def read(number: str, status: str, date: str, form: NumberForm = NumberForm.PLAIN) -> object:
    return read_notice(2, {"number": number, "status": status, "date": date}, form, now=NOW)


@pytest.mark.parametrize(
    ("date", "until"),
    [
        # The whole day, in Beijing.
        ("2026-01-31", datetime(2026, 1, 31, 16, tzinfo=UTC)),
        ("2026/1/31", datetime(2026, 1, 31, 16, tzinfo=UTC)),
        ("20260131", datetime(2026, 1, 31, 16, tzinfo=UTC)),
        ("2026-01-31 15:04", datetime(2026, 1, 31, 7, 4, tzinfo=UTC)),
        ("2026-01-31T15:04:05Z", datetime(2026, 1, 31, 15, 4, 5, tzinfo=UTC)),
        ("2026-01-31T15:04:05+09:00", datetime(2026, 1, 31, 6, 4, 5, tzinfo=UTC)),
        # Today is not over.
        ("2026-02-01", NOW),
    ],
)
@pytest.mark.parametrize(
    ("status", "answer"), [("reissued", Answer.REISSUED), (" 3 ", Answer.CANCELLED)]
)
def test_until_when(date: str, until: datetime, status: str, answer: Answer) -> None:
    """A binding that began before is of the old owner."""
    assert read("+86 139 1234 0001", status, date) == Notice(2, A, answer, until)


def test_a_date_is_judged_by_each_clock() -> None:
    """One that was in the future is not for ever, though what is read once is kept."""
    cells = {"number": A.digits, "status": "reissued", "date": "2026-02-01 12:00"}
    early, late = (datetime(2026, 2, day, tzinfo=UTC) for day in (1, 2))
    for _ in range(2):
        assert isinstance(read_notice(2, cells, NumberForm.PLAIN, now=early), Fault)
        assert isinstance(read_notice(2, cells, NumberForm.PLAIN, now=late), Notice)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("unknown", Answer.UNKNOWN),
        ("0", Answer.UNKNOWN),
        ("kept", Answer.KEPT),
        ("not", Answer.KEPT),
        ("2", Answer.KEPT),
    ],
)
def test_answers_without_a_date(status: str, answer: Answer) -> None:
    """Whoever does not know has no date, and says nothing of what comes."""
    assert read(A.digits, status, "") == Notice(2, A, answer, NOW)


@pytest.mark.parametrize(
    ("number", "status", "date", "why"),
    [
        ("1234567", "reissued", "2026-01-31", "number"),
        ("", "reissued", "2026-01-31", "empty"),
        (A.digits, "lost", "2026-01-31", "the status is one of"),
        (A.digits, "reissued", "", "needs the date"),
        (A.digits, "reissued", "soon", "a date looks like"),
        (A.digits, "reissued", "2026-02-02", "in the future"),
    ],
)
def test_faults(number: str, status: str, date: str, why: str) -> None:
    """Each says what is wrong, and no digit of the number."""
    found = read(number, status, date)
    assert isinstance(found, Fault)
    assert why in found.why
    assert "1234567" not in found.why
    assert A.digits not in found.why


@pytest.mark.parametrize("form", [NumberForm.MD5, NumberForm.SHA256, NumberForm.SM3])
def test_digests_are_read(form: NumberForm) -> None:
    """In small or in capital letters, and in their length alone."""
    digest = hashlib.new(form.value, A.digits.encode())
    for text in (digest.hexdigest(), digest.hexdigest().upper()):
        found = read(text, "unknown", "", form)
        assert found == Notice(2, digest.digest(), Answer.UNKNOWN, NOW)
    for text in (digest.hexdigest()[2:], "zz" * digest.digest_size, A.digits):
        assert isinstance(read(text, "unknown", "", form), Fault)
    assert digest_maker(form)(A) == digest.digest()


def test_an_index_of_digests() -> None:
    """Every record of a digest is found, and none that only begins alike."""
    digests = [b"12345678" + bytes([each]) * 8 for each in (3, 1, 2, 1)]
    index = DigestIndex.of([Notice(i, d, Answer.UNKNOWN, NOW) for i, d in enumerate(digests)])
    assert sorted(index.find(digests[1])) == [1, 3]
    assert index.find(digests[0]) == [0]
    assert index.find(b"12345678" + bytes(8)) == []
    assert index.find(b"\xff" * 16) == []
    assert DigestIndex.of([]).find(digests[0]) == []


def test_an_algorithm_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so."""

    def lacking(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr(hashlib, "new", lacking)
    with pytest.raises(FeedInvalid, match="sm3 cannot be had"):
        digest_maker(NumberForm.SM3)


@pytest.mark.parametrize(
    ("kind", "path", "fits"),
    [
        (FeedKind.STDIN, None, True),
        (FeedKind.FILE, "/srv/a.csv", True),
        (FeedKind.FOLDER, "/srv", True),
        (FeedKind.STDIN, "/srv", False),
        (FeedKind.FILE, None, False),
        (FeedKind.FOLDER, "srv", False),
        (FeedKind.PULL, "https://carrier.example/a?after={cursor}", True),
        (FeedKind.PULL, "http://[2001:db8::1]:8080", True),
        (FeedKind.PULL, None, False),
        (FeedKind.PULL, "/srv/a.csv", False),
        (FeedKind.PULL, "https://user@carrier.example/", False),
        (FeedKind.PULL, "https://carrier.example/#a", False),
        (FeedKind.PULL, "https://carrier.example:99999/", False),
        (FeedKind.PULL, "https://carrier.example:0/", False),
        (FeedKind.PULL, f"https://carrier.example/{'a' * 2000}", False),
    ],
)
def test_a_path_goes_with_its_kind(kind: FeedKind, path: str | None, *, fits: bool) -> None:
    """A file and a folder have one, from the root."""
    if fits:
        check_feed(kind, path)
    else:
        with pytest.raises(FeedInvalid):
            check_feed(kind, path)


def test_overdue() -> None:
    """Where a file should have come; from the feed's beginning, if none has."""
    day = timedelta(days=1)
    assert not FEED.overdue
    assert replace(FEED, every=day).overdue
    assert not replace(FEED, every=4 * day).overdue
    assert not replace(FEED, every=day, last_at=NOW - day).overdue
    assert replace(FEED, every=day, last_at=NOW - 2 * day).overdue
    looked = replace(FEED, every=day, last_at=NOW - 2 * day, pulled_at=NOW)
    assert not replace(looked, kind=FeedKind.PULL).overdue
    # Nothing has come to a folder that was only looked at.
    assert replace(looked, kind=FeedKind.FOLDER).overdue


def test_what_is_pulled_by_now() -> None:
    """A feed with a span, since its address had nothing more; or once, where it is asked for."""
    day = timedelta(days=1)
    pull = replace(FEED, kind=FeedKind.PULL)
    assert not pull.due
    assert replace(pull, every=day).due
    for kind in FeedKind:
        if kind is not FeedKind.PULL:
            assert replace(FEED, kind=kind).due is kind.has_path
    asked = replace(pull, asked_at=NOW)
    assert asked.due
    assert not replace(asked, pulled_at=NOW + day).due
    assert not replace(asked, failed_at=NOW + day).due
    assert replace(pull, every=day, pulled_at=NOW - day).due
    assert not replace(pull, every=day, pulled_at=NOW).due


def test_an_authorization_is_a_header() -> None:
    """It ends no line, and nothing of it is told."""
    assert check_authorization(" Bearer x ") == "Bearer x"
    for wrong in ("", "a\nb", "é", "a" * 4097):
        with pytest.raises(ValueError, match="ASCII") as caught:
            check_authorization(wrong)
        assert not wrong or wrong not in str(caught.value)


def test_columns_in_any_order() -> None:
    """Others are passed over; a row that is cut short lacks its last cells."""
    text = "省份,date,status,number\n北京,2026-01-31,1,138\n\n,,0\n"
    for encoding in ("utf-8", "gb18030"):
        assert list(read_records(io.BytesIO(text.encode(encoding)))) == [
            (2, {"number": "138", "status": "1", "date": "2026-01-31"}),
            (4, {"status": "0", "date": ""}),
        ]
    for header in (b"number,date\n", b"number,number,status\n"):
        with pytest.raises(CsvError, match="has to name the column"):
            list(read_records(io.BytesIO(header)))


def test_json_lines_of_all_sorts() -> None:
    """Numbers are texts here; a line that is no object is a fault, one too long the end."""
    text = b'{"number": 138, "status": "0", "date": null, "x": []}\n{}\n \n{"number": true}\n7\n'
    assert list(read_records(io.BytesIO(text))) == [
        (1, {"number": "138", "status": "0"}),
        (2, {}),
        (4, {}),
        Fault(5, 'a line is one JSON object, like {"number": …, "status": …}'),
    ]
    with pytest.raises(CsvError, match="line 2"):
        list(read_records(io.BytesIO(b"{}\n{" + b" " * 70_000)))


@pytest.mark.parametrize(
    ("begin", "line"), [("\ufeff", 1), ("\n \r\n", 3), ("\ufeff\n", 2), (" ", 1)]
)
def test_what_stands_before_the_first_object(begin: str, line: int) -> None:
    """A mark and empty lines make no CSV of JSON Lines."""
    text = f'{begin}{{"number": "138", "status": "0"}}\n'
    assert list(read_records(io.BytesIO(text.encode()))) == [
        (line, {"number": "138", "status": "0"})
    ]


def test_files_of_a_folder(tmp_path: Path) -> None:
    """By name; what begins with a dot may be half written, and a folder is no file."""
    for name in ("b.csv", "a.csv", ".a.csv.part"):
        (tmp_path / name).write_bytes(b"{}")
    (tmp_path / "c").mkdir()
    assert [each.name for each in list_files(tmp_path)] == ["a.csv", "b.csv"]
    with open_file(tmp_path / "a.csv") as stream:
        assert stream.read() == b"{}"
    (tmp_path / "a.loop").symlink_to("a.loop")
    assert [each.name for each in list_files(tmp_path)] == ["a.csv", "a.loop", "b.csv"]
    with pytest.raises(FeedInvalid, match="it cannot be read: Too many levels"):
        open_file(tmp_path / "a.loop")
    for broken in (list_files, open_file):
        with pytest.raises(FeedInvalid, match="cannot be read"):
            broken(tmp_path / "nothing")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_file(device: str) -> None:
    """It can be sought in, and may never end."""
    with pytest.raises(FeedInvalid, match="no regular file"):
        open_file(Path(device))


class Torn(io.BytesIO):
    """A file on a disk that fails."""

    def __init__(self, begin: bytes) -> None:
        super().__init__(begin)
        self.reads = 0

    def read(self, size: int | None = -1) -> bytes:
        """Once it can be read."""
        self.reads += 1
        if self.reads > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


def test_a_disk_fails() -> None:
    """The file cannot be read, and that is told in words."""
    with pytest.raises(FeedInvalid, match="it cannot be read: Input/output error"):
        digest_of(Torn(b"number"))
    with pytest.raises(CsvError, match="it cannot be read: Input/output error"):
        list(read_records(Torn(b"number,status\n")))

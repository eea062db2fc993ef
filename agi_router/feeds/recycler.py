"""
Reading a file of a feed: whose number has a new owner is found among live bindings, and they end.

1. A binding ends in one transaction with all that is of its end, some others with it, and those
   of a party group with the membership; a step of the file is noted when all of it is done. So a
   run that is killed does its last step again, and finds what is done already over.
2. Plain numbers are found by tag, those of a step in one statement, while the next step is read;
   of whom the database knows nothing goes no further. Digests are looked for among the numbers of
   all live bindings, of live locks and of the register of persons, opened on all cores; what is
   found goes the same way.
3. A tag may be that of another number, too: before anything is done the binding's parties are
   opened and compared, and so is the person of a lock or of the register.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple, TypeVar

from agi_router.bindings.group_members import open_member
from agi_router.bindings.parties import open_callees, open_caller, open_last_caller
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Mode, Side
from agi_router.bulk.workers import Workshop
from agi_router.db.arrays import array_of_integers, array_of_texts
from agi_router.db.connection import Connection, Queries
from agi_router.errors import CsvError, KeysOutdated, SealError, StoreHeld
from agi_router.feeds.blocks import PIECE, Block, BlockReader
from agi_router.feeds.digests import DigestIndex, Finder, Found, Rows, digest_maker, open_each
from agi_router.feeds.files import Record, digest_of, read_records
from agi_router.feeds.model import Answer, Fault, Feed, Notice, NumberForm, Trust, read_notice
from agi_router.feeds.store import FeedStore, Run
from agi_router.keys.registry import assert_current_keys, check_keys, check_rotated, key_ids
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.store import LockStore
from agi_router.tenants.model import UnknownNumbers

__all__ = ["Recycler"]

_Done = TypeVar("_Done")
_Each = TypeVar("_Each")

_Name = tuple[int, int]
"""A binding: its block, and its number there."""
_Met = tuple["_Person", dict[str, Any]]
"""Somebody, and a binding that he is a party of."""
_Tags = tuple[KeyRing, str]
"""An array of tags, and the keys that they were made with."""

# Records of a step: what is done again after a crash, and what is held in memory.
_PLAIN_STEP = 100_000
_DIGEST_STEP = 200_000
# Numbers of a statement.
_BATCH = 1000
# Bindings that end in one transaction: a call of one of them waits until all have ended.
_ENDS = 20
_STREAMED = 2000
_ROUTES = ("stream_live_routes",)
_ALL = (
    *_ROUTES,
    "stream_texts_to_strangers",
    "stream_group_members",
    "stream_blocklist",
    "stream_locks",
    "stream_persons",
)
# How often a binding is looked at anew whose parties have changed meanwhile.
_TRIES = 5
# What is said to have removed an entry of a block list, or lifted a lock.
_BY_FEED = "a feed"


class _Person(NamedTuple):
    """
    Whose number a record has.
    """

    number: PhoneNumber
    line: int
    unknown: bool
    until: datetime


_Act = Callable[[Run, Sequence[_Met]], list[str]]
"""Does something to bindings, each wholly or not at all, and tells what came of each."""


class _Step(NamedTuple):
    """
    What is done at once, and noted as done.

    Attributes:
        size: How many records.
        notices: Those of them that can be read; those of nobody may be left out.
        faults: Those that cannot be read.
        answers: What is said how often.
    """

    size: int
    notices: Sequence[Notice]
    faults: Sequence[Fault]
    answers: Mapping[Answer, int]


class Recycler:
    """
    Reads files of feeds.

    Args:
        connection: Its own. See :func:`agi_router.db.connection.connect`.
        keys: As :func:`check_keys` returned them.
        processes: How many open numbers, where a feed has digests.
        plain_step: Records of a step of a plain feed that is read line by line.
        piece: Bytes of a step of one that is read in blocks.
    """

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        *,
        processes: int = 1,
        plain_step: int = _PLAIN_STEP,
        piece: int = PIECE,
    ) -> None:
        self._connection = connection
        self._queries = Queries(connection)
        self._keys = keys
        self._processes = processes
        self._plain_step = plain_step
        self._piece = piece
        self.store = FeedStore(self._queries)
        """The feeds and their runs."""
        self.opened = 0
        """How many numbers of live bindings were compared with digests."""
        self.damaged = 0
        """How often something did not open, and was passed over."""

    def run(self, feed: Feed, stream: BinaryIO, *, name: str, digest: bytes | None = None) -> int:
        """
        Do what a file says, or what is left of it; a file that was done before changes nothing.

        Args:
            feed: The feed.
            stream: The file; it can be read twice.
            name: What it is called.
            digest: By what it is known again, 32 bytes; by default what stands in it.

        Returns:
            The number of the run.

        Raises:
            FeedBusy: Somebody else reads the feed.
            StoreHeld: A binding is changed all the time; the file goes on when it is read again.
            FeedInvalid: The algorithm of its digests cannot be had.
            CsvError: The file cannot be read from some line on; all before it is done.
        """
        with self.store.held(feed):
            run = self.store.begin(feed, name, digest or digest_of(stream))
            if run.over:
                return run.id
            for step in self._read(feed, stream, run.taken):
                self._act(feed, run, step.notices)
                run = self.store.advance(
                    run, taken=run.taken + step.size, answers=step.answers, faults=step.faults
                )
            self.store.finish(run)
        return run.id

    def _read(self, feed: Feed, stream: BinaryIO, taken: int) -> Iterator[_Step]:
        """
        What a file says, from some record on.
        """
        now = self._now()
        if feed.numbers is NumberForm.PLAIN:
            blocks = BlockReader(stream, now=now, skip=taken, piece=self._piece)
            for block, tags in _one_ahead(map(self._tagged, blocks)):
                yield _Step(
                    size=block.size,
                    notices=block.chosen(self._known(block.numbers, tags)),
                    faults=block.faults,
                    answers=block.answers,
                )
                taken += block.size
            if blocks.whole:
                return
            stream.seek(0)
        size = self._plain_step if feed.numbers is NumberForm.PLAIN else _DIGEST_STEP
        records = islice(read_records(stream), taken, None)
        # Each as it comes: a step holds what records say, and not what stands in the file.
        for step in _steps(map(partial(_read, form=feed.numbers, now=now), records), size):
            notices = [each for each in step if isinstance(each, Notice)]
            yield _Step(
                size=len(step),
                notices=self._met(notices) if feed.numbers is NumberForm.PLAIN else notices,
                faults=[each for each in step if isinstance(each, Fault)],
                answers=Counter(each.answer for each in notices),
            )

    def _tagged(self, block: Block) -> tuple[Block, _Tags]:
        return block, self._tags(block.numbers)

    def _tags(self, digits: Sequence[bytes]) -> _Tags:
        keys = self._keys
        return keys, array_of_integers(keys.bulk_tags(digits))

    def _known(self, digits: Sequence[bytes], tags: _Tags) -> list[int]:
        """
        The places of the numbers of which the database may know anything; most are nobody's.
        """

        def look() -> list[dict[str, Any]]:
            _, array = tags if tags[0] is self._keys else self._tags(digits)
            return self._ask("find_met", array)

        return sorted({(row["n"] - 1) % len(digits) for row in self._under_current_keys(look)})

    def _met(self, notices: Sequence[Notice]) -> list[Notice]:
        """
        Those of a feed of plain numbers of whom the database may know anything.
        """
        digits = [
            each.number.digits.encode("ascii")
            for each in notices
            if isinstance(each.number, PhoneNumber)
        ]
        return [notices[place] for place in self._known(digits, self._tags(digits))]

    def _now(self) -> datetime:
        row = self._queries.row("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        now: datetime = row["clock_timestamp"]
        return now

    def _act(self, feed: Feed, run: Run, notices: Sequence[Notice]) -> None:
        """
        End the bindings of those whose number has a new owner, or of whom nobody knows.
        """
        self._queries.execute("assert_whole", {})
        told = _furthest(each for each in notices if each.answer is not Answer.KEPT)
        people = [
            _Person(
                number=number,
                line=notice.line,
                unknown=notice.answer is Answer.UNKNOWN or feed.trust is Trust.HINT,
                until=notice.until,
            )
            for notice, number in self._numbers(feed.numbers, told)
        ]
        # First: nobody is bound anew, meanwhile, by what the owner of before has said.
        self._note_owners(people)
        for batch in _steps(iter(people), _BATCH):
            self._end(run, batch)
            self._leave_groups(run, batch)
        self._forget_past(people)
        # First: when the last caller was heard of is forgotten with him.
        self._end_texts(people)
        self._forget_callers(people)
        self._forget_entries(people)
        self._forget_locks(people)
        if feed.trust is Trust.FULL and self._queries.row("are_held", {}) is not None:
            self._release(feed, run, notices)

    def _release(self, feed: Feed, run: Run, notices: Sequence[Notice]) -> None:
        """
        Let bindings ring again that wait for those whose number has its owner still.
        """
        last = {each.number: each for each in notices}
        kept = [each for each in last.values() if each.answer is Answer.KEPT]
        people = (
            _Person(number=number, line=notice.line, unknown=False, until=notice.until)
            for notice, number in self._numbers(feed.numbers, kept, held=True)
        )
        act = partial(self._act_once, run, listed="list_held", act=self._release_each)
        for batch in _steps(people, _BATCH):
            self._try(act, batch)

    def _numbers(
        self, form: NumberForm, notices: Sequence[Notice], *, held: bool = False
    ) -> Iterator[tuple[Notice, PhoneNumber]]:
        """
        The records with their numbers; of digests, those that are found, see :meth:`_find`.
        """
        if form is NumberForm.PLAIN:
            for each in notices:
                if isinstance(each.number, PhoneNumber):
                    yield each, each.number
        elif notices:
            for place, number in self._find(form, DigestIndex.of(notices), held=held):
                yield notices[place], number

    def _find(
        self, form: NumberForm, index: DigestIndex, *, held: bool
    ) -> Sequence[tuple[int, PhoneNumber]]:
        """
        The numbers that have one of these digests, each once.

        They are those of live bindings, texts to strangers, party groups, block lists, locks and
        the register of persons; or of held bindings alone.
        """
        found: set[tuple[int, PhoneNumber]] = set()
        self._keys = check_keys(self._connection, self._keys)
        # A worker that lacks the algorithm could not say so.
        digest_maker(form)
        finder = Finder(keys=self._keys, form=form, index=index)
        shop: Workshop[Rows, Found] = Workshop(finder, processes=self._processes)
        with shop, self._queries.snapshot():
            streamed = chain.from_iterable(
                self._queries.stream(name, {"held": held}, size=_STREAMED)
                for name in (_ROUTES if held else _ALL)
            )
            for _, made in shop.work(map(Rows, streamed)):
                self.opened += made.opened
                self.damaged += made.damaged
                found.update(made.hits)
        return sorted(found, key=itemgetter(0))

    def _end(self, run: Run, people: Sequence[_Person], *, singly: bool = False) -> None:
        """
        End what they are party of; singly within a transaction, as all that ends there is held on.
        """
        end = partial(self._end_each, singly=singly)
        self._try(partial(self._act_once, run, listed="list_recycled", act=end), people)

    @staticmethod
    def _try(act: Callable[[Sequence[_Person]], list[_Person]], people: Sequence[_Person]) -> None:
        left = list(people)
        for _ in range(_TRIES):
            left = act(left)
            if not left:
                return
        raise StoreHeld("a binding is changed all the time; read the file again, it goes on")

    def _act_once(
        self, run: Run, people: Sequence[_Person], *, listed: str, act: _Act
    ) -> list[_Person]:
        """
        Do something to what they are party of; returns those who have a binding that was changed.
        """
        again: list[_Person] = []
        rows, owners = self._look(listed, people)
        left = list(self._routed(rows))
        done: set[_Name] = set()
        while left:
            # Many people may be of one binding: it is done by one of them, and may be over then.
            turn: dict[_Name, _Met] = {}
            others = []
            for row, routes in left:
                person = owners[row["n"] - 1]
                if _name(row) in turn:
                    others.append((row, routes))
                elif _name(row) not in done and self._is_party(person.number, row, routes):
                    turn[_name(row)] = person, row
            outcomes = self._under_current_keys(partial(act, run, list(turn.values())))
            for (name, (person, _)), outcome in zip(turn.items(), outcomes, strict=True):
                if outcome == "changed":
                    again.append(person)
                elif outcome in {"ended", "over", "released"}:
                    done.add(name)
            left = others
        return again

    def _routed(
        self, rows: Sequence[dict[str, Any]]
    ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """
        Bindings with their routes, which are listed once for all who are of one.
        """
        routes: dict[_Name, list[dict[str, Any]]] = {_name(row): [] for row in rows}
        asked = {"block": [block for block, _ in routes], "id": [number for _, number in routes]}
        for route in self._queries.rows("list_routes", asked) if rows else ():
            routes[_name(route)].append(route)
        for row in rows:
            yield row, routes[_name(row)]

    def _is_party(
        self, number: PhoneNumber, row: dict[str, Any], routes: Sequence[dict[str, Any]]
    ) -> bool:
        """
        Whether a number is really that of a party, or the fixed one that is called back.
        """
        keys = self._keys
        readers = [partial(open_callees, route, keys) for route in routes]
        if row["parent_id"] is None:
            # A member is sealed for the row of B; elsewhere A is for its own.
            back = next((route for route in routes if route["side"] == Side.B), None)
            if row["y_ttl"] is not None or Mode(row["mode"]).open:
                back = None
            readers += [
                partial(open_caller, route, back or route, keys)
                for route in routes
                if route["caller"] is not None
            ]
        numbers, broken = open_each(readers)
        if number in numbers:
            return True
        self.damaged += broken
        return False

    def _end_each(self, run: Run, met: Sequence[_Met], *, singly: bool) -> list[str]:
        outcomes: dict[_Name, str] = {}
        for some in _steps(iter(met), 1 if singly else _ENDS):
            outcomes |= self._end_some(run, some)
        for each in met:
            # Whoever holds it is waited for now that no other is held here.
            if outcomes[_name(each[1])] == "busy":
                outcomes |= self._end_some(run, [each])
        return [outcomes[_name(row)] for _, row in met]

    def _end_some(self, run: Run, met: Sequence[_Met]) -> dict[_Name, str]:
        rows = self._queries.rows(
            "end_recycled",
            {
                "block": array_of_integers(row["block"] for _, row in met),
                "id": array_of_integers(row["id"] for _, row in met),
                "version": array_of_integers(row["version"] for _, row in met),
                "tags": array_of_texts(
                    array_of_integers(self._keys.tags(person.number)) for person, _ in met
                ),
                "unknown": [person.unknown for person, _ in met],
                "until": [person.until for person, _ in met],
                "line": array_of_integers(person.line for person, _ in met),
                "run_id": run.id,
                **key_ids(self._keys),
            },
        )
        return {_name(row): row["outcome"] for row in rows}

    def _release_each(self, run: Run, met: Sequence[_Met]) -> list[str]:
        values = (
            {
                "block": row["block"],
                "id": row["id"],
                "version": row["version"],
                "tags": self._keys.tags(person.number),
                "run_id": run.id,
                "line": person.line,
            }
            for person, row in met
        )
        # It always returns one row.
        rows = self._queries.row_of_each("release_held", values)
        return [row["outcome"] for row in rows if row]

    def _leave_groups(self, run: Run, people: Sequence[_Person]) -> None:
        """
        Take those out of party groups who are in them since before their number had its new owner.
        """
        rows, owners = self._look("list_recycled_members", people)
        for row in rows:
            person = owners[row["n"] - 1]
            if self._is_to_leave(person, row):
                self._under_current_keys(partial(self._leave_group, run, person, row["group_id"]))

    def _is_to_leave(self, person: _Person, row: dict[str, Any]) -> bool:
        try:
            if person.number not in open_member(row, self._keys):
                return False
        except SealError:
            self.damaged += 1
            return False
        stays = person.unknown and row["unknown_numbers"] != UnknownNumbers.REFUSE
        return not stays and row["added_at"] < person.until

    def _leave_group(self, run: Run, person: _Person, group_id: int) -> None:
        """
        Take a person out of a party group, and end what has been bound by it until this moment.
        """
        with self._queries.transaction():
            assert_current_keys(self._queries, self._keys)
            # Nobody binds by it from now on, with the member still in it.
            self._queries.execute("lock_group_by_id", {"group_id": group_id})
            # In the order of all who hold several: none is left out and waited for later.
            self._end(run, [person], singly=True)
            rows, _ = self._look("list_recycled_members", [person])
            for row in rows:
                if row["group_id"] == group_id and self._is_to_leave(person, row):
                    self._queries.execute("remove_recycled_member", row)
                    values = {"group_id": group_id, "relabel": False, "label": None}
                    self._queries.execute("change_group", values)

    def _forget_past(self, people: Sequence[_Person]) -> None:
        """
        Let nobody be known as who was bound before he had his number, in what is over.
        """
        sure = [each for each in people if not each.unknown]
        for batch in _steps(iter(sure), _BATCH):
            rows, owners = self._look("list_recycled_past", batch)
            met = [
                (owners[row["n"] - 1], row)
                for row, routes in self._routed(rows)
                if self._is_party(owners[row["n"] - 1].number, row, routes)
            ]
            self._under_current_keys(partial(self._forget_each, met))

    def _forget_each(self, met: Sequence[_Met]) -> None:
        ids = key_ids(self._keys)
        self._queries.row_of_each(
            "forget_recycled",
            (
                {
                    "block": row["block"],
                    "id": row["id"],
                    "tags": self._keys.tags(person.number),
                    "until": person.until,
                    **ids,
                }
                for person, row in met
            ),
        )

    def _end_texts(self, people: Sequence[_Person]) -> None:
        """
        Let no text go to a stranger whose number has a new owner since he was heard of.

        A try that is under way ends as it may, and is the last.
        """
        sure = [each for each in people if not each.unknown]
        if not sure:
            return
        rows, owners = self._look("list_recycled_texts", sure)
        for row in rows:
            person = owners[row["n"] - 1]
            try:
                stranger = open_last_caller(row, self._keys, mode=Mode.AX)
            except SealError:
                self.damaged += 1
                continue
            if person.number not in stranger or row["last_at"] >= person.until:
                continue
            failed = {**row, "reason": Reason.PARTY_RECYCLED}
            if self._queries.row("discard_message", failed) is None:
                self._queries.execute("give_up_owed_message", row)

    def _forget_callers(self, people: Sequence[_Person]) -> None:
        """
        Let nobody be called back, as who called last, whose number has a new owner since.
        """
        sure = [each for each in people if not each.unknown]
        if not sure:
            return
        rows, owners = self._look("list_recycled_callers", sure)
        for row in rows:
            person = owners[row["n"] - 1]
            try:
                last = open_last_caller(row, self._keys, mode=Mode(row["mode"]))
            except SealError:
                self.damaged += 1
                continue
            if person.number in last and row["last_at"] < person.until:
                self._queries.row("forget_last_caller", row)

    def _forget_entries(self, people: Sequence[_Person]) -> None:
        """
        Let no entry of a block list hold for a new owner that was added for, or against, the old.
        """
        sure = [each for each in people if not each.unknown]
        if not sure:
            return
        rows, owners = self._look("list_recycled_entries", sure)
        blocklist = BlocklistStore(self._queries, self._keys)
        for row in rows:
            person = owners[row["n"] - 1]
            if row["added_at"] >= person.until:
                continue
            try:
                blocklist.forget(row, person.number, by=_BY_FEED)
            except SealError:
                self.damaged += 1

    def _forget_locks(self, people: Sequence[_Person]) -> None:
        """
        Let no lock hold for a new owner that was set on the old one.
        """
        sure = [each for each in people if not each.unknown]
        if not sure:
            return
        rows, owners = self._look("list_recycled_locks", sure)
        locks = LockStore(self._queries, self._keys)
        for row in rows:
            person = owners[row["n"] - 1]
            if row["set_at"] >= person.until:
                continue
            try:
                locks.forget(row, person.number, by=_BY_FEED)
            except SealError:
                self.damaged += 1

    def _note_owners(self, people: Sequence[_Person]) -> None:
        """
        Let no consent and no real name of an old owner count for the new one.
        """
        sure = [each for each in people if not each.unknown]
        if not sure:
            return
        rows, owners = self._look("list_recycled_persons", sure)
        since: dict[int, datetime] = {}
        for row in rows:
            person = owners[row["n"] - 1]
            try:
                number = self._keys.open_person(row["sealed"], row["person_id"], row["tag"])
            except SealError:
                self.damaged += 1
                continue
            if number == person.number:
                since[row["person_id"]] = person.until
        if since:
            values = {"person_ids": list(since), "since": list(since.values())}
            self._under_current_keys(partial(self._note, values))

    def _note(self, values: dict[str, Any]) -> None:
        # Retention deletes nobody meanwhile, so that nothing is noted of whom it has deleted.
        with self._queries.transaction():
            assert_current_keys(self._queries, self._keys)
            self._queries.execute("note_new_owners", values)

    def _look(
        self, name: str, people: Sequence[_Person]
    ) -> tuple[list[dict[str, Any]], list[_Person]]:
        """
        The rows of a statement that is given the tags of people, and whose each tag is.
        """

        def look() -> tuple[list[dict[str, Any]], list[_Person]]:
            tags = [(tag, each) for each in people for tag in self._keys.tags(each.number)]
            rows = self._ask(name, array_of_integers(tag for tag, _ in tags))
            return rows, [each for _, each in tags]

        return self._under_current_keys(look)

    def _ask(self, name: str, tags: str) -> list[dict[str, Any]]:
        """
        The rows of a statement that is given an array of tags.
        """
        # Under other keys than the current ones some would not be found.
        with self._queries.transaction():
            assert_current_keys(self._queries, self._keys)
            return self._queries.rows(name, {"tags": tags})

    def _under_current_keys(self, work: Callable[[], _Done]) -> _Done:
        """
        Do something; once more with the new keys where they were rotated since they were read.
        """
        try:
            return work()
        except KeysOutdated:
            self._keys = check_rotated(self._connection, self._keys)
            return work()


def _read(record: Record | Fault, *, form: NumberForm, now: datetime) -> Notice | Fault:
    return record if isinstance(record, Fault) else read_notice(*record, form, now=now)


def _furthest(notices: Iterable[Notice]) -> list[Notice]:
    """
    Of what is said of one number, what reaches furthest: it may stand in a file a million times.
    """
    found: dict[tuple[PhoneNumber | bytes, bool], Notice] = {}
    for each in notices:
        name = each.number, each.answer is Answer.UNKNOWN
        known = found.setdefault(name, each)
        if known.until < each.until:
            found[name] = each
    return list(found.values())


def _name(row: dict[str, Any]) -> _Name:
    return row["block"], row["id"]


def _one_ahead(items: Iterator[_Each]) -> Iterator[_Each]:
    """
    The same, of which the next one is made while one is worked on: the database does its part.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _steps(records: Iterator[_Each], size: int) -> Iterator[list[_Each]]:
    """
    So many at a time; where the file breaks off, those before the fault, and then the fault.

    Raises:
        CsvError: The file cannot be read from some line on.
    """
    step: list[_Each] = []
    try:
        for each in records:
            step.append(each)
            if len(step) == size:
                yield step
                step = []
    except CsvError:
        if step:
            yield step
        raise
    if step:
        yield step

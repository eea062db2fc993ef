"""
Signing the audit, and looking whether it is still what was signed.

Rules for the editor:

1. Whoever writes a row of the audit waits for no chain. A row gets its place when the audit is
   signed next, and from then on it is held.
2. Nothing is signed on top of a chain that does not fit the last head.
3. A row is expected within an hour of its time: whoever writes one commits it at once. One that
   turns up later was put there by somebody else. It gets no place, and each look at the audit
   names it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final, Protocol

from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.errors import AuditBroken, RequestInvalid, StoreBusy
from agi_router.records.chain import (
    BEGIN,
    Algorithm,
    Head,
    SigningKey,
    VerifyingKey,
    digest_row,
)
from agi_router.records.verification import Finding, Verdict, Walk, believe

__all__ = ["AuditChain", "Heads", "cursor_of_head"]

_LATE: Final = timedelta(hours=1)
_PAGE: Final = 1000
# Behind the last place of any chain.
_END: Final = 2**63 - 1


class Heads(Protocol):
    """
    Where heads are kept (:class:`agi_router.records.heads.HeadsFile`).
    """

    @property
    def last(self) -> Head | None:
        """
        The head that was signed last.
        """

    def append(self, head: Head) -> None:
        """
        Add a head.
        """


class AuditChain:
    """
    The chain of one database's audit.

    Args:
        queries: Where it is kept.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def sign(self, heads: Heads, key: SigningKey, by: Algorithm) -> Head:
        """
        Give every new row its place, and sign what the audit is by then.

        Args:
            heads: Held for writing.
            key: What signs.
            by: What makes the digests of the new rows.

        Returns:
            The head, which is written by then.

        Raises:
            AuditBroken: The chain does not fit the last head; nothing was changed.
            AuditFileInvalid: The head cannot be written. The rows have their places.
            StoreError: The database failed; nothing was changed.
        """
        with self._queries.transaction():
            self._queries.row("lock_chain", {})
            end = self._queries.row("find_chain_end", {})
            assert end is not None  # noqa: S101 - an aggregate has a row
            position: int = end["position"]
            digest = self._digest(position)
            last = heads.last
            self._check_fits(last, position)
            if last is None:
                # Else there would be places and no head, where the rest of this fails.
                heads.append(key.sign(0, BEGIN, end["now"]))
            since = last.signed_at - _LATE if last and last.position else "-infinity"
            # In one pass: looked for a page at a time, all before it would be read again.
            new = {"since": since, "until": "infinity", "limit": None}
            for rows in self._queries.stream("list_unchained", new, size=_PAGE):
                links = []
                for row in rows:
                    position += 1
                    digest = digest_row(digest, position, row, by)
                    links.append((position, row["id"], digest))
                positions, audit_ids, digests = zip(*links, strict=True)
                self._queries.execute(
                    "append_chain",
                    {
                        "algorithm": by.value,
                        "positions": list(positions),
                        "audit_ids": list(audit_ids),
                        "digests": list(digests),
                    },
                )
        head = key.sign(position, digest, end["now"])
        heads.append(head)
        # In the file it holds; here it is for whoever reads heads by HTTP.
        self._queries.execute("keep_head", asdict(head))
        return head

    def heads(self, *, after: Cursor | None = None, limit: int) -> list[Head]:
        """
        Copies of heads that were signed, the newest first.

        Args:
            after: Only those behind the last one of another page, see :func:`cursor_of_head`.
            limit: At most so many.
        """
        values = {
            "after_at": None if after is None else after.at,
            "after_key": None if after is None else after.name,
            "limit": limit,
        }
        return [Head(**row) for row in self._queries.rows("list_heads", values)]

    @contextmanager
    def looked_at_alone(self) -> Iterator[None]:
        """
        Let nobody else look at the audit in this way for the time of a block.

        Raises:
            StoreBusy: Another does.
        """
        locked = self._queries.row("try_lock_look", {})
        if locked is None or not locked["locked"]:
            raise StoreBusy("another look at the audit is under way: ask again")
        try:
            yield
        finally:
            self._queries.execute("unlock_look", {})

    def verify_stretch(
        self,
        heads: Sequence[Head],
        keys: Sequence[VerifyingKey],
        *,
        after: int = 0,
        rows: int,
    ) -> tuple[Verdict, int | None]:
        """
        Look at a part of the audit, between two heads; the copies in the database count, too.

        All parts together find what :meth:`verify` does.

        Args:
            heads: Those that whoever asks has kept.
            keys: The public keys that are believed.
            after: Place of a head, behind which the part begins; 0: the first row.
            rows: It ends at the last head within so many rows.

        Returns:
            The verdict, and where the next part begins; :obj:`None`: this was the last. Of its
            unsigned rows those among the *rows* newest are counted.

        Raises:
            RequestInvalid: There is no head within so many rows.
        """
        with self._queries.snapshot():
            values = {"after": after, "limit": _PAGE}
            kept = [Head(**row) for row in self._queries.rows("list_heads_behind", values)]
            known = [*kept, *(each for each in heads if each.position >= after)]
            most = kept[-2].position if len(kept) > _PAGE else _END
            until = self._end_of_part(known, after=after, rows=rows, most=most)
            if until is not None:
                last = max(each.position for each in known)
                known = [each for each in known if each.position <= until or each.position == last]
            believed, findings = believe(known, keys)
            return self._look(believed, findings, after=after, until=until, rows=rows), until

    def _end_of_part(
        self, known: Sequence[Head], *, after: int, rows: int, most: int
    ) -> int | None:
        """
        Where a part ends; :obj:`None`: with the chain.

        Args:
            known: The heads behind *after*.
            after: See :meth:`verify_stretch`.
            rows: See there.
            most: A place behind which it does not end.

        Raises:
            RequestInvalid: There is no head within so many rows.
        """
        end = self._queries.row("find_chain_end", {})
        assert end is not None  # noqa: S101 - an aggregate has a row
        begin = max(after, end["begin"])
        most = min(most, begin + rows)
        if end["position"] <= most:
            return None
        until = max((each.position for each in known if begin < each.position <= most), default=0)
        if not until:
            raise RequestInvalid(
                f"no head is known within {rows} rows behind place {begin}: give one that you have"
                " kept, or run 'agi-router audit verify'",
                ("heads",),
            )
        return until

    def verify(self, heads: Iterable[Head], keys: Sequence[VerifyingKey]) -> Verdict:
        """
        Look at the whole audit.

        Args:
            heads: All that were signed and are at hand, from any number of files.
            keys: The public keys that are believed.
        """
        believed, findings = believe(heads, keys)
        with self._queries.snapshot():
            return self._look(believed, findings)

    def _look(
        self,
        believed: Mapping[int, Head],
        findings: list[Finding],
        *,
        after: int = 0,
        until: int | None = None,
        rows: int | None = None,
    ) -> Verdict:
        if not believed and not findings:
            findings.append(Finding("no head was ever signed: nothing holds the audit"))
        walk = Walk(believed, after=after)
        stretch = {"after": after, "until": _END if until is None else until}
        for page in self._queries.stream("list_chain", stretch, size=_PAGE):
            for row in page:
                walk.step(row)
            if walk.finding:
                break
        if until is None:
            walk.end()
        findings += [walk.finding] if walk.finding else []
        begin, last = believed.get(after), _last_of(believed, until)
        if last is not None and (begin is not None or not after):
            since = begin.signed_at - _LATE if after and begin else "-infinity"
            findings += self._inserted(since, last.signed_at - _LATE)
        if until is not None:
            return Verdict(walk.rows, walk.signed, 0, findings)
        new = self._count_unchained("-infinity" if last is None else last.signed_at - _LATE, rows)
        return Verdict(walk.rows, walk.signed, walk.position - walk.signed + new, findings)

    def _digest(self, position: int) -> bytes:
        if position == 0:
            return BEGIN
        row = self._queries.row("find_chain_digest", {"position": position})
        return b"" if row is None else bytes(row["digest"])

    def _check_fits(self, last: Head | None, position: int) -> None:
        if last is None:
            if position:
                raise AuditBroken(
                    f"the chain of the audit has {position} rows, and the file of heads no head:"
                    " bring the file back from a copy"
                )
        elif last.position > position or self._digest(last.position) != last.digest:
            raise AuditBroken(
                f"the audit is not as it was signed at {last.signed_at:%Y-%m-%d %H:%M:%S%z}:"
                " run 'agi-router audit verify', which names the first row"
            )

    def _inserted(self, since: datetime | str, until: datetime) -> list[Finding]:
        values = {"since": since, "until": until, "limit": _PAGE}
        return [
            Finding("a row was inserted after it should have been signed", audit_id=row["id"])
            for row in self._queries.rows("find_inserted", values)
        ]

    def _count_unchained(self, since: datetime | str, most: int | None) -> int:
        row = self._queries.row("count_unchained", {"since": since, "limit": most})
        return 0 if row is None else int(row["rows"])


def _last_of(believed: Mapping[int, Head], until: int | None) -> Head | None:
    """
    The head with which a part ends, or that was signed last; :obj:`None`: there is none.
    """
    if until is not None:
        return believed.get(until)
    signed = [head for place, head in believed.items() if place]
    return max(signed, key=lambda head: head.signed_at, default=None)


def cursor_of_head(head: Head) -> Cursor:
    """
    Where a head stands in a list.
    """
    return Cursor(head.signed_at, head.key)

"""
What a look at the audit finds: the first row that is not what was signed.

Rules for the editor:

1. The walk ends at the first fault: behind it no digest can be judged.
2. A digest is made anew from what the row says; the one that stands in the chain is believed in
   nothing. Only a head is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from agi_router.records.chain import BEGIN, Algorithm, Head, VerifyingKey, digest_row

__all__ = ["KEPT", "Finding", "Verdict", "Walk", "believe"]

KEPT: Final = timedelta(days=730)
"""So long rows are kept; who deletes one sooner has removed it."""

_OF_CHAIN: Final = frozenset({"position", "audit_id", "algorithm", "digest"})


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing in which the audit is not what was signed.

    Attributes:
        what: What, and which row.
        position: The place in the chain; :obj:`None`: it has none.
        audit_id: The row's id, where there is one.
    """

    what: str
    position: int | None = None
    audit_id: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a look at the audit has found.

    Attributes:
        rows: Rows in the chain that were looked at.
        signed: Place up to which a good head holds the chain; 0: none.
        unsigned: Rows behind it, or without a place yet.
        findings: What is wrong, the first in the chain first; none: the audit is as it was signed.
    """

    rows: int
    signed: int
    unsigned: int
    findings: Sequence[Finding]


class Walk:
    """
    A walk along the chain, up to the first thing that is wrong.

    Args:
        heads: Those that are believed, by place.
        after: Place of the head behind which it begins; 0: at the first row.

    Attributes:
        rows: Rows that were looked at.
        position: The last place that is as it was.
        signed: The last place that a head holds; 0: none.
        finding: What is wrong.
    """

    def __init__(self, heads: Mapping[int, Head], *, after: int = 0) -> None:
        self._heads = heads
        begin = heads.get(after)
        self._digest = BEGIN if begin is None else begin.digest
        self.rows = 0
        self.position = after
        self.signed = after
        self.finding: Finding | None = None
        if after and begin is None:
            self.finding = Finding("no head that is believed holds this place", after)

    def step(self, row: Mapping[str, Any]) -> None:
        """
        Look at the next place; once something was found, at nothing more.
        """
        if self.finding is None:
            self.finding = self._fault_of(row)

    def end(self) -> None:
        """
        Look at what should come behind the last place.
        """
        last = max(self._heads, default=0)
        if self.finding is None and last > self.position:
            self.finding = Finding(
                f"rows were removed at the end: {last} were signed and {self.position} are there,"
                f" of which a head holds {self.signed}",
                self.signed + 1,
            )

    def _is_over(self, head: Head) -> bool:
        """
        Whether rows may be deleted up to a head, which then stands for them.
        """
        last = max(each.signed_at for each in self._heads.values())
        return head.signed_at <= last - KEPT

    def _fault_of(self, row: Mapping[str, Any]) -> Finding | None:
        position, audit_id = row["position"], row["audit_id"]
        before = self._heads.get(position - 1)
        if self.position == 0 and before and self._is_over(before):
            self.position, self._digest, self.signed = position - 1, before.digest, position - 1
        if position != self.position + 1:
            return Finding("a row was removed from the chain", self.position + 1)
        if row["id"] is None:
            return Finding("a row was removed", position, audit_id)
        said = {name: row[name] for name in row if name not in _OF_CHAIN}
        try:
            by = Algorithm(row["algorithm"])
        except ValueError:
            return Finding("the chain names an algorithm that there is not", position, audit_id)
        digest = digest_row(self._digest, position, said, by)
        if digest != bytes(row["digest"]):
            return Finding("a row was changed, or is not at its place", position, audit_id)
        self.position, self._digest = position, digest
        self.rows += 1
        if head := self._heads.get(position):
            if head.digest != digest:
                return Finding(
                    f"the rows of the places {self.signed + 1} to {position} are not those that"
                    " were signed",
                    self.signed + 1,
                )
            self.signed = position
        return None


def believe(
    heads: Iterable[Head], keys: Sequence[VerifyingKey]
) -> tuple[dict[int, Head], list[Finding]]:
    """
    The heads that one of *keys* has signed, by place, and what is wrong with the others.
    """
    believed: dict[int, Head] = {}
    findings = []
    # A head names its key: no other one need be tried.
    by_id = {key.id: key for key in keys}
    for head in heads:
        signer = by_id.get(head.key)
        if signer is None or not signer.has_signed(head):
            findings.append(
                Finding(
                    f"a head is signed by none of the keys (it names {head.key})", head.position
                )
            )
        elif believed.setdefault(head.position, head).digest != head.digest:
            findings.append(Finding("two heads of one place differ", head.position))
        elif believed[head.position].signed_at < head.signed_at:
            believed[head.position] = head
    return believed, findings

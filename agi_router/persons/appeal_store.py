"""
Appeals, as the database keeps them.

The rules of steps are in :mod:`agi_router.persons.appeals`; ``agi_router.step_appeal`` holds to
them once the rows are locked, that of two actors too.
"""

from typing import Any

from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import (
    AppealNotFound,
    AppealOpen,
    LockOver,
    RequestInvalid,
    RowInvalid,
    SameActor,
)
from agi_router.keys.ring import KeyRing
from agi_router.persons.appeal_states import AppealState, Spans
from agi_router.persons.appeals import (
    EVIDENCE,
    STEPS,
    Appeal,
    AppealStep,
    Evidence,
    EvidenceKind,
    Rebind,
    take,
)
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockState
from agi_router.persons.store import LockStore
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["AppealStore"]

_HOLDING = {LockState.PLANNED, LockState.IN_FORCE}


class AppealStore:
    """
    The appeals of one database; for a tenant, those that it has filed, or against its own locks.

    Args:
        queries: Where they are kept.
        keys: To open who is locked.
        spans: How long each step may take.
        scope: Who asks.
    """

    def __init__(
        self, queries: Queries, keys: KeyRing, spans: Spans, scope: Scope = OPERATOR
    ) -> None:
        self._queries = queries.given(scope.values)
        self._spans = spans
        self._scope = scope
        self._locks = LockStore(queries, keys, scope)
        # Whoever may see an appeal may see its lock, also once the person has no route any more.
        self._appealed = LockStore(queries, keys)

    def file(self, lock_id: int, *, by: str, note: str | None = None) -> Appeal:
        """
        Object to a lock.

        Args:
            lock_id: The lock.
            by: Who does it.
            note: What the person says.

        Raises:
            LockNotFound: There is none of this id.
            LockOver: It is over.
            AppealOpen: There is an appeal against it.
        """
        lock = self._locks.find_concerning(lock_id)
        state = AppealState.FILED if EVIDENCE[lock.reason] else AppealState.COMPLETE
        values = {
            "lock_id": lock_id,
            "state": state,
            "filed_by": by,
            "note": note,
            "span": self._spans.of(state),
        }
        row = self._queries.row("file_appeal", values) or {}
        match row["outcome"]:
            case "over":
                raise LockOver(f"lock {lock_id} is over: there is nothing to appeal against")
            case "open":
                raise AppealOpen(f"there is an appeal against lock {lock_id} already")
        return self.find(row["id"])

    def find(self, appeal_id: int) -> Appeal:
        """
        One appeal, whatever has become of it.

        Raises:
            AppealNotFound: There is none of this id.
        """
        row = self._queries.row("find_appeal", {"id": appeal_id})
        if row is None:
            raise AppealNotFound(f"there is no appeal {appeal_id}")
        return self._read(row)

    def all(
        self,
        *,
        state: AppealState | None = None,
        lock_id: int | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[Appeal]:
        """
        Appeals, newest first.

        Args:
            state: Only those of which this has become.
            lock_id: Only those against this lock.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is none of this list.
        """
        values = {
            "state": state,
            "lock_id": lock_id,
            **numbered(after),
            "limit": limit,
        }
        return [self._read(row) for row in self._queries.rows("list_appeals", values)]

    def add_evidence(self, appeal_id: int, evidence: Evidence, *, by: str) -> Appeal:
        """
        Back an appeal with one more piece of evidence; with the last one it is complete.

        Raises:
            AppealNotFound: There is none of this id.
            AppealOver: It is over.
            RequestInvalid: The lock's reason does not ask for it.
        """
        with self._queries.transaction():
            # Of two who bring the last pieces at once the second one sees the first.
            self._queries.row("hold_appeal", {"id": appeal_id})
            return self._add_evidence(appeal_id, evidence, by)

    def _add_evidence(self, appeal_id: int, evidence: Evidence, by: str) -> Appeal:
        found = self.find(appeal_id)
        if evidence.kind not in EVIDENCE[found.reason]:
            needed = ", ".join(EVIDENCE[found.reason]) or "nothing"
            raise RequestInvalid(f"an appeal against a lock for {found.reason} needs {needed}")
        take(found.state, AppealStep.WITHDRAW, actor=by, set_by="")
        values = {
            "id": appeal_id,
            "kind": evidence.kind,
            "reference": evidence.reference,
            "digest": bytes.fromhex(evidence.digest),
            "added_by": by,
        }
        self._queries.row("add_evidence", values)
        found = self.find(appeal_id)
        if found.state is AppealState.FILED and not found.missing:
            return self.take(appeal_id, AppealStep.COMPLETE, by=by)
        return found

    def take(
        self, appeal_id: int, step: AppealStep, *, by: str, note: str | None = None
    ) -> Appeal:
        """
        Do a step.

        Raises:
            AppealNotFound: There is none of this id.
            AppealOver: It is over.
            AppealNotReady: Another step comes first.
            SameActor: Whoever has set the lock may not; or an appeal that another has filed is
                withdrawn.
            OperatorOnly: A tenant judges a lock that it has not set.
        """
        found = self.find(appeal_id)
        rule = STEPS[step]
        row = self._queries.row("find_judge", {"id": appeal_id}) or {}
        if rule.second_actor and not (
            self._scope.whole or row["setter_id"] == self._scope.tenant_id
        ):
            self._scope.check_operator("judges what he has locked")
        take(found.state, step, actor=by, set_by=row["set_by"])
        if step is AppealStep.WITHDRAW and row["filer_id"] != self._scope.tenant_id:
            raise SameActor("an appeal is withdrawn by whoever has filed it: judge it instead")
        values = {
            "id": appeal_id,
            "from": sorted(rule.sources),
            "to": rule.target,
            "actor": by,
            "note": note,
            "span": self._spans.of(rule.target),
        }
        done = self._queries.row("step_appeal", values) or {}
        if not done["done"]:
            # Somebody was first: by what it is now the rule says why.
            take(self.find(appeal_id).state, step, actor=by, set_by=row["set_by"])
        return self.find(appeal_id)

    def _read(self, row: dict[str, Any]) -> Appeal:
        lock = self._appealed.find(row["lock_id"])
        try:
            state, reason = AppealState(row["state"]), LockReason(row["reason"])
            evidence = tuple(
                Evidence(
                    kind=EvidenceKind(each["kind"]),
                    reference=each["reference"],
                    digest=each["digest"].hex(),
                    added_at=each["added_at"],
                )
                for each in self._queries.rows("list_evidence", {"id": row["id"]})
            )
        except ValueError:
            raise RowInvalid from None
        whole = self._scope.whole
        upheld = state is AppealState.UPHELD
        return Appeal(
            id=row["id"],
            lock_id=row["lock_id"],
            thing=lock.thing,
            reason=reason,
            tenant=row["tenant"],
            state=state,
            note=row["note"],
            filed_by=row["filed_by"] if whole else None,
            filed_at=row["filed_at"],
            state_at=row["state_at"],
            deadline_at=row["deadline_at"],
            overdue=row["overdue"],
            reviewer=row["reviewer"] if whole else None,
            decided_by=row["decided_by"] if whole else None,
            decision_note=row["decision_note"],
            evidence=evidence,
            offers_rebind=upheld
            and lock.state in _HOLDING
            and lock.thing.subject is not Subject.TENANT,
            rebinds=self._rebinds(row["id"]) if upheld else (),
        )

    def _rebinds(self, appeal_id: int) -> tuple[Rebind, ...]:
        return tuple(
            Rebind(
                old=f"{row['block']}-{row['binding_id']}",
                new=f"{row['new_block']}-{row['new_binding_id']}",
                at=row["rebound_at"],
            )
            for row in self._queries.rows("list_rebinds", {"id": appeal_id})
        )

"""
Who is in a party group, as the database keeps it: each member tagged, and sealed for its row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agi_router.bindings.context import BindingContext
from agi_router.bindings.party_groups import BINDINGS_MAX
from agi_router.bindings.words import Side
from agi_router.db.connection import Queries
from agi_router.errors import GroupInUse, GroupNotFound, SealError
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_each
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import PhoneNumber

__all__ = ["GroupMembers", "GroupSharing", "Members", "no_such_group", "open_member"]

Members = Mapping[PhoneNumber, datetime | None]
"""Members in their order, and since when each is one; :obj:`None`: from now on."""


class GroupMembers:
    """
    Reads and writes the members of groups that a store has found, or holds.

    Args:
        queries: Where they are kept.
        keys: To tag, seal and open with.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys

    def rows(self, group_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """
        The rows of the members of some groups, each group's in their order.
        """
        found: dict[int, list[dict[str, Any]]] = {each: [] for each in group_ids}
        for row in self._queries.rows("list_group_members", {"group_id": list(group_ids)}):
            found[row["group_id"]].append(row)
        return found

    def open(self, rows: Sequence[Mapping[str, Any]]) -> Members:
        """
        The members of one group, of its rows.

        Raises:
            SealError: One does not open, or its row is not its own.
        """
        found: dict[PhoneNumber, datetime | None] = {}
        for row in rows:
            (member,) = open_member(row, self._keys)
            if row["tag"] not in self._keys.tags(member):
                raise SealError("a row is not that of the member whom it names")
            found[member] = row["added_at"]
        return found

    def of(self, group_id: int) -> Members:
        """
        The members of one group.

        Raises:
            SealError: One does not open, or its row is not its own.
        """
        return self.open(self.rows([group_id])[group_id])

    def write(self, group_id: int, members: Members) -> None:
        """
        Say who is in a group that is held, under the current keys.
        """
        tags = [self._keys.tag(member) for member in members]
        sealed = [
            self._keys.seal([member], _row(group_id, tag), Purpose.MEMBER)
            for member, tag in zip(members, tags, strict=True)
        ]
        values = {"group_id": group_id, "tag": tags, "sealed": sealed}
        self._queries.execute("delete_group_members", {"group_id": group_id})
        self._queries.execute("add_group_members", {**values, "added_at": list(members.values())})
        self._queries.execute("count_seals", {"count": len(tags)})

    def renew(self) -> int:
        """
        Bring all members under the current keys; how many groups had one of others.

        Raises:
            SealError: One does not open.
        """

        def write(row: dict[str, Any]) -> None:
            self._queries.execute("lock_group_by_id", row)
            self.write(row["group_id"], self.of(row["group_id"]))

        values = {"header": self._keys.header}
        return renew_each(self._queries, self._keys, "list_unrenewed_groups", values, write)


class GroupSharing(BindingContext):
    """
    Binding by a party group.
    """

    def _share_group(
        self, tenant: str, name: str, *, another: bool = True
    ) -> tuple[PhoneNumber, ...]:
        """
        Who is in a party group; nobody comes or goes until the transaction ends.

        Args:
            tenant: Whose it is.
            name: It.
            another: Whether one binding more is to live by it.

        Raises:
            GroupNotFound: The tenant has none of this name.
            GroupInUse: As many bindings live by it as may.
            SealError: A member does not open.
        """
        # Keys before groups, as all who take both: or they and a rotation would wait in a circle.
        assert_current_keys(self._queries, self.keys)
        found = self._queries.row("share_group", {"tenant": tenant, "name": name})
        if found is None:
            raise no_such_group(tenant, name)
        values = {"tenant_id": found["tenant_id"], "name": name, "limit": BINDINGS_MAX}
        full = self._queries.row("is_group_full", values) if another else None
        if full is not None and full["crowded"]:
            raise GroupInUse(
                f"{BINDINGS_MAX} bindings by party group {name} live, as many as may: end one, or"
                " make another group"
            )
        return tuple(GroupMembers(self._queries, self.keys).of(found["id"]))


def open_member(row: Mapping[str, Any], keys: KeyRing) -> tuple[PhoneNumber, ...]:
    """
    Who is the member of a row.

    Raises:
        SealError: It does not open.
    """
    return keys.open(row["sealed"], _row(row["group_id"], row["tag"]), Purpose.MEMBER)


def no_such_group(tenant: str, name: str | int) -> GroupNotFound:
    """
    The error for a party group that is not there, or not within the scope.
    """
    return GroupNotFound(f"tenant {tenant!r} has no party group {name}")


def _row(group_id: int, tag: int) -> Row:
    return Row(binding_id=group_id, x_number=0, caller_tag=tag, side=Side.A, shown=None)

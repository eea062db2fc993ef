"""
The register of persons: by what lines about one person are kept together, and no number.

Rules for the editor:

1. A person is a number that means nothing. Its marks say whose it is: one under each tag key, with
   the real number sealed for it. They alone are rotated; lines about it are never changed.
2. A tag may be that of somebody else: what is found by it is opened and compared.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from agi_router.db.connection import Queries
from agi_router.keys.registry import key_ids
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber

__all__ = ["PersonRegister"]

_BATCH = 500


class PersonRegister:
    """
    The persons of one database, for a store that has lines about them.

    Args:
        queries: Where they are kept.
        keys: To tag and seal them.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys

    def find(self, people: Collection[PhoneNumber]) -> dict[int, PhoneNumber]:
        """
        Those of some people who are known, by their ids. One may have several.

        Raises:
            SealError: One who has the tag of one of them does not open.
        """
        tags = [tag for each in people for tag in self._keys.tags(each)]
        rows = self._queries.rows("list_person_marks", {"tags": tags})
        found = {row["person_id"]: self._open(row) for row in rows}
        return {person_id: each for person_id, each in found.items() if each in people}

    def add(self, people: Iterable[PhoneNumber]) -> dict[PhoneNumber, int]:
        """
        The ids of some people; of those who are not known yet, new ones.

        The transaction under way holds the keys until it ends.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
        """
        wanted = sorted(set(people), key=self._keys.tag)
        self._queries.row("assert_current_keys", {"block": None, **key_ids(self._keys)})
        found = {each: person_id for person_id, each in sorted(self.find(wanted).items())}
        for each in wanted:
            if each not in found:
                found[each] = self._add(each)
        return found

    def open(self, person_ids: Collection[int]) -> Mapping[int, PhoneNumber]:
        """
        Whose some ids are.

        Raises:
            SealError: One does not open.
        """
        values = {"ids": list(person_ids), "tag_key": self._keys.tag_key_id}
        return {
            row["person_id"]: self._open(row) for row in self._queries.rows("list_persons", values)
        }

    def mark(self, tag_key: int) -> int:
        """
        Mark persons under a tag key that they have no mark of; how many.

        Raises:
            SealError: One does not open.
        """
        done = 0
        values = {"tag_key": tag_key, "limit": _BATCH}
        while rows := self._queries.rows("list_unmarked_persons", values):
            for row in rows:
                self._write(self._open(row), row["person_id"], tag_key)
            done += len(rows)
        return done

    def renew(self, *, routes_done: bool) -> int:
        """
        Bring persons under the current keys; how many values there were.

        Args:
            routes_done: Whether no route has a tag of an older key any more: marks by such, which
                legal holds find routes by, are deleted then.

        Raises:
            SealError: One does not open.
        """
        tag_key = self._keys.tag_key_id
        done = self.mark(tag_key)
        if routes_done:
            self._queries.execute("drop_old_person_marks", {"tag_key": tag_key})
        values = {"header": self._keys.header, "tag_key": tag_key, "limit": _BATCH}
        while rows := self._queries.rows("list_sealed_persons", values):
            for row in rows:
                with self._queries.transaction():
                    # Persons are of no block.
                    self._queries.row(
                        "assert_current_keys", {"block": None, **key_ids(self._keys)}
                    )
                    _, sealed = self._keys.seal_person(self._open(row), row["person_id"])[0]
                    self._queries.execute("seal_person_mark", {**row, "sealed": sealed})
                    self._queries.row("count_seals", {"count": 1})
            done += len(rows)
        return done

    def _add(self, person: PhoneNumber) -> int:
        row = self._queries.row("new_person_id", {})
        person_id: int = row["id"] if row else 0
        self._write(person, person_id, None)
        return person_id

    def _write(self, person: PhoneNumber, person_id: int, tag_key: int | None) -> None:
        for tag, sealed in self._keys.seal_person(person, person_id):
            if tag_key in {None, sealed[2]}:
                values = {"tag": tag, "person_id": person_id, "sealed": sealed}
                self._queries.execute("add_person_mark", values)
                self._queries.row("count_seals", {"count": 1})

    def _open(self, row: dict[str, Any]) -> PhoneNumber:
        return self._keys.open_person(row["sealed"], row["person_id"], row["tag"])

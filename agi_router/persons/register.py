"""
The register of persons: by what lines about one person are kept together, and no number.

Rules for the editor:

1. A person is a number that means nothing. Its marks say whose it is: one under each tag key, with
   the real number sealed for it. They alone are rotated; lines about it are never changed.
2. A tag may be that of somebody else. So a mark has the whole hash too, which the tag is the
   beginning of: the database alone can say who somebody is.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from agi_router.db.arrays import array_of_bytes, array_of_integers
from agi_router.db.connection import Queries
from agi_router.errors import RowInvalid
from agi_router.keys.damage import open_or_tell
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_each
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber

__all__ = ["PersonRegister"]

_BATCH = 500
# Ids that are asked for at once, if more are not needed.
_AHEAD = 64


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
        self._ahead: list[int] = []

    def find(self, people: Collection[PhoneNumber]) -> dict[int, PhoneNumber]:
        """
        Those of some people who are known, by their ids. One may have several.
        """
        whose = {digest: each for each in people for digest in self._keys.digests(each)}
        values = {
            "tags": array_of_integers(tag for each in people for tag in self._keys.tags(each)),
            "digests": array_of_bytes(whose),
        }
        return {
            row["person_id"]: whose[row["digest"]]
            for row in self._queries.rows("find_persons", values)
        }

    def add(self, people: Iterable[PhoneNumber]) -> dict[PhoneNumber, int]:
        """
        The ids of some people; of those who are not known yet, new ones.

        The transaction under way holds the keys until it ends.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
        """
        wanted = sorted(set(people), key=self._keys.tag)
        assert_current_keys(self._queries, self._keys)
        found = {each: person_id for person_id, each in sorted(self.find(wanted).items())}
        missing = [each for each in wanted if each not in found]
        if missing:
            values = {"people": json.dumps(self.describe(missing, new=True))}
            rows = self._queries.rows("add_persons", values)
            found |= zip(missing, (row["id"] for row in rows), strict=True)
        return found

    def describe(
        self, people: Collection[PhoneNumber], *, new: bool
    ) -> list[dict[str, int | str]]:
        """
        By what some people are known, as ``agi_router.add_persons`` is told it.

        Args:
            people: Who.
            new: Whether they may have to be added: each then has an id for it, and is sealed.
        """
        if new and len(self._ahead) < len(people):
            values = {"count": max(_AHEAD, len(people))}
            rows = self._queries.rows("new_person_ids", values)
            self._ahead.extend(row["id"] for row in rows)
        return [self._describe(each, new=new) for each in people]

    def _describe(self, person: PhoneNumber, *, new: bool) -> dict[str, int | str]:
        told: dict[str, int | str] = {
            "tags": array_of_integers(self._keys.tags(person)),
            "digests": array_of_bytes(self._keys.digests(person)),
        }
        if new:
            told["id"] = person_id = self._ahead.pop()
            seals = self._keys.seal_person(person, person_id)
            told["sealed"] = array_of_bytes(sealed for _, sealed in seals)
        return told

    def open(
        self, person_ids: Collection[int]
    ) -> Mapping[int, tuple[PhoneNumber | None, str | None]]:
        """
        Whose some ids are, to show lines about them; or why that cannot be read.

        Returns:
            Of each id what :func:`open_or_tell` returns.
        """
        if not person_ids:
            return {}
        values = {"ids": list(person_ids), "tag_key": self._keys.tag_key_id}
        # A person without a mark is damaged, too.
        unknown: tuple[None, str] = (None, str(RowInvalid()))
        return dict.fromkeys(person_ids, unknown) | {
            row["person_id"]: open_or_tell(partial(self._open, row))
            for row in self._queries.rows("list_persons", values)
        }

    def mark(self, tag_key: int) -> int:
        """
        Mark persons under a tag key that they have no mark of; how many.

        Raises:
            SealError: One does not open.
        """
        done = 0
        values = {"tag_key": tag_key, "limit": _BATCH}
        while True:
            with self._queries.transaction():
                # Whom retention deletes meanwhile is not to come back by one more mark.
                self._queries.execute("hold_keys", {})
                rows = self._queries.rows("list_unmarked_persons", values)
                for row in rows:
                    self._write(self._open(row), row["person_id"], tag_key)
            if not rows:
                return done
            done += len(rows)

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
        values = {"header": self._keys.header, "tag_key": tag_key}
        return done + renew_each(
            self._queries, self._keys, "list_sealed_persons", values, self._seal_anew
        )

    def _seal_anew(self, row: dict[str, Any]) -> None:
        _, sealed = self._keys.seal_person(self._open(row), row["person_id"])[0]
        self._queries.execute("seal_person_mark", {**row, "sealed": sealed})
        self._queries.row("count_seals", {"count": 1})

    def _write(self, person: PhoneNumber, person_id: int, tag_key: int) -> None:
        digests = self._keys.digests(person)
        marks = zip(self._keys.seal_person(person, person_id), digests, strict=True)
        for (tag, sealed), digest in marks:
            if sealed[2] == tag_key:
                values = {"tag": tag, "person_id": person_id, "digest": digest, "sealed": sealed}
                self._queries.execute("add_person_mark", values)
                self._queries.row("count_seals", {"count": 1})

    def _open(self, row: dict[str, Any]) -> PhoneNumber:
        return self._keys.open_person(row["sealed"], row["person_id"], row["tag"])

"""
What is kept of a link to a message centre: who has it, parts of texts that came, what was sent.

A statement whose reply was lost is asked again; each may be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agi_router.db.fast_connection import FastConnection
from agi_router.db.pool import ConnectionPool
from agi_router.db.queries import query
from agi_router.errors import SealError
from agi_router.keys.registry import key_ids
from agi_router.messages.model import MessageState, Outgoing
from agi_router.messages.store import MessageStore
from agi_router.numbers import Block

__all__ = ["Hold", "LinkStore", "Parts"]

# Texts whose receipt is given up in one statement.
_GIVEN_UP = 500


@dataclass(frozen=True, slots=True)
class Hold:
    """
    Who has a link.
    """

    held: bool
    """Whether it is who asks."""
    drained: bool
    """Whether an operator wants it unbound."""
    holder: str


@dataclass(frozen=True, slots=True)
class Parts:
    """
    What there is of a text that comes in parts.
    """

    known: bool
    """Whether the part that was brought had come before."""
    over: bool
    """Whether the text was taken or refused before."""
    octets: Mapping[int, bytes] = field(repr=False)
    """By their places, from 1."""


class LinkStore:
    """
    The store of one link.

    Args:
        pool: Connections to the database, running.
        messages: Texts of the same link; its keys are used.
    """

    def __init__(self, pool: ConnectionPool, messages: MessageStore) -> None:
        self._pool = pool
        self._messages = messages
        self._name = messages.link
        self._turns = messages.turns

    async def _rows(
        self,
        name: str,
        values: dict[str, Any],
        *,
        about: str | None = None,
        timeout: float,  # noqa: ASYNC109
    ) -> list[dict[str, Any]]:
        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await (await connection.execute(query(name), values)).fetchall()

        return await self._pool.submit(  # type: ignore[no-any-return]
            work, timeout=timeout, about=about
        )

    async def hold(
        self,
        holder: str,
        *,
        node: str,
        lease: timedelta,
        up: bool,
        heard: timedelta | None,
        gone: str = "",
        timeout: float,  # noqa: ASYNC109
    ) -> Hold:
        """
        Take or keep the link for *lease*, unless another process has it.

        Args:
            holder: Who asks.
            node: The machine it runs on.
            lease: For how long.
            up: Whether it is bound.
            heard: How long ago that was said which the message centre has certainly heard;
                :obj:`None`: not known.
            gone: A holder that has certainly ended.
            timeout: Seconds to wait.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        values = {
            "name": self._name,
            "holder": holder,
            "node": node,
            "for": lease,
            "up": up,
            "heard": heard,
            "gone": gone,
        }
        [row] = await self._rows("hold_link", values, timeout=timeout)
        return Hold(row["held"], row["drained"], row["holder"])

    async def unheard(self, *, timeout: float) -> list[bytes]:  # noqa: ASYNC109
        """
        Names of requests whose answer the message centre may not have heard.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        rows = await self._rows("list_unheard", {"name": self._name}, timeout=timeout)
        return [row["same"] for row in rows]

    async def keep_part(
        self,
        block: Block,
        same: bytes,
        *,
        number: int,
        total: int,
        octets: bytes,
        timeout: float,  # noqa: ASYNC109
    ) -> Parts:
        """
        Keep a part of a text; what there is of it by now.

        Args:
            block: Of the number it is sent to.
            same: Digest of what all of its parts have alike.
            number: Its place, from 1.
            total: How many there are.
            octets: What it says, as it came.
            timeout: Seconds to wait.

        Raises:
            StoreError: No answer in time, or the store failed.
            SealError: A part does not open.
        """

        def values() -> dict[str, Any]:
            keys = self._messages.keys
            return {
                **key_ids(keys),
                "block": block.value,
                "same": same,
                "number": number,
                "total": total,
                "content": self._messages.digest(same, octets),
                "sealed": keys.seal_text(octets.decode("latin-1"), _sealed_for(same, number)),
            }

        async def work(connection: FastConnection) -> list[dict[str, Any]]:
            return await self._messages.write_sealed(connection, "keep_part", values)

        rows = await self._pool.submit(work, timeout=timeout, about=same)
        if any(row["sealed"] is None for row in rows):
            return Parts(known=rows[0]["known"], over=True, octets={})
        return Parts(
            known=rows[0]["known"],
            over=False,
            octets={row["number"]: self._open_part(same, row) for row in rows},
        )

    def _open_part(self, same: bytes, row: dict[str, Any]) -> bytes:
        text = self._messages.keys.open_text(row["sealed"], _sealed_for(same, row["number"]))
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise SealError from None

    async def close_parts(
        self,
        block: Block,
        same: bytes,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> None:
        """
        The text of these parts was taken or refused: what they say is deleted.

        Raises:
            StoreError: No answer in time, or the store failed.
        """

        async def work(connection: FastConnection) -> None:
            await connection.execute(query("close_parts"), {"block": block.value, "same": same})

        await self._pool.submit(work, timeout=timeout, about=same)

    async def forget_parts(self, wait: timedelta, *, timeout: float) -> int:  # noqa: ASYNC109
        """
        Give parts up that have waited for so long; how many said something still.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        [row] = await self._rows("forget_parts", {"wait": wait}, timeout=timeout)
        return int(row["incomplete"])

    async def note_sent(
        self,
        message: Outgoing,
        sent: Mapping[int, str],
        *,
        total: int,
        status: int,
        timeout: float,  # noqa: ASYNC109
    ) -> bool:
        """
        Note which short messages of a text were taken; it has ended as sent once all were.

        Args:
            message: The text.
            sent: By their places, from 1, what the message centre calls each, in normal form.
            total: How many it has.
            status: What it was answered.
            timeout: Seconds to wait.

        Returns:
            Whether it has ended by this.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        # Rows are locked in one order by all.
        parts = sorted(sent, key=sent.__getitem__)
        values: dict[str, Any] = {
            "block": message.block.value,
            "id": message.id,
            "link": self._name,
            "parts": parts,
            "remote_ids": [sent[part] for part in parts],
            "total": total,
            "status": status,
        }
        return bool(
            await self._turns.fetch("note_sent_parts", values, about=message.id, timeout=timeout)
        )

    async def sent_parts(self, message: Outgoing, *, timeout: float) -> set[int]:  # noqa: ASYNC109
        """
        Which short messages of a text an earlier try has brought to the message centre.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        values = {"block": message.block.value, "id": message.id}
        rows = await self._rows("list_sent_parts", values, timeout=timeout)
        return {row["part"] for row in rows}

    async def note_receipt(
        self,
        remote_id: str,
        state: MessageState,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> bool:
        """
        Note what a receipt tells.

        Args:
            remote_id: Of which short message, in normal form.
            state: ``delivered``, ``undelivered`` or ``unknown``.
            timeout: Seconds to wait.

        Returns:
            Whether it is known which one that is.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        values = {"link": self._name, "remote_id": remote_id, "state": state.value}
        [row] = await self._turns.fetch("note_receipt", values, about=remote_id, timeout=timeout)
        return bool(row["matched"])

    async def give_up_receipts(self, *, timeout: float) -> int:  # noqa: ASYNC109
        """
        Wait no longer for receipts that have not come: their texts become ``unknown``.

        Args:
            timeout: Seconds to wait for each few hundred of them.

        Returns:
            How many texts these were.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        given_up = 0
        while True:
            rows = await self._rows("give_up_receipts", {"limit": _GIVEN_UP}, timeout=timeout)
            given_up += len(rows)
            if len(rows) < _GIVEN_UP:
                return given_up

    async def count_parts(self, *, timeout: float) -> int:  # noqa: ASYNC109
        """
        How many parts of texts wait for others, of all links.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        [row] = await self._rows("count_waiting_parts", {}, timeout=timeout)
        return int(row["rows"])

    async def count_unmatched(self, *, timeout: float) -> int:  # noqa: ASYNC109
        """
        How many receipts belong to nothing that is known.

        Raises:
            StoreError: No answer in time, or the store failed.
        """
        values = {"link": self._name}
        [row] = await self._rows("count_unmatched_receipts", values, timeout=timeout)
        return int(row["rows"])


def _sealed_for(same: bytes, number: int) -> str:
    # No text is called so.
    return f"part|{same.hex()}|{number}"

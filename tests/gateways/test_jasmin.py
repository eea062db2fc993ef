"""The door for texts by SMPP at Jasmin, which has a message centre behind it."""

from __future__ import annotations

import pytest
from clients.test_smpp import TEXTS
from clients.test_smpp_door import long_texts, world
from gateways.jasmin_gateway import through_jasmin

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection
from agi_router.smpp import (
    Address,
    Part,
    Splitting,
    decode,
    is_receipt,
    join,
    messages_of,
    part_of,
)
from harness.database import one, until_async
from harness.values import A, B


@pytest.mark.parametrize("splitting", [Splitting.UDH, Splitting.SAR])
async def test_texts_both_ways(
    splitting: Splitting, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """In every coding, in one part and in three, masked, and each is known to have arrived."""
    texts = [*TEXTS, *long_texts(3)]
    async with world(dsn, store, splitting, way=through_jasmin) as there:
        for number, text in enumerate(texts):
            for source, other in ((A, B), (B, A)):
                await there.send(
                    messages_of(
                        text,
                        source=Address(number=source.digits),
                        destination=Address(number=there.x),
                        reference=number,
                        splitting=splitting,
                    )
                )
                parts: list[Part] = []
                while not parts or len(parts) < parts[0].total:
                    message = await there.box.message()
                    if is_receipt(message):
                        continue
                    assert message.source.number == there.x
                    assert message.destination.number == other.digits
                    parts.append(part_of(message))
                assert decode(join(parts), parts[0].data_coding) == text
        count = (
            "SELECT count(*) FROM agi_router.message"
            f" WHERE state = 'delivered' AND x_number = {there.x}"
        )
        await until_async(lambda: one(connection, count) == 2 * len(texts), timeout=60)

"""
WAL and rows of a binding and its call: what the arithmetic for a nation (``nation.py``) asks for.
"""

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.consent.ledger import How
from agi_router.db.connection import Connection, connect
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block
from agi_router.tenants.rules import Consent, RulesChange
from harness.database import (
    HOUR,
    NO_REST,
    Server,
    a_call,
    an_end,
    new_call_id,
    new_party,
    one,
    until_async,
)
from harness.values import BLOCK

__all__ = ["measure"]


async def measure(count: int) -> dict[str, int]:
    """WAL and sizes of so many bindings and as many calls, on a PostgreSQL of its own."""
    keys = KeyRing.generate()
    with Server("18") as server:
        dsn = server.clone()
        with connect(dsn, idle=0) as connection, server.admin() as admin:
            store = BindingStore(connection, keys, NO_REST)
            for place in range(4):
                store.inventory.add_block(
                    Block(value=BLOCK.value + place), operator=None, certificate=None
                )
            store.inventory.tenants.set_rules("default", RulesChange(consent=Consent.ASSERTED))

            def wal() -> int:
                return int(one(admin, "SELECT pg_current_wal_insert_lsn() - '0/0'"))

            before, made = wal(), []
            for serial in range(count):
                terms = Terms(
                    expires_at=store.now() + HOUR, order_id=f"O-{serial}", consent=How.APP
                )
                a = new_party()
                made.append((a, store.bind(Axb(a=a, b=new_party()), terms)))
            found = {"wal_per_bind": (wal() - before) // count}
            before = wal()
            async with AdmissionStore(dsn, keys, connections=1) as admissions:
                await until_async(lambda: admissions.pool.connected)
                ends = []
                for a, binding in made:
                    x = binding.parties[0].dials
                    assert x is not None
                    call_id = new_call_id()
                    answer = await admissions.admit(a_call(a, x), call_id, timeout=10.0)
                    assert answer.admitted
                    ends.append(an_end(call_id, Outcome.ANSWERED, x=x))
                for first in range(0, count, 20):
                    settled = await admissions.settle(ends[first : first + 20])
                    assert not settled.broken
            found["wal_per_call"] = (wal() - before) // count
            found |= {
                "bytes_per_binding": _size(connection, "binding") // count,
                "bytes_per_routes": _size(connection, "route") // count,
                "bytes_per_call": _size(connection, "call") // count,
            }
    return found


def _size(connection: Connection, table: str) -> int:
    query = (
        "SELECT coalesce(sum(pg_total_relation_size(t.relid)), pg_total_relation_size(%s))"
        " FROM pg_partition_tree(%s) t WHERE t.isleaf"
    )
    return int(one(connection, query, *[f"agi_router.{table}"] * 2))

"""A text is taken if and only if the rules say so, whatever is bound, blocked or over."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres.test_admit_agrees import NOW, build, worlds

from agi_router.calls.rows import read_admission
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.keys.registry import key_ids
from agi_router.keys.ring import KeyRing
from agi_router.messages.decision import Taken, decide_text
from agi_router.messages.model import Text, message_day, name_message
from agi_router.messages.openness import answered_by, sealed_stranger, sender_tags
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import on_each_version, one, set_clock
from harness.values import BLOCK, X

pytestmark = on_each_version


def asked(
    keys: KeyRing, sender: PhoneNumber, x: XNumber, name: str, strangers: Sequence[int] = ()
) -> dict[str, Any]:
    """What the statement that takes a text is given."""
    return {
        **key_ids(keys),
        "block": x.block.value,
        "x_number": x.value,
        "tags": keys.tags(sender),
        "id": name,
        "day": message_day(name),
        "same": secrets.token_bytes(32),
        "asked": None,
        "link_in": "sip",
        "link_out": "sip",
        "validity": timedelta(days=1),
        "octets": 1,
        "parts": 1,
        "body": keys.seal_text("a", name),
        "strangers": list(strangers),
        "rules": None,
        "hold": None,
        "opts_out": False,
        "lease": None,
        "scope": None,
        "check_id": None,
        "check_verdict": None,
        "check_ms": None,
        "tenant_check_id": None,
        "tenant_check_verdict": None,
        "tenant_check_ms": None,
        "stranger_of": None,
        "stranger": None,
    }


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    world=worlds,
    messages=st.sampled_from([None, None, None, "off"]),
    # The version of its tenant's rules, and by which one the text was judged.
    rules=st.sampled_from([(None, None), (1, 1), (None, 1), (1, None), (1, 2)]),
    judged=st.fixed_dictionaries(
        {
            "hold": st.sampled_from([None, timedelta(minutes=1)]),
            "tenant_check_verdict": st.sampled_from([None, "yes", "unavailable"]),
            # None: its carrier keeps it.
            "body": st.sampled_from([b"", b"a", bytes(4096), None]),
        }
    ),
)
def test_taken_if_and_only_if_decided(
    world: dict[str, Any],
    messages: str | None,
    rules: tuple[int | None, int | None],
    judged: dict[str, Any],
    shadowed: Connection,
    keys: KeyRing,
) -> None:
    """Both say the same of the facts; a use, a record and what is owed, or none of them."""
    name = name_message(BLOCK, NOW, secrets.randbits(64))
    set_clock(shadowed, NOW)
    with shadowed.transaction(force_rollback=True):
        build(shadowed, keys, world)
        # What is agreed for calls is agreed for texts, and calls have no limit.
        shadowed.execute(
            "UPDATE agi_router.binding SET messages = coalesce(%s, direction),"
            " max_messages = max_calls, messages_used = calls_used,"
            " max_calls = NULL, direction = 'both'",
            (messages,),
        )
        shadowed.execute("UPDATE agi_router.tenant SET message_rules = %s", (rules[0],))
        used = one(shadowed, "SELECT coalesce(sum(messages_used), 0) FROM agi_router.binding")
        text = Text(sender=world["caller"], x_number=X, body="a")
        strangers: list[int] = []
        known = None
        while True:
            values = {
                **asked(keys, text.sender, X, name, strangers),
                **judged,
                **sealed_stranger(text, keys, known),
                "tags": sender_tags(text, keys, open_modes=True),
                "rules": rules[1],
            }
            row = shadowed.execute(query("admit_message"), values).fetchone()
            assert row is not None
            answer = read_admission(row, text.sender, X, keys, text=True)
            binding = answered_by(text, answer)
            if answer.admitted or not (answer.strangers or binding != known):
                break
            # As the store does: a lock of somebody else keeps nobody off, and A knows whom to
            # answer.
            strangers += answer.strangers
            known = known if answer.strangers else binding
        found = decide_text(text, answer.facts, now=answer.now)
        assert answer.admitted is (isinstance(found, Taken) and rules[0] == rules[1])
        now_used = one(shadowed, "SELECT coalesce(sum(messages_used), 0) FROM agi_router.binding")
        assert now_used - used == answer.admitted
        if answer.admitted and binding is not None:
            # The last one counts, and the first of two at one moment.
            last = one(shadowed, "SELECT last_tag FROM agi_router.route WHERE side = 'a'")
            assert last == keys.tag(text.sender) or world["last"][1] == NOW
        carried = judged["body"] is None
        owed = answer.admitted and not carried
        for table, rows in (
            ("message", answer.admitted),
            ("message_out", owed),
            ("message_seen", answer.admitted),
        ):
            assert one(shadowed, f"SELECT count(*) FROM agi_router.{table}") == rows
        if answer.admitted and carried:
            assert one(shadowed, "SELECT state FROM agi_router.message") == "sent"
        if owed:
            held = judged["hold"] is not None
            stored = shadowed.execute(
                b"SELECT m.state, m.tenant_check_verdict, o.held, o.body FROM agi_router.message m"
                b" JOIN agi_router.message_out o USING (block, id)"
            ).fetchone()
            assert stored == {
                "state": "held" if held else "queued",
                "tenant_check_verdict": judged["tenant_check_verdict"],
                "held": held,
                "body": judged["body"],
            }

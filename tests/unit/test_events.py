"""Events by table: words, times of tries, what a receiver gets, and how it is signed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Side
from agi_router.errors import WebhookInvalid
from agi_router.events.addresses import address_on_record, check_host
from agi_router.events.model import (
    ALI_TYPES,
    Cursor,
    Event,
    EventType,
    Format,
    Numbers,
    batch_name,
    check_url,
    check_webhook,
    event_name,
    parse_event_name,
    parse_types,
)
from agi_router.events.schedule import (
    IN_FLIGHT,
    PROBED_AFTER,
    next_delay,
    parse_retry_after,
    pause_of_webhook,
)
from agi_router.events.shapes import ali_reports, cloud_event, is_damaged
from agi_router.events.signature import new_secret, signed_headers
from agi_router.numbers import Block
from agi_router.schemas.events import BindingEndToldOut

AT = datetime(2026, 1, 31, 7, 4, 5, 123000, tzinfo=UTC)
NAME = BindingId(Block.parse("70012345678"), 42)
PARTIES = {Side.A: ["138****0001"], Side.B: ["138****0002"]}
CALL: dict[str, Any] = {
    "call_id": "n1-1769843045.17",
    "x_number": "700123456784910",
    "shown": "700123456784910",
    "caller_side": "a",
    "reason": None,
    "outcome": "answered",
    "received_at": "2026-01-31T07:03:20+00:00",
    "answered_at": "2026-01-31T07:03:35+00:00",
    "ended_at": "2026-01-31T07:04:05+00:00",
    "ring_ms": 4200,
    "talk_ms": 30_000,
    "q850": 16,
    "sip_status": 200,
    "released_by": "caller",
    "clock": None,
    "cut": None,
    "mode": "axb",
    "pool": "FC1001",
    "extension": None,
    "order_id": "A-1001",
    "out_id": None,
    "user_data": None,
    "max_calls": 10,
    "calls_used": 1,
}


def an_event(type_: EventType = EventType.CALL_ENDED, **data: Any) -> Event:
    return Event(
        id=7,
        type=type_,
        at=AT,
        tenant="shop",
        binding=NAME,
        sequence=3,
        data={**CALL, **data},
    )


def test_a_cloud_event() -> None:
    """Its attributes, and what it tells; it is JSON."""
    told = cloud_event(an_event(), PARTIES)
    assert told == json.loads(json.dumps(told))
    assert {name: told[name] for name in told if name != "data"} == {
        "specversion": "1.0",
        "id": "evt_7",
        "source": "/agi-router",
        "type": "agi_router.call.ended",
        "subject": "70012345678-42",
        "time": "2026-01-31T07:04:05.123Z",
        "datacontenttype": "application/json",
        "sequence": 3,
    }
    assert told["data"] == {
        **CALL,
        "tenant": "shop",
        "binding_id": "70012345678-42",
        "parties": {"a": ["138****0001"], "b": ["138****0002"]},
    }


def test_an_event_without_a_binding() -> None:
    """Of a call, or of nothing."""
    event = replace(an_event(EventType.WEBHOOK_TEST), binding=None, sequence=None, data={})
    told = cloud_event(event, {})
    assert (told["subject"], told["data"]["binding_id"]) == (None, None)
    assert told["data"]["parties"] == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("state", "clock"),
    [
        ("expired", "time"),
        ("used_up", "count"),
        ("unbound", "unbind"),
        ("order_ended", "order"),
        ("party_recycled", "recycled"),
        ("recycle_unknown", "recycled"),
        ("consent_withdrawn", "consent"),
    ],
)
def test_which_clock(state: str, clock: str) -> None:
    """A binding's end says which clock has ended it; its beginning says nothing of it."""
    ended = cloud_event(an_event(EventType.BINDING_ENDED, state=state), PARTIES)
    assert ended["data"]["ended_by"] == clock
    assert clock in get_args(BindingEndToldOut.model_fields["ended_by"].annotation)
    assert "ended_by" not in cloud_event(an_event(EventType.BINDING_CREATED), PARTIES)["data"]


def test_a_report_of_the_older_service() -> None:
    """Times are those of China, and one that did not happen is a copy of the one before."""
    [answered] = ali_reports(an_event(), PARTIES)
    assert answered["call_time"] == answered["call_out_time"] == "2026-01-31 15:03:20"
    assert answered["ring_time"] == "2026-01-31 15:03:24"
    assert answered["start_time"] == "2026-01-31 15:03:35"
    assert answered["release_time"] == "2026-01-31 15:04:05"
    assert (answered["phone_no"], answered["peer_no"]) == ("138****0001", "138****0002")
    assert (answered["sub_id"], answered["id"], answered["call_type"]) == (42, 7, 0)
    assert (answered["release_dir"], answered["release_cause"]) == (1, 16)
    assert answered["called_display_no"] == answered["secret_no"] == "700123456784910"
    silent = an_event(
        caller_side="b",
        ring_ms=None,
        talk_ms=None,
        released_by=None,
        q850=None,
        mode="axyb",
        shown="700123456784911",
        out_id="ours-1",
        extension="123",
    )
    [missed] = ali_reports(silent, {Side.A: ["1", "2"]})
    assert missed["ring_time"] == missed["call_time"]
    assert missed["start_time"] == missed["release_time"]
    assert (missed["phone_no"], missed["peer_no"], missed["call_type"]) == ("", "", 1)
    assert (missed["release_dir"], missed["release_cause"]) == (0, 0)
    assert missed["called_display_no"] == "700123456784911"
    assert (answered["out_id"], missed["out_id"]) == ("A-1001", "ours-1")
    assert (answered["pool_key"], answered["partner_key"]) == ("FC1001", "shop")
    assert (answered["extension"], missed["extension"]) == ("", "123")


def test_a_call_that_was_refused_or_let_through() -> None:
    """Refused calls have a cause of five; of one that begins there is less to tell."""
    refused = replace(
        an_event(
            EventType.CALL_REFUSED,
            reason="no_binding",
            mode=None,
            pool=None,
            order_id=None,
            shown=None,
        ),
        binding=None,
        sequence=None,
    )
    [report] = ali_reports(refused, {})
    assert (report["call_type"], report["unconnected_cause"], report["sub_id"]) == (4, 2, 0)
    assert (report["pool_key"], report["out_id"], report["called_display_no"]) == ("shop", "", "")
    [start] = ali_reports(an_event(EventType.CALL_ADMITTED, ended_at=None), PARTIES)
    assert "release_time" not in start
    [up] = ali_reports(an_event(EventType.CALL_ANSWERED, ended_at=None), PARTIES)
    assert (up["call_time"], up["start_time"]) == ("2026-01-31 15:03:20", "2026-01-31 15:03:35")
    assert up["ring_time"] == up["call_time"]
    assert (up["phone_no"], up["call_type"]) == (start["phone_no"], 0)
    assert "release_time" not in up
    assert start["call_type"] == 0


TEXT = {
    "message_id": "70012345678-1769871845.4711",
    "received_at": "2026-01-31T07:04:05+00:00",
    "done_at": "2026-01-31T07:04:07+00:00",
    "sender_side": "a",
    "parts": 3,
    "reason": None,
    "order_id": None,
    "out_id": "ours-1",
    "x_number": "700123456784910",
    "shown": "700123456784911",
}


def a_text(type_: EventType = EventType.MESSAGE_SENT, **changed: Any) -> Event:
    """Return an event of a text."""
    return replace(an_event(type_), data={**TEXT, **changed})


@pytest.mark.parametrize(
    ("type_", "data", "not_in"),
    [
        (EventType.CALL_ENDED, CALL, ()),
        (EventType.CALL_ENDED, [], Format),
        (EventType.CALL_ENDED, {**CALL, "received_at": "lost"}, Format),
        (EventType.CALL_ENDED, {**CALL, "received_at": 5}, Format),
        (EventType.CALL_ENDED, {**CALL, "ended_at": None}, [Format.ALI]),
        (EventType.BINDING_ENDED, {"state": "lost"}, Format),
        (EventType.BINDING_ENDED, {"state": "expired"}, ()),
    ],
)
def test_what_cannot_be_told(type_: EventType, data: Any, not_in: Collection[Format]) -> None:
    """It depends on the form: one has more of an event than the other."""
    event = replace(an_event(type_), data=data)
    assert [form for form in Format if is_damaged(event, form)] == list(not_in)


def test_a_text_as_the_older_service_reports_it() -> None:
    """As a SecretReport, with how many short messages it is."""
    [sent] = ali_reports(a_text(), PARTIES)
    [answered] = ali_reports(an_event(), PARTIES)
    assert sent.keys() == answered.keys()
    assert (sent["call_id"], sent["sub_id"]) == ("70012345678-1769871845.4711", 42)
    assert (sent["call_type"], sent["sms_number"], sent["out_id"]) == (2, 3, "ours-1")
    assert sent["call_time"] == sent["ring_time"] == "2026-01-31 15:04:05"
    assert sent["start_time"] == sent["release_time"] == "2026-01-31 15:04:07"
    assert (sent["phone_no"], sent["peer_no"]) == ("138****0001", "138****0002")
    assert (sent["secret_no"], sent["called_display_no"]) == (TEXT["x_number"], TEXT["shown"])
    assert (sent["unconnected_cause"], sent["control_msg"]) == (0, "")
    [back] = ali_reports(a_text(sender_side="b"), PARTIES)
    assert back["call_type"] == 3


@pytest.mark.parametrize(
    ("side", "type_", "sender", "receiver"),
    [("a", 1, "138****0001", "138****0002"), ("b", 3, "138****0002", "138****0001")],
)
def test_a_text_that_is_held(side: str, type_: int, sender: str, receiver: str) -> None:
    """As a SecretSmsIntercept, without what it says."""
    held = a_text(EventType.MESSAGE_HELD, sender_side=side)
    [report] = ali_reports(held, PARTIES)
    assert (report["sms_type"], report["send_no"], report["receive_no"]) == (
        type_,
        sender,
        receiver,
    )
    assert (report["call_id"], report["sub_id"]) == ("70012345678-1769871845.4711", 42)
    assert (report["secret_no"], report["out_id"]) == (TEXT["x_number"], "ours-1")
    assert (report["sms_content"], report["sms_intercept_type"]) == ("", "NORMAL")
    assert report["start_time"] == "2026-01-31 15:04:05"
    [nobody] = ali_reports(replace(held, binding=None), {})
    assert (nobody["sub_id"], nobody["pool_key"], nobody["send_no"]) == (0, "shop", "")


def test_a_recording_as_the_older_service_reports_it() -> None:
    """By which it is asked for, with a time that is a number."""
    kept = an_event(EventType.RECORDING_KEPT, begun_at="2026-01-31T07:03:35+00:00")
    assert ali_reports(kept, PARTIES) == [
        {
            "pool_key": "FC1001",
            "sub_id": 42,
            "call_id": "n1-1769843045.17",
            "call_time": 1_769_843_000_000,
            "out_id": "A-1001",
        }
    ]
    in_no_pool = replace(kept, binding=None, data={**kept.data, "pool": None})
    [nobody] = ali_reports(in_no_pool, {})
    assert (nobody["pool_key"], nobody["sub_id"]) == ("shop", 0)


def test_a_group_as_the_older_service_reports_it() -> None:
    """Its A is whom the members reach, and its peer is the group."""
    parties = {Side.A: ["138****0001", "138****0003"], Side.B: ["138****0002"]}
    for side, type_ in (("b", 0), ("a", 1)):
        [told] = ali_reports(an_event(mode="gxb", caller_side=side), parties)
        assert (told["phone_no"], told["peer_no"], told["call_type"]) == ("138****0002", "", type_)
    texts = ali_reports(a_text(mode="gxb", sender_side="b"), parties)
    held = ali_reports(a_text(EventType.MESSAGE_HELD, mode="gxb", sender_side="b"), parties)
    assert (texts[0]["call_type"], held[0]["sms_type"]) == (2, 1)
    assert (held[0]["send_no"], held[0]["receive_no"]) == ("138****0002", "")


@pytest.mark.parametrize(
    ("reason", "cause"), [("refused", 4), ("discarded", 4), ("expired", 2), ("order_ended", 2)]
)
def test_a_text_that_was_not_sent(reason: str, cause: int) -> None:
    """It has a cause, also where that is none by which a call is refused."""
    [failed] = ali_reports(a_text(EventType.MESSAGE_FAILED, reason=reason), PARTIES)
    assert (failed["call_type"], failed["unconnected_cause"]) == (5, cause)
    assert (failed["control_type"], failed["control_msg"]) == (reason, reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_cause(reason: Reason) -> None:
    """One of the five that the older service knows, and never that of a normal call."""
    [report] = ali_reports(an_event(EventType.CALL_REFUSED, reason=reason.value), PARTIES)
    assert report["unconnected_cause"] in {1, 2, 3, 4}


def test_a_signature_is_one_that_the_package_takes() -> None:
    """By the one secret and by the other while they change, and not after a byte has changed."""
    old, new = new_secret(), new_secret()
    body = json.dumps({"a": "中"}).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = signed_headers("evt_7", now, body, [new, old])
    assert headers["webhook-id"] == "evt_7"
    for secret in (old, new):
        assert Receiver(secret).verify(body, headers) == {"a": "中"}
    for wrong in (
        (Receiver(new_secret()), body, headers),
        (Receiver(new), body + b" ", headers),
        (Receiver(new), body, headers | {"webhook-id": "evt_8"}),
        (Receiver(new), body, headers | {"webhook-timestamp": str(now - 1)}),
    ):
        receiver, sent, given = wrong
        with pytest.raises(WebhookVerificationError):
            receiver.verify(sent, given)


def test_the_receiver_of_the_page() -> None:
    """What docs/events.md shows works as it stands, and takes the event that it shows."""
    page = (Path(__file__).parents[2] / "docs/events.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [shown] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is ours
    secret, body = new_secret(), shown.encode()
    headers = signed_headers("evt_4711", int(datetime.now(UTC).timestamp()), body, [secret])
    told = names["receive"](secret, body, headers)
    made = cloud_event(an_event(), PARTIES)
    assert told.keys() == made.keys()
    assert told["data"].keys() == made["data"].keys()
    with pytest.raises(WebhookVerificationError):
        names["receive"](new_secret(), body, headers)


def test_every_type_is_on_the_page() -> None:
    """And no other one."""
    page = (Path(__file__).parents[2] / "docs/events.md").read_text("utf-8")
    table = page.partition("## Types")[2].partition("## What is sent")[0]
    assert re.findall(r"(?m)^\| `([a-z.]+)` \|", table) == [each.value for each in EventType]


def test_secrets_are_as_the_standard_has_them() -> None:
    """Each of 32 bytes, and another one."""
    assert len({new_secret() for _ in range(9)}) == 9
    assert new_secret().startswith("whsec_")
    assert len(new_secret()) == len("whsec_") + 44


def test_when_it_is_tried_again() -> None:
    """Later each time, daily in the end, for seven days, and never all at one moment."""
    owed, delays = timedelta(), list[timedelta]()
    while (delay := next_delay(len(delays) + 1, owed, lambda: 0.5)) is not None:
        delays.append(delay)
        owed += delay
    assert [delay.total_seconds() for delay in delays[:9]] == pytest.approx(
        [5, 30, 120, 600, 1800, 7200, 21_600, 43_200, 86_400]
    )
    assert timedelta(days=6) < owed <= timedelta(days=7)
    early, late = (next_delay(1, timedelta(), partial(float, r)) for r in ("0", "1"))
    assert early is not None
    assert late is not None
    assert (early.total_seconds(), late.total_seconds()) == pytest.approx((4, 6))
    hour = timedelta(hours=1)
    assert next_delay(1, timedelta(), lambda: 0.5, wish=hour) == hour
    assert next_delay(9, timedelta(), lambda: 0.5, wish=hour) == timedelta(days=1)


def test_a_webhook_that_fails_is_probed() -> None:
    """Ten failures are nothing; then there are pauses, ten minutes at most, or as it wishes."""
    pauses = [pause_of_webhook(failures) for failures in range(PROBED_AFTER + 20)]
    assert pauses[:PROBED_AFTER] == [timedelta()] * PROBED_AFTER
    assert pauses == sorted(pauses)
    assert pauses[PROBED_AFTER] == timedelta(seconds=5)
    assert pauses[-1] == timedelta(minutes=10)
    assert pause_of_webhook(1, wish=timedelta(hours=2)) == timedelta(hours=2)
    assert IN_FLIGHT > 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("9" * 30, 86_400),
        (None, None),
        ("", None),
        ("-1", None),
        ("１", None),
        ("Sat, 31 Jan 2026 15:06:05 GMT", 120),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 32 Dec 2026 23:59:59 GMT", None),
        ("soon", None),
    ],
)
def test_when_a_receiver_wants_it(text: str | None, seconds: int | None) -> None:
    """By seconds or by a date, a day at most; anything else says nothing."""
    wanted = None if seconds is None else timedelta(seconds=seconds)
    now = datetime(2026, 1, 31, 15, 4, 5, tzinfo=UTC)
    assert parse_retry_after(text, now=now) == wanted


@given(st.text(max_size=40))
def test_whatever_a_receiver_says(text: str) -> None:
    """It is no fault of ours."""
    wish = parse_retry_after(text, now=datetime(2026, 1, 31, tzinfo=UTC))
    assert wish is None or timedelta() <= wish <= timedelta(days=1)


def test_types() -> None:
    """As they are typed; all of them are those that may be asked for."""
    assert parse_types([" call.ended", "binding.created"]) == (
        EventType.BINDING_CREATED,
        EventType.CALL_ENDED,
    )
    assert set(parse_types(["all"])) == set(EventType) - {EventType.WEBHOOK_TEST}
    assert set(ALI_TYPES) <= set(parse_types(["all"]))
    for wrong in ([], [""], ["call.ended", "call"], ["webhook.test"]):
        with pytest.raises(ValueError, match="types are"):
            parse_types(wrong)


def test_names_and_places() -> None:
    """What is given out is read again, and nothing else."""
    assert parse_event_name(f" {event_name(12)} ") == 12
    place = Cursor(2**64 - 1, 5)
    assert Cursor.parse(str(place)) == place
    assert Cursor(1, 9) < Cursor(2, 1)
    for wrong in ("", "1", "1.", "-1.1", "1.1.1", f"{2**64}.1", "１.1"):
        with pytest.raises(ValueError, match="cursor"):
            Cursor.parse(wrong)
    for wrong in ("12", "evt_", "evt_x", "evt_" + "9" * 19):
        with pytest.raises(ValueError, match="event's id"):
            parse_event_name(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example/hooks/calls?a=b",
        "http://127.0.0.1:8080",
        "https://[2001:db8::1]:8443/",
    ],
)
def test_addresses(text: str) -> None:
    """As they are typed."""
    assert check_url(f" {text}\t") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.example",
        "ftp://shop.example/",
        "https://me:secret@shop.example/",
        "https://shop.example/#part",
        "https://shop.example/a b",
        "https://Shop.example/",
        "https://shop.example\\@evil.example/",
        "https://shop.example/\r\nhost: evil.example",
        "https://shop.example/" + "a" * 2000,
        "https://shöp.example/",
        "https://shop.example:99999/",
        "https://shop.example:0/",
        "https://[1:2]/",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """What may be read in two ways, or would put a password on record."""
    with pytest.raises(ValueError, match="address looks like"):
        check_url(text)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://shop.example/hooks", "https://shop.example/hooks"),
        ("https://shop.example", "https://shop.example"),
        ("https://shop.example/hooks?token=s1", "https://shop.example/hooks"),
        ("https://shop.example/?a=1?b=@2", "https://shop.example/"),
        ("https://me:s1@shop.example:8443/a@b", "https://shop.example:8443/a@b"),
        ("http://[2001:db8::1]:8080/a?b#c", "http://[2001:db8::1]:8080/a"),
    ],
)
def test_an_address_on_record(url: str, told: str) -> None:
    """Whom it is sent to, and none of the tokens."""
    assert address_on_record(url) == told


@pytest.mark.parametrize(
    "url",
    ["https://shop.example/", "https://8.8.8.8/", "http://inside.example/", "http://[fd00::7]/"],
)
def test_hosts_before_they_are_resolved(url: str) -> None:
    """A name may be any; what the operator allows, too."""
    parts = urlsplit(url)
    allowed = {"inside.example", "fd00::7"}
    check_host(parts.hostname or "", secure=parts.scheme == "https", allowed=allowed)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "http://8.8.8.8/",
        "https://10.0.0.1/",
        "https://169.254.169.254/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[::7f00:1]/",
        "https://[::10.0.0.1]/",
    ],
)
def test_hosts_that_are_refused_at_once(url: str) -> None:
    """Not by http, and no private address; unless the operator allows the host."""
    parts = urlsplit(url)
    with pytest.raises(WebhookInvalid, match="AGI_ROUTER_WEBHOOK_HOSTS"):
        check_host(parts.hostname or "", secure=parts.scheme == "https", allowed={"10.0.0.2"})


def test_what_goes_together() -> None:
    """Real numbers go by https, and the older format has them, and reports of calls alone."""
    secure, full = "https://shop.example/", Numbers.FULL
    check_webhook(secure, list(EventType), Format.CLOUDEVENTS, full)
    check_webhook("http://shop.example/", list(EventType), Format.CLOUDEVENTS, Numbers.MASKED)
    check_webhook(secure, ALI_TYPES, Format.ALI, full)
    with pytest.raises(WebhookInvalid, match="no batches"):
        check_webhook(secure, ALI_TYPES, Format.ALI, full, batch=2)
    assert batch_name(7) == "batch_7"
    for url, types, form, numbers, why in (
        ("http://shop.example/", ALI_TYPES, Format.CLOUDEVENTS, full, "https only"),
        (secure, ALI_TYPES, Format.ALI, Numbers.MASKED, "in full"),
        (secure, list(EventType), Format.ALI, full, "reports for"),
    ):
        with pytest.raises(WebhookInvalid, match=why):
            check_webhook(url, types, form, numbers)

"""The vectors: each plants number and name, and the phones' scripts say so and are whole."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest

from agi_router.leaktest.call_setup import CallSetup
from agi_router.leaktest.call_slots import people
from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.media import find_told, is_broken, own_port, peer_of, told_by
from agi_router.leaktest.messages import Message
from agi_router.leaktest.packets import packets_of, sound_of
from agi_router.leaktest.scripts import callee_script, caller_script, outside_script
from agi_router.leaktest.vectors import VECTORS, End, Sound, Vector, fill, plantings

CALLER, CALLEE, OTHER = people(["13800000001", "13900000002", "13700000003"])


def setup(vector: Vector, *, early_media: bool = False) -> CallSetup:
    """A call with *vector*."""
    return CallSetup(
        vector=vector,
        caller=CALLER,
        callee=CALLEE,
        other=OTHER,
        dialled="700123456780001",
        near="127.0.0.1:5070",
        far="127.0.0.1:5090",
        pbx="127.0.0.1:5060",
        decoy="127.0.0.1:5099",
        early_media=early_media,
        call_id=fill(vector.call_id, plantings(CALLER, other="", decoy="", trunk="")) or "call",
        tag="tag",
    )


def scripts(vector: Vector, end: End, *, early_media: bool = False) -> list[bytes]:
    """What the phones on one side are given to say."""
    call = setup(vector, early_media=early_media)
    side = caller_script if end is End.CALLER else callee_script
    outside = vector.outside is not None and end in vector.by
    more = [outside_script(call, end, replaces="a;to-tag=b;from-tag=c")] if outside else []
    return [side(call), *more]


def test_names_are_nouns_of_their_own() -> None:
    names = [vector.name for vector in VECTORS]

    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_whoever_plants_tells_number_and_name(vector: Vector) -> None:
    """Of the call's own text, the name is nowhere but where a vector puts it."""
    for end in End:
        party = CALLER if end is End.CALLER else CALLEE
        if vector.outside is not None and vector.outside.stranger:
            party = OTHER
        text = b"\n".join(scripts(vector, end))
        if end is End.CALLER:
            # SIPp is told on its command line.
            text += setup(vector).call_id.encode()
        told = [each.data for each in packets_of(vector.sound, party)] if vector.sound else []
        text = b"\n".join([text, *told])
        names = find_leaks(text, numbers=[], names=[party.name, party.hanzi])

        assert bool(names) is (end in vector.by)
        if end in vector.by:
            assert find_leaks(text, numbers=[party.number])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
@pytest.mark.parametrize("early_media", [False, True])
def test_scripts_are_whole(vector: Vector, early_media: bool) -> None:  # noqa: FBT001
    """Each is XML, each place that is jumped to is there, and nothing is left to fill in."""
    for end in End:
        for script in scripts(vector, end, early_media=early_media):
            root = ET.fromstring(script.decode("utf-8", "replace"))  # noqa: S314 - our own
            labels = [each.get("id") for each in root.iter("label")]
            wanted = {each.get(key) for each in root.iter() for key in ("next", "ontimeout")} - {
                None
            }

            assert len(labels) == len(set(labels))
            assert wanted <= set(labels)
            assert not re.search(rb"\{[a-z0-9]+\}", script)


def test_early_media_is_a_session_description_before_the_answer() -> None:
    vector = VECTORS[0]

    without = callee_script(setup(vector))
    with_it = callee_script(setup(vector, early_media=True))

    assert (b"180 Ringing" in without, without.count(b"m=audio")) == (True, 2)
    assert (b"183 Session Progress" in with_it, with_it.count(b"m=audio")) == (True, 3)


def test_what_is_planted_is_what_was_asked_for() -> None:
    plants = plantings(CALLER, other=OTHER.number, decoy="h:1", trunk="h:2")

    assert fill("{name} {number} {other} {decoy} {trunk}", plants) == (
        "Lin Daiyu 13800000001 13700000003 h:1 h:2"
    )
    assert fill("{gbk}", plants).encode("utf-8", "surrogateescape") == "林黛玉".encode("gbk")
    with pytest.raises(KeyError):
        fill("{nobody}", plants)


@pytest.mark.parametrize(
    "numbers",
    [
        ["13800000001", "13900000002"],
        ["13800000001", "13900000001", "13700000003"],
    ],
)
def test_people_must_not_be_taken_for_each_other(numbers: list[str]) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        people(numbers)


def test_sound_itself_is_not_searched() -> None:
    """Of RTP the header counts, with its extension; of RTCP everything."""
    plain = sound_of((), CALLER).data
    (rtcp,) = packets_of((Sound.RTCP_TEXT,), CALLER)

    assert told_by(plain) == plain[:12]
    assert told_by(rtcp.data) == rtcp.data
    assert len(find_leaks(rtcp.data, numbers=[CALLER.number])) == 8
    assert told_by(b"short") == b"short"
    # A header without an extension, and two contributing sources.
    assert len(told_by(bytes([0x82, 8]) + bytes(170))) == 20
    # Sound of a type that is none of sound's is no sound.
    assert told_by(plain[:1] + b"\x12" + plain[2:])[12:] == plain[12:]


@pytest.mark.parametrize("kind", Sound)
def test_each_kind_of_packet_is_seen(kind: Sound) -> None:
    """If it got through as it was sent, it would be found; sound beside it is not."""
    told = [told_by(each.data) for each in packets_of((kind,), CALLER)]
    told = told or [told_by(sound_of((kind,), CALLER).data)]

    found = [
        bool(find_told([each], numbers=[CALLER.number], names=[CALLER.name])) for each in told
    ]
    # A letter alone is nothing.
    assert sum(found) >= len(found) - 2
    assert not find_told(told, numbers=[OTHER.number], names=[OTHER.name])
    assert not find_told(
        [told_by(sound_of((), CALLER).data)], numbers=[CALLER.number], names=[CALLER.name]
    )


def test_a_number_that_is_packed() -> None:
    """Two digits in a byte, wherever they begin; or the last eight as a source."""
    packed = b"\x80\x08" + bytes(10) + bytes.fromhex("a138000000010f")
    as_source = sound_of((Sound.SOURCE,), CALLER).data
    for packet in (packed, as_source):
        assert find_told([packet], numbers=[CALLER.number], names=[])
        assert not find_told([packet], numbers=[OTHER.number], names=[])


def test_padding() -> None:
    """It is searched, and one that is not there is told apart."""
    padded = packets_of((Sound.PADDING,), CALLER)
    assert not any(is_broken(each.data) for each in padded)
    plain = sound_of((), CALLER).data
    assert is_broken(bytes([plain[0] | 0x20]) + plain[1:])
    assert not is_broken(plain)


def test_where_the_sound_goes() -> None:
    """The last description counts; one's own does not, nor a message without."""

    def message(port: int, *, sent: bool = False) -> Message:
        raw = f"SIP/2.0 200 OK\r\n\r\nc=IN IP4 192.0.2.1\r\nm=audio {port} RTP/AVP 8\r\n"
        return Message.parse(raw.encode(), at=datetime.now(UTC), sent=sent)

    bare = Message.parse(b"SIP/2.0 200 OK\r\n\r\n", at=datetime.now(UTC), sent=False)
    assert peer_of([message(1), message(2), message(3, sent=True), bare]) == ("192.0.2.1", 2)
    assert peer_of([bare]) is None
    assert own_port([message(1, sent=True), message(3, sent=True), message(2)]) == 3
    assert own_port([message(2), bare]) is None

"""The leak search is not blind: whatever is planted is found, and nothing else is."""

from __future__ import annotations

import quopri
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from agi_router.leaktest.leaks import Leak, Spelling, find_leaks, mask

# Its last eight digits do not occur in the 700 number of CLEAN.
NUMBER = "13824681357"
NAME = "Zhang San"
CLEAN = (
    b"INVITE sip:13987654321@127.0.0.1:5090 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKPj86-4f5a\r\n"
    b"From: <sip:700123456780001@127.0.0.1>;tag=8d0c1b\r\n"
    b"To: <sip:13987654321@127.0.0.1>\r\n"
    b"Contact: <sip:asterisk@127.0.0.1:5060>\r\n"
    b"Content-Length: 42\r\n\r\n"
    b"v=0\r\no=- 1382468135 9 IN IP4 127.0.0.1\r\nm=audio 13812 RTP/AVP 8 0\r\n"
)


def plant(text: str) -> bytes:
    """A message that is clean but for *text*."""
    return CLEAN.replace(b"\r\n\r\n", b"\r\nX-Planted: <" + text.encode() + b">\r\n\r\n", 1)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("13824681357", Spelling.AS_TYPED),
        ("0xff13824681357ff", Spelling.AS_TYPED),  # inside another word
        ("013824681357", Spelling.AS_TYPED),  # with the long-distance 0
        ("8613824681357", Spelling.WITH_86),
        ("+8613824681357", Spelling.PLUS_86),
        ("008613824681357", Spelling.ZERO_ZERO_86),
        ("tel:+8613824681357", Spelling.PLUS_86),
        ("138 2468 1357", Spelling.GROUPED),
        ("138-2468-1357", Spelling.GROUPED),
        ("(138) 2468-1357", Spelling.GROUPED),
        ("138.24.68.13.57", Spelling.GROUPED),
        ("1 3 8 2 4 6 8 1 3 5 7", Spelling.GROUPED),
        ("138%202468%201357", Spelling.GROUPED),
        ("138\u00a02468\u00a01357", Spelling.GROUPED),
        ("138\u20112468\u20111357", Spelling.GROUPED),
        ("".join(f"%{ord(digit):02X}" for digit in NUMBER), Spelling.ESCAPED),
        ("1%3382468135%37", Spelling.ESCAPED),
        ("%2B8613824681357", Spelling.WITH_86),
        ("75318642831", Spelling.REVERSED),
        ("7531-8642-831", Spelling.REVERSED),
        ("24681357", Spelling.LAST_EIGHT),
        ("****24681357", Spelling.LAST_EIGHT),
        ("2468 1357", Spelling.LAST_EIGHT),
        ("=31=33=38=32=34=36=38=31=33=35=37", Spelling.ESCAPED),  # quoted-printable
        ("\\x31\\x33\\x38\\x32\\x34\\x36\\x38\\x31\\x33\\x35\\x37", Spelling.ESCAPED),
        ("\uff11\uff13\uff18\uff12\uff14\uff16\uff18\uff11\uff13\uff15\uff17", Spelling.ESCAPED),
        ("3133383234363831333537", Spelling.HEX),
        ("31 33 38 32 34 36 38 31 33 35 37", Spelling.HEX),
    ],
)
def test_a_planted_number_is_found_once(text: str, spelling: Spelling) -> None:
    (leak,) = find_leaks(plant(text), numbers=[NUMBER])
    assert (leak.secret, leak.spelling) == ("138****1357", spelling)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("Zhang San", Spelling.NAME),
        ("ZHANG SAN", Spelling.NAME),
        ("zHANG sAN", Spelling.NAME),
        ("Zhang%20San", Spelling.NAME_ESCAPED),
        (quote("Zhang San").lower(), Spelling.NAME_ESCAPED),
    ],
)
def test_a_planted_name_is_found_once(text: str, spelling: Spelling) -> None:
    (leak,) = find_leaks(plant(text), numbers=[NUMBER], names=[NAME])
    assert (leak.secret, leak.spelling) == ("Z…", spelling)


def test_a_chinese_name_is_found() -> None:
    assert find_leaks(plant("张三"), numbers=[], names=["张三"])
    assert find_leaks(plant(quote("张三")), numbers=[], names=["张三"])


@pytest.mark.parametrize("before", ["", "a", "ab", "tel:", "+86"])
@pytest.mark.parametrize("after", ["", "z", "yz", ";x=y"])
def test_base64_is_found_wherever_it_lies(before: str, after: str) -> None:
    """The letters differ with what stands around the secret."""
    number = b64encode(f"{before}{NUMBER}{after}".encode()).decode()
    name = b64encode(f"{before}{NAME}{after}".encode()).decode()

    assert [leak.spelling for leak in find_leaks(plant(number), numbers=[NUMBER])] == [
        Spelling.BASE64
    ]
    assert [leak.spelling for leak in find_leaks(plant(name), numbers=[], names=[NAME])] == [
        Spelling.NAME_BASE64
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_a_chinese_name_is_found_in_every_spelling(encoding: str) -> None:
    raw = "王熙凤".encode(encoding)
    spelt = {
        raw: Spelling.NAME,
        quote(raw).encode(): Spelling.NAME_ESCAPED,
        quopri.encodestring(raw, quotetabs=True): Spelling.NAME_ESCAPED,
        raw.hex().encode(): Spelling.NAME_HEX,
        raw.hex(" ").upper().encode(): Spelling.NAME_HEX,
        b64encode(raw): Spelling.NAME_BASE64,
        urlsafe_b64encode(b"a" + raw): Spelling.NAME_BASE64,
    }

    for text, spelling in spelt.items():
        (leak,) = find_leaks(b"X: " + text + b"\r\n", numbers=[], names=["王熙凤"])
        assert leak.spelling is spelling


@pytest.mark.parametrize(
    "text", ["\\u738b\\u7199\\u51e4", "&#29579;&#29081;&#20964;", "&#x738B;&#x7199;&#x51e4;"]
)
def test_a_name_in_references_is_found(text: str) -> None:
    (leak,) = find_leaks(plant(text), numbers=[], names=["王熙凤"])
    assert leak.spelling is Spelling.NAME_ESCAPED


def test_names_of_other_scripts_are_found_in_either_case() -> None:
    assert find_leaks(plant("ÉLODIE"), numbers=[], names=["Élodie"])
    assert find_leaks(plant("élodie"), numbers=[], names=["Élodie"])


def test_a_clean_message_has_no_finding() -> None:
    """Neither another number, nor digits of ours apart over two lines or short of the eight."""
    assert find_leaks(CLEAN, numbers=[NUMBER], names=[NAME]) == []
    assert find_leaks(plant("1382468 and 681357"), numbers=[NUMBER], names=[NAME]) == []


@pytest.mark.parametrize(
    "number", ["13824681357", "+8613824681357", "008613824681357", "138 2468 1357"]
)
def test_the_secret_itself_may_be_given_in_any_form(number: str) -> None:
    (leak,) = find_leaks(plant("13824681357"), numbers=[number])
    assert leak.spelling is Spelling.AS_TYPED


def test_every_place_and_every_secret_is_reported_in_order() -> None:
    received = b"13824681357 zhang san +8613824681357 13987654321"
    leaks = find_leaks(received, numbers=["13987654321", NUMBER], names=[NAME])
    assert [(leak.offset, leak.spelling) for leak in leaks] == [
        (0, Spelling.AS_TYPED),
        (12, Spelling.NAME),
        (22, Spelling.PLUS_86),
        (37, Spelling.AS_TYPED),
    ]


@pytest.mark.parametrize(("numbers", "names"), [(["138"], []), ([""], []), ([], ["x"])])
def test_what_cannot_be_searched_for_is_an_error(numbers: list[str], names: list[str]) -> None:
    """A search for nothing must not pass for a clean one."""
    with pytest.raises(ValueError, match="at least"):
        find_leaks(CLEAN, numbers=numbers, names=names)


def test_a_finding_does_not_repeat_the_secret() -> None:
    leak = Leak(secret=mask(NUMBER), spelling=Spelling.AS_TYPED, offset=7)
    assert str(leak) == "138****1357 as typed, at byte 7"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("13800000001", "138****0001"),
        ("sip:13800000001@127.0.0.1:5060", "sip:138****0001@127.0.0.1:5060"),
        ("8613800000001", "861******0001"),
        ("700123456780001", "700123456780001"),
        ("7001234567800012", "700*********0012"),
        ("12345678", "******78"),
        ("503 at 5060", "503 at 5060"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert mask(text) == masked

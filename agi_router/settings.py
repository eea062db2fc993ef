"""
Settings: the environment in, one frozen value out.

1. Every setting is a variable ``AGI_ROUTER_…``; the database may also be named by libpq's own
   ``PG…`` variables.
2. A variable of that prefix that is not known is an error: a misspelt setting must not pass in
   silence. One that is set but empty counts as not set.
3. Nothing is read at import. Files are read by the ``load_…`` methods only.
4. No message and no ``repr`` carries a secret.
"""

# ruff: noqa: RUF009  (_setting is dataclasses.field with our metadata)

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from agi_router.bindings.words import Language
from agi_router.calls.check import NOTE_CHECK
from agi_router.calls.end import UnknownEnd
from agi_router.durations import format_duration, parse_duration
from agi_router.errors import KeyRingError, SettingsError
from agi_router.files import UnfitFile, read_private
from agi_router.inventory.capacity import Quarantine, StockLimits
from agi_router.keys.file import load_key_ring
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.maintenance.classes import FLOORS, LONGEST, WHY, Retention, RetentionClass
from agi_router.pbx.media_guard import MediaPorts
from agi_router.persons.appeal_states import Spans
from agi_router.persons.complaint_limits import ComplaintLimits
from agi_router.rates import OFF, Rate, parse_rate
from agi_router.tenants.call_rates import CallRates
from agi_router.times import parse_time

__all__ = ["PREFIX", "Settings", "is_loopback"]

PREFIX = "AGI_ROUTER_"
"""
What the name of every variable begins with.
"""

# The globals of the dialplan that are no settings too: what people put into the wrong place.
_GLOBALS = frozenset(
    {
        "AGI",
        "APP",
        "CALLEE_PREFIX",
        "DIALPLAN",
        "DIGIT_TIMEOUT",
        "WARNING",
        "WARNING_EVERY",
        "EARLY_MEDIA",
        "PATIENCE_FALLBACK",
        "PROMPT_LIMIT",
        "RATE_LIMIT",
        "TRUNK",
    }
)
# Those that are named after a router or a trunk.
_GLOBALS_OF = (f"{PREFIX}NEXT_", f"{PREFIX}CALLEE_PREFIX_")

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LARGEST_PASSWORD = 65536
_ON = ("1", "on", "true", "yes")
_OFF = ("0", "off", "false", "no")


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    if "\0" in value:
        raise ValueError("a path")
    return Path(value)


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value):
        raise ValueError("a name of letters, digits, '_', '.' and '-'")
    return value


def _url(value: str) -> str:
    expected = "a URL like http://127.0.0.1:8088, without user and password"
    try:
        parts = urlsplit(value)
        bad = parts.port == 0  # raises where it is not a number
    except ValueError:
        raise ValueError(expected) from None
    bad |= parts.scheme not in {"http", "https"} or not parts.hostname
    if bad or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(expected)
    return value.rstrip("/")


def _bucket(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("3 to 63 small letters, digits, '.' and '-'")
    return value


def _language(value: str) -> Language:
    try:
        return Language(value.lower())
    except ValueError:
        raise ValueError("zh or en") from None


def _cipher(value: str) -> Cipher:
    try:
        return Cipher(value.lower())
    except ValueError:
        raise ValueError(" or ".join(Cipher)) from None


def _transport(value: str) -> str:
    if value.lower() not in {"udp", "tcp"}:
        raise ValueError("udp or tcp")
    return value.lower()


def _unasserted(value: str) -> str:
    if value.lower() not in {"from", "refuse"}:
        raise ValueError("from or refuse")
    return value.lower()


def _time(value: str) -> datetime:
    try:
        return parse_time(value)
    except ValueError:
        raise ValueError("a time like 2026-06-30T00:00:00+08:00") from None


def _unknown_end(value: str) -> UnknownEnd:
    try:
        return UnknownEnd(value.lower())
    except ValueError:
        raise ValueError("likely, taken or given_back") from None


def _switch(value: str) -> bool:
    if value.lower() not in _ON + _OFF:
        raise ValueError("on or off")
    return value.lower() in _ON


def _listen(value: str) -> str:
    expected = "an address and a port, like 127.0.0.1:4573, [::1]:4573 or localhost:4573, or off"
    if value.lower() in _OFF:
        return "off"
    host, _, port = value.rpartition(":")
    try:
        _whole(1, 65535, "")(port)
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host):
            ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(expected) from None
    if ":" in host and host != f"[{host.strip('[]')}]":
        # Nobody can tell where such an address ends.
        raise ValueError(expected)
    return value


def _ipv4(value: str) -> str:
    expected = "an IPv4 address of one host and a port, like 192.0.2.1:5062"
    host, _, port = value.rpartition(":")
    try:
        _whole(1, 65535, "")(port)
        # It is told to others, so it must be one that they can reach.
        reachable = not ipaddress.IPv4Address(host).is_unspecified
    except ValueError:
        raise ValueError(expected) from None
    if not reachable:
        raise ValueError(expected)
    return value


def _ipv4_or_off(value: str) -> str:
    if value.lower() in _OFF:
        return "off"
    try:
        return _ipv4(value)
    except ValueError as exc:
        raise ValueError(f"{exc}, or off") from None


def _addresses(value: str) -> frozenset[str]:
    try:
        return frozenset(str(ipaddress.IPv4Address(each)) for each in _names(value))
    except ValueError:
        raise ValueError("IPv4 addresses, with commas") from None


def _link_name(value: str) -> str:
    # These are other doors'.
    if not re.fullmatch(r"[a-z0-9_-]{1,32}", value) or value in {"sip", "http"}:
        raise ValueError(
            "up to 32 small letters, digits, '_' and '-', and neither \"sip\" nor \"http\""
        )
    return value


def _host(value: str) -> str:
    try:
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", value):
            ipaddress.IPv6Address(value)
    except ValueError:
        raise ValueError("a name of a host or an address") from None
    return value


def _system_text(longest: int) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(rf"[!-~]{{1,{longest}}}", value):
            raise ValueError(f"up to {longest} ASCII characters without spaces")
        return value

    return parse


def _tls(value: str) -> str:
    if value.lower() in _ON:
        return "on"
    if value.lower() in _OFF:
        return "off"
    if not value.startswith("/") or "\0" in value:
        raise ValueError("on, off, or the path of a file of certificates")
    return value


def _word(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"{', '.join(words[:-1])} or {words[-1]}")
        return value.lower()

    return parse


def _secret(value: str) -> str:
    # It has to pass through a dialplan as it is.
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", value):
        raise ValueError("16 to 128 letters, digits, '_' and '-'")
    return value


def _level(value: str) -> str:
    if value.upper() not in _LEVELS:
        raise ValueError(f"one of {', '.join(_LEVELS)}")
    return value.upper()


def _whole(low: int, high: int, what: str) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"a whole number{what}, {low} to {high}")
        return int(value)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", value):
            raise ValueError(f"a number of seconds, {low:g} to {high:g}")
        if not low <= float(value) <= high:
            raise ValueError(f"a number of seconds, {low:g} to {high:g}")
        return float(value)

    return parse


def _duration(low: str, high: str) -> Callable[[str], timedelta]:
    def parse(value: str) -> timedelta:
        expected = f"a duration like 1h30m, {low} to {high}"
        try:
            duration = parse_duration(value)
        except ValueError:
            raise ValueError(expected) from None
        if not parse_duration(low) <= duration <= parse_duration(high):
            raise ValueError(expected)
        return duration

    return parse


def _kept(of: RetentionClass) -> Callable[[str], timedelta]:
    floor = parse_duration(FLOORS[of])

    def parse(value: str) -> timedelta:
        expected = (
            f"whole days, {FLOORS[of]} to {LONGEST}: {of} have to be kept for {WHY[of]} at least"
        )
        try:
            kept = parse_duration(value)
        except ValueError:
            raise ValueError(expected) from None
        if not floor <= kept <= parse_duration(LONGEST) or kept % timedelta(days=1):
            raise ValueError(expected)
        return kept

    return parse


def _rate(value: str) -> Rate:
    expected = "so many in a time, like 20/10m, or off"
    if value.lower() in _OFF:
        return OFF
    try:
        return parse_rate(value)
    except ValueError:
        raise ValueError(expected) from None


def _names(value: str) -> frozenset[str]:
    return frozenset(name.strip() for name in value.split(",")) - {""}


def _hosts(value: str) -> frozenset[str]:
    hosts = _names(value)
    if not all(re.fullmatch(r"[a-z0-9.-]{1,253}|[0-9a-f:.]{2,45}", host) for host in hosts):
        raise ValueError("names of hosts in small letters, with commas")
    return hosts


def _setting(parse: Callable[[str], Any], *, default: Any = None, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What an operator may set. The variable is the attribute's name in capitals.

    Attributes:
        dsn: Connection string of libpq. If it is not set, libpq's ``PG…`` variables name the
            database. Secret, as it may hold a password.
        key: The key ring itself, its lines separated by ``;``. Secret.
        key_file: The file that holds the key ring. Set at most one of the two.
        cipher: The cipher that seals new values. Sealed values open whichever cipher sealed them.
        ari_url: Address of Asterisk's HTTP server.
        ari_user: The router's user in ``ari.conf``.
        ari_password: Password of that user. Secret.
        ari_password_file: The file that holds the password. Set at most one of the two.
        ari_app: Name of the Stasis application: the dialplan's ``AGI_ROUTER_APP`` or
            ``AGI_ROUTER_NEXT_…``.
        agi_listen: Address and port on which FastAGI is served; ``off`` serves none.
        agi_secret: The secret by which Asterisk proves itself to the FastAGI door; the same as the
            dialplan's ``AGI_ROUTER_AGI_SECRET``. Secret.
        agi_secret_file: The file that holds the secret. Set at most one of the two.
        journal: Directory of the end journal; the same as the dialplan's ``AGI_ROUTER_JOURNAL``.
        recordings: Directory in memory of calls as they are recorded; the same as the dialplan's
            ``AGI_ROUTER_RECORDINGS``.
        recordings_sealed: Directory in which sealed recordings are kept; where there is a bucket,
            until they are in it.
        s3_endpoint: URL of an S3-compatible store that sealed recordings are brought to; not set:
            they stay in the directory. Needs the extra ``agi_router[s3]``.
        s3_bucket: The bucket in it, which holds nothing else.
        s3_region: Its region.
        s3_credentials_file: The file that holds the access key: its id, and its secret in a second
            line.
        s3_addressing: Where the store expects the name of the bucket: in the ``path``, or in front
            of the host (``virtual``).
        s3_ca_file: A file of the certificates that are believed; not set: those of the system.
        unsafe_profile: Faults of the PBX's profile that the operator accepts, by the names that
            ``doctor`` prints; ``allow`` accepts all.
        media_ports: ``FIRST-LAST``, the ports of Asterisk's sound as ``rtp.conf`` has them. Set
            where a guard is there, behind which Asterisk may have its native bridge.
        media_state: The file by which the watch over that guard tells routers what it sees.
        language: Language of the prompts that a caller hears whose binding names none.
        fixed_lines: Whether fixed lines may be parties.
        number_ranges: A file of ranges of mobile numbers, which extends the shipped table.
        unasserted: How a caller is treated whom the carrier does not assert
            (P-Asserted-Identity): ``from`` takes the number in From, ``refuse`` refuses the call.
        old_numbers_until: A time like ``2026-06-30`` (its begin, here), until
            when callers of a middle number of before hear that it has changed; from then on it is
            refused. Without it they always hear that.
        open_modes: Whether numbers may be bound that strangers can call (AX, AXE). No source says
            that 700 numbers may.
        extension_tries: How many times a stranger may type an extension.
        check_url: Address of the verification service that is asked before a call is connected;
            not set: nobody is asked.
        check_timeout: Seconds that it has for its answer, and a tenant's own service at most. A
            call without one is refused.
        check_token_file: The file that holds what is sent to it as a bearer token.
        check_numbers: Whether it is sent the real numbers. Needs https, or this host.
        check_texts: Whether it is asked about each text, too, before that is taken.
        strict: Whether all refusals that depend on a binding sound alike and come at one moment,
            so that a refused caller learns nothing about it.
        refusal_limit_caller: How many refused calls of one caller may cost a look-up in this time.
            The caller's next calls are refused without one.
        refusal_limit_trunk: The same for all callers of one trunk together.
        refusal_limit_extensions: How many wrong extensions all callers together may type on one
            number in this time.
        decision_timeout: Seconds from a call's arrival to its answer. A call without an answer by
            then is refused. Shorter than ``AGI_ROUTER_PATIENCE``.
        waiting_limit: How many calls may wait for a decision at once. Further calls are refused.
        handover: Seconds for which a router that was told to end goes on taking calls, until
            another router of its name takes over.
        metrics_listen: Address and port of ``/livez``, ``/readyz`` and ``/metrics``; ``off``
            serves none.
        deliver_metrics_listen: The same of ``agi-router deliver``.
        http_listen: Address and port of the HTTP door, on loopback: a proxy in front of it ends
            TLS. With a certificate of its own any address.
        http_certificate: A file in PEM with the certificate by which the HTTP door ends TLS
            itself, and those it is signed with. Read again when it changes.
        http_certificate_key: The file in PEM with the key of that certificate, without a password.
        http_proxies: Addresses of proxies that are believed where a request comes from, with
            commas.
        call_limit_caller: How many calls of one caller go through in any such time, at each
            router; tenants may have further limits on their own calls.
        call_limit_callee: The same of calls to one callee.
        call_limit_number: The same of calls to one 700 number.
        call_limit_tenant: The same of all calls of one tenant.
        http_rate: How many requests of one API key are answered in this time, by each process.
        http_wrong_keys: How many wrong API keys of one address are looked at in this time.
        traces_per_hour: How many traces may show real numbers in an hour to one user, and by one
            API key; and how many recordings one key of the operator's hears.
        sip_listen: Address and port at which texts are taken by SIP MESSAGE, over UDP and TCP;
            ``off`` takes none.
        sip_next: Address and port that texts are sent to.
        sip_transport: By which they are sent there: ``udp`` or ``tcp``.
        sip_peers: Addresses that texts are taken from, with commas. Others hear nothing.
        smpp_link: Name of the link to a message centre. Each has its own, and one process at a
            time has it.
        smpp_host: Host of the message centre.
        smpp_port: Its port.
        smpp_system_id: Who we are there.
        smpp_password_file: The file that holds the password, of at most 8 characters.
        smpp_system_type: As agreed with the message centre; mostly nothing.
        smpp_tls: ``on`` encrypts and checks the message centre's certificate, as does the path of
            a file with the certificates that are believed; ``off`` does not.
        smpp_window: How many short messages may wait for their answer at once.
        smpp_rate: How many short messages are sent in a second at most.
        smpp_alphabet: What the message centre takes for its own alphabet: ``gsm7``, ``latin1`` or
            ``ascii``.
        smpp_gb18030: Whether coding 15 is GB18030 there.
        smpp_ids: How the message centre writes an id in its answer and in its receipt: ``exact``
            alike, ``upper`` in either case and with or without zeros in front, ``hex_dec`` in
            hexadecimal and in decimal.
        smpp_splitting: How long texts go out: ``udh``, ``sar`` or ``payload``.
        smpp_refused: Whether a refused text is answered so (``refuse``), or as if it were accepted
            (``drop``), for a message centre that sends refused ones again and again.
        smpp_parts_wait: How long parts of a long text wait for the others.
        message_validity: How long a text is tried that cannot be sent, if its binding does not end
            before.
        message_limit_sender: How many texts of one sender are looked at in this time, taken or
            refused, by each process.
        message_limit_number: The same for all texts to one 700 number.
        message_limit_tenant: How many texts of one tenant are taken in this time, by each process.
        message_waiting: How many texts may wait for the database at once. Further ones are
            answered 503.
        patience: Seconds after which the dialplan asks another door; the same as the dialplan's
            ``AGI_ROUTER_PATIENCE``.
        db_connections: Number of connections to the database.
        ring_timeout: Seconds for which a callee rings, if the binding says nothing.
        max_duration: Longest call, if the binding says nothing shorter.
        ttl: Life of a binding, if none is given.
        number_quarantine: How long a number takes no new binding after one on it has ended.
        party_quarantine: How long a number takes no new binding of a party that was on it.
        pool_low: A tenant is told (``pool.low``) when so many percent of its numbers are free.
        pool_ahead: The same so long before none is free, if bindings go on growing as they did.
        block_ahead: So long before the end of a block's certificate it is told
            (``block.expiring``).
        retention: How long what was bound, called and texted is kept once it is over
            (docs/operate.md, Retention).
        retention_logs: How long what was done is kept: locks, block lists, withdrawn consents,
            reports of feeds.
        appeal_evidence: How long after its filing the evidence of an appeal may be complete.
        appeal_review: How long after that its review may begin.
        appeal_decision: How long after that it may be decided.
        complaint_share: The legal share: so many complaints for 100,000 calls. At half of it a
            number or a tenant is stopped.
        complaint_least: Below so many complaints nothing is stopped.
        complaint_window: In how long a time complaints and calls count.
        unknown_end: What becomes of the use of a call whose end nobody saw: ``taken``,
            ``given_back``, or ``likely``: taken if the call may have been answered.
        webhook_hosts: Hosts of webhooks and tenants' checks that may have any address, and be
            reached by http. Others are reached by https, at public addresses only.
        log_level: Lowest level that is logged.
    """

    dsn: str | None = _setting(_text, secret=True)
    key: str | None = _setting(_text, secret=True)
    key_file: Path | None = _setting(_path)
    cipher: Cipher = _setting(_cipher, default=Cipher.AES_256_GCM)
    ari_url: str = _setting(_url, default="http://127.0.0.1:8088")
    ari_user: str = _setting(_name, default="router")
    ari_password: str | None = _setting(_text, secret=True)
    ari_password_file: Path | None = _setting(_path)
    ari_app: str = _setting(_name, default="agi_router")
    agi_listen: str = _setting(_listen, default="127.0.0.1:4573")
    agi_secret: str | None = _setting(_secret, secret=True)
    agi_secret_file: Path | None = _setting(_path)
    journal: Path = _setting(_path, default=Path("/var/spool/agi-router"))
    recordings: Path | None = _setting(_path)
    recordings_sealed: Path = _setting(_path, default=Path("/var/lib/agi-router/recordings"))
    s3_endpoint: str | None = _setting(_url)
    s3_bucket: str | None = _setting(_bucket)
    s3_region: str = _setting(_name, default="us-east-1")
    s3_credentials_file: Path | None = _setting(_path)
    s3_addressing: str = _setting(_word("path", "virtual"), default="path")
    s3_ca_file: Path | None = _setting(_path)
    unsafe_profile: frozenset[str] = _setting(_names, default=frozenset())
    media_ports: MediaPorts | None = _setting(MediaPorts.parse)
    media_state: Path = _setting(_path, default=Path("/run/agi-router-media/state.json"))
    language: Language = _setting(_language, default=Language.ZH)
    fixed_lines: bool = _setting(_switch, default=False)
    number_ranges: Path | None = _setting(_path)
    unasserted: str = _setting(_unasserted, default="from")
    old_numbers_until: datetime | None = _setting(_time)
    open_modes: bool = _setting(_switch, default=False)
    extension_tries: int = _setting(_whole(1, 9, ""), default=3)
    check_url: str | None = _setting(_url)
    check_timeout: float = _setting(_seconds(0.01, 5), default=0.15)
    check_token_file: Path | None = _setting(_path)
    check_numbers: bool = _setting(_switch, default=False)
    check_texts: bool = _setting(_switch, default=False)
    strict: bool = _setting(_switch, default=False)
    refusal_limit_caller: Rate = _setting(_rate, default=Rate(20, timedelta(minutes=10)))
    refusal_limit_trunk: Rate = _setting(_rate, default=OFF)
    refusal_limit_extensions: Rate = _setting(_rate, default=Rate(20, timedelta(minutes=10)))
    decision_timeout: float = _setting(_seconds(0.05, 10), default=0.3)
    waiting_limit: int = _setting(_whole(1, 10_000, " of calls"), default=200)
    handover: float = _setting(_seconds(0, 600), default=0.0)
    metrics_listen: str = _setting(_listen, default="127.0.0.1:9700")
    deliver_metrics_listen: str = _setting(_listen, default="127.0.0.1:9702")
    http_listen: str = _setting(_listen, default="127.0.0.1:8700")
    http_certificate: Path | None = _setting(_path)
    http_certificate_key: Path | None = _setting(_path)
    http_proxies: frozenset[str] = _setting(_names, default=frozenset({"127.0.0.1", "::1"}))
    call_limit_caller: Rate = _setting(_rate, default=OFF)
    call_limit_callee: Rate = _setting(_rate, default=OFF)
    call_limit_number: Rate = _setting(_rate, default=OFF)
    call_limit_tenant: Rate = _setting(_rate, default=OFF)
    http_rate: Rate = _setting(_rate, default=Rate(6000, timedelta(minutes=1)))
    http_wrong_keys: Rate = _setting(_rate, default=Rate(20, timedelta(minutes=10)))
    traces_per_hour: int = _setting(_whole(1, 10_000, " of traces"), default=30)
    sip_listen: str = _setting(_ipv4_or_off, default="off")
    sip_next: str | None = _setting(_ipv4)
    sip_transport: str = _setting(_transport, default="udp")
    sip_peers: frozenset[str] = _setting(_addresses, default=frozenset())
    smpp_link: str = _setting(_link_name, default="smpp")
    smpp_host: str | None = _setting(_host)
    smpp_port: int = _setting(_whole(1, 65535, ""), default=2775)
    smpp_system_id: str | None = _setting(_system_text(15))
    smpp_password_file: Path | None = _setting(_path)
    smpp_system_type: str = _setting(_system_text(12), default="")
    smpp_tls: str = _setting(_tls, default="off")
    smpp_window: int = _setting(_whole(1, 1000, " of short messages"), default=20)
    smpp_rate: int = _setting(_whole(1, 10_000, " of short messages"), default=100)
    smpp_alphabet: str = _setting(_word("gsm7", "latin1", "ascii"), default="gsm7")
    smpp_gb18030: bool = _setting(_switch, default=True)
    smpp_ids: str = _setting(_word("exact", "upper", "hex_dec"), default="exact")
    smpp_splitting: str = _setting(_word("udh", "sar", "payload"), default="udh")
    smpp_refused: str = _setting(_word("refuse", "drop"), default="refuse")
    smpp_parts_wait: timedelta = _setting(_duration("10s", "1d"), default=timedelta(minutes=5))
    message_validity: timedelta = _setting(_duration("1m", "7d"), default=timedelta(hours=24))
    message_limit_sender: Rate = _setting(_rate, default=Rate(10, timedelta(minutes=1)))
    message_limit_number: Rate = _setting(_rate, default=Rate(60, timedelta(minutes=1)))
    message_limit_tenant: Rate = _setting(_rate, default=OFF)
    message_waiting: int = _setting(_whole(1, 10_000, " of texts"), default=1000)
    patience: float = _setting(_seconds(0.05, 10), default=0.35)
    db_connections: int = _setting(_whole(1, 100, ""), default=4)
    ring_timeout: int = _setting(_whole(5, 120, " of seconds"), default=45)
    max_duration: timedelta = _setting(_duration("1m", "240m"), default=timedelta(minutes=60))
    ttl: timedelta = _setting(_duration("60s", "90d"), default=timedelta(hours=24))
    number_quarantine: timedelta = _setting(_duration("0s", "30d"), default=Quarantine().number)
    party_quarantine: timedelta = _setting(_duration("0s", "180d"), default=Quarantine().party)
    pool_low: int = _setting(_whole(1, 100, " of percent"), default=StockLimits().free)
    pool_ahead: timedelta = _setting(_duration("0s", "365d"), default=StockLimits().ahead)
    block_ahead: timedelta = _setting(_duration("1h", "365d"), default=StockLimits().certificate)
    retention: timedelta = _setting(_kept(RetentionClass.RECORDS), default=Retention().records)
    retention_logs: timedelta = _setting(_kept(RetentionClass.LOGS), default=Retention().logs)
    appeal_evidence: timedelta = _setting(_duration("60s", "365d"), default=Spans().evidence)
    appeal_review: timedelta = _setting(_duration("60s", "365d"), default=Spans().review)
    appeal_decision: timedelta = _setting(_duration("60s", "365d"), default=Spans().decision)
    complaint_share: int = _setting(
        _whole(1, 10_000, " of complaints"), default=ComplaintLimits().share
    )
    complaint_least: int = _setting(
        _whole(1, 10_000, " of complaints"), default=ComplaintLimits().least
    )
    complaint_window: timedelta = _setting(
        _duration("1d", "365d"), default=ComplaintLimits().window
    )
    unknown_end: UnknownEnd = _setting(_unknown_end, default=UnknownEnd.LIKELY)
    webhook_hosts: frozenset[str] = _setting(_hosts, default=frozenset())
    log_level: str = _setting(_level, default="INFO")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """
        Read the settings from *environ*; variables without the prefix are left alone.

        Raises:
            SettingsError: A variable is unknown or malformed, or two exclude each other; names
                the variable and the form expected, never the value.
        """
        known = {PREFIX + each.name.upper(): each for each in fields(cls)}
        values: dict[str, Any] = {}
        for name, text in environ.items():
            if not name.startswith(PREFIX):
                continue
            if name not in known:
                raise SettingsError(_unknown(name, list(known)))
            if not text.strip():
                continue
            each = known[name]
            try:
                values[each.name] = each.metadata["parse"](text.strip())
            except ValueError as exc:
                raise SettingsError(f"{name} is malformed; expected {exc}") from None
        for name in ("key", "ari_password", "agi_secret"):
            if name in values and f"{name}_file" in values:
                variable = PREFIX + name.upper()
                raise SettingsError(f"set {variable} or {variable}_FILE, not both")
        settings = cls(**values)
        if settings.decision_timeout >= settings.patience:
            raise SettingsError(
                f"{PREFIX}DECISION_TIMEOUT must be shorter than {PREFIX}PATIENCE, after which"
                " nobody waits for the decision"
            )
        settings._judge_check()
        settings._judge_s3()
        return settings

    def _judge_check(self) -> None:
        if self.check_url is None:
            if self.check_texts:
                raise SettingsError(f"{PREFIX}CHECK_TEXTS needs {PREFIX}CHECK_URL: who is asked")
            return
        if self.check_timeout + NOTE_CHECK >= self.decision_timeout:
            raise SettingsError(
                f"{PREFIX}CHECK_TIMEOUT must be shorter than {PREFIX}DECISION_TIMEOUT by more than"
                f" {NOTE_CHECK:g} seconds, in which the answer is written down"
            )
        parts = urlsplit(self.check_url)
        if self.check_numbers and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise SettingsError(
                f"{PREFIX}CHECK_NUMBERS sends real numbers, which anybody on the way could read:"
                f" give {PREFIX}CHECK_URL by https"
            )

    def _judge_s3(self) -> None:
        needed = {
            "S3_ENDPOINT": self.s3_endpoint,
            "S3_BUCKET": self.s3_bucket,
            "S3_CREDENTIALS_FILE": self.s3_credentials_file,
        }
        missing = [PREFIX + name for name, value in needed.items() if value is None]
        if missing and len(missing) < len(needed):
            raise SettingsError(f"a store of recordings needs {' and '.join(missing)} too")
        parts = urlsplit(self.s3_endpoint or "")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise SettingsError(
                f"{PREFIX}S3_ENDPOINT would be reached without TLS: give it by https"
            )

    def agi_address(self) -> tuple[str, int] | None:
        """
        Return where FastAGI is served, or :obj:`None` where it is not.
        """
        return _split(self.agi_listen)

    def metrics_address(self) -> tuple[str, int] | None:
        """
        Return where health and metrics are served, or :obj:`None` where they are not.
        """
        return _split(self.metrics_listen)

    def deliver_metrics_address(self) -> tuple[str, int] | None:
        """
        Return where those of the deliverer are served, or :obj:`None` where they are not.
        """
        return _split(self.deliver_metrics_listen)

    @property
    def call_rates(self) -> CallRates:
        """
        Return how many calls go through in a time.
        """
        return CallRates(
            caller=self.call_limit_caller,
            callee=self.call_limit_callee,
            number=self.call_limit_number,
            tenant=self.call_limit_tenant,
        )

    @property
    def http_address(self) -> tuple[str, int] | None:
        """
        Return where the HTTP door listens, or :obj:`None` where it is off.
        """
        return _split(self.http_listen)

    @property
    def sip_address(self) -> tuple[str, int] | None:
        """
        Return where texts are taken by SIP, or :obj:`None` where they are not.
        """
        return _split(self.sip_listen)

    @property
    def sip_next_address(self) -> tuple[str, int] | None:
        """
        Return where texts are sent to by SIP, if that is set.
        """
        return None if self.sip_next is None else _split(self.sip_next)

    def load_keys(self) -> KeyRing:
        """
        Return the key ring, from the environment or its file.

        Raises:
            SettingsError: Neither is set.
            KeyRingError: What is set is missing or malformed.
        """
        if self.key is not None:
            try:
                return KeyRing.parse(self.key, cipher=self.cipher)
            except KeyRingError as exc:
                raise KeyRingError(f"{PREFIX}KEY: {exc}") from None
        if self.key_file is not None:
            return load_key_ring(self.key_file, cipher=self.cipher)
        raise SettingsError(
            f"no key is set: run 'agi-router key new' and set {PREFIX}KEY_FILE to its file"
        )

    @property
    def quarantine(self) -> Quarantine:
        """
        How long numbers are kept from new bindings.
        """
        return Quarantine(number=self.number_quarantine, party=self.party_quarantine)

    @property
    def stock_limits(self) -> StockLimits:
        """
        When tenants are told that their numbers run out.
        """
        return StockLimits(free=self.pool_low, ahead=self.pool_ahead, certificate=self.block_ahead)

    @property
    def kept(self) -> Retention:
        """
        How long what is over is kept.
        """
        return Retention(records=self.retention, logs=self.retention_logs)

    @property
    def complaint_limits(self) -> ComplaintLimits:
        """
        How many complaints are too many.
        """
        return ComplaintLimits(
            share=self.complaint_share, least=self.complaint_least, window=self.complaint_window
        )

    @property
    def appeal_spans(self) -> Spans:
        """
        How long the steps of an appeal may take.
        """
        return Spans(
            evidence=self.appeal_evidence,
            review=self.appeal_review,
            decision=self.appeal_decision,
        )

    @property
    def knows_ari_password(self) -> bool:
        """
        Whether there is a password for ARI, or a file that should hold it.
        """
        return self.ari_password is not None or self.ari_password_file is not None

    def load_ari_password(self) -> str:
        """
        Return the password for ARI, from the environment or its file (its first line).

        Raises:
            SettingsError: Neither is set, or the file cannot be read, is open to others, or is
                empty.
        """
        if self.ari_password is not None:
            return self.ari_password
        return _first_line(self.ari_password_file, "ARI_PASSWORD", "password for ARI")

    def load_agi_secret(self) -> str:
        """
        Return the secret of FastAGI, from the environment or its file (its first line).

        Raises:
            SettingsError: Neither is set, or the file cannot be read, is open to others, or is
                malformed.
        """
        if self.agi_secret is not None:
            return self.agi_secret
        line = _first_line(self.agi_secret_file, "AGI_SECRET", "secret for FastAGI")
        try:
            return _secret(line)
        except ValueError as exc:
            raise SettingsError(f"{PREFIX}AGI_SECRET_FILE is malformed; expected {exc}") from None

    def load_smpp_password(self) -> str:
        """
        Return the password of the link to the message centre, from its file (its first line).

        Raises:
            SettingsError: None is set, or the file cannot be read, is open to others, or is
                malformed.
        """
        if self.smpp_password_file is None:
            raise SettingsError(f"set {PREFIX}SMPP_PASSWORD_FILE: the link has no password")
        line = _first_line(self.smpp_password_file, "SMPP_PASSWORD", "password of the link")
        if not re.fullmatch(r"[!-~]{1,8}", line):
            raise SettingsError(
                f"{PREFIX}SMPP_PASSWORD_FILE is malformed; expected 1 to 8 ASCII characters"
            )
        return line

    def load_s3_credentials(self) -> tuple[str, str]:
        """
        Return id and secret of the access key of the store of recordings, from its file.

        A credential ``s3`` that systemd has given to this unit is read in its place: the file is
        another account's then.

        Raises:
            SettingsError: None is set, or the file cannot be read, is open to others, or is
                malformed.
        """
        file = self.s3_credentials_file
        given = Path(os.environ.get("CREDENTIALS_DIRECTORY", os.devnull), "s3")
        if given.exists():
            file = given
        text = _private_text(file, "S3_CREDENTIALS", "access key of the store")
        match text.split():
            case [key_id, secret]:
                return key_id, secret
        raise SettingsError(
            f"{PREFIX}S3_CREDENTIALS_FILE is malformed; expected the id of the access key, and its"
            " secret in a second line"
        )

    def load_check_token(self) -> str | None:
        """
        Return what is sent to the verification service as a bearer token, if anything is.

        Raises:
            SettingsError: The file cannot be read, is open to others, or is malformed.
        """
        if self.check_token_file is None:
            return None
        line = _first_line(self.check_token_file, "CHECK_TOKEN", "token of the real-time check")
        # RFC 6750, 2.1.
        if not re.fullmatch(r"[A-Za-z0-9._~+/-]{1,4096}=*", line):
            raise SettingsError(
                f"{PREFIX}CHECK_TOKEN_FILE is malformed; expected letters, digits and -._~+/"
            )
        return line

    def describe(self) -> dict[str, str]:
        """
        Return the effective value of every variable as text, secrets hidden.
        """
        return {
            PREFIX + each.name.upper(): _shown(
                getattr(self, each.name), secret=each.metadata["secret"]
            )
            for each in fields(self)
        }


def is_loopback(host: str) -> bool:
    """
    Whether a host of a setting is this one; any name but ``localhost`` stands for anything.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(listen: str) -> tuple[str, int] | None:
    if listen == "off":
        return None
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def _first_line(file: Path | None, name: str, what: str) -> str:
    line = _private_text(file, name, what).partition("\n")[0].strip()
    if not line:
        raise SettingsError(f"{PREFIX}{name}_FILE is empty")
    return line


def _private_text(file: Path | None, name: str, what: str) -> str:
    variable = PREFIX + name
    if file is None:
        raise SettingsError(f"no {what} is set: set {variable} or {variable}_FILE")
    try:
        # With or without a byte order mark.
        return read_private(file, largest=_LARGEST_PASSWORD).decode("utf-8-sig")
    except OSError as exc:
        raise SettingsError(f"{variable}_FILE cannot be read: {exc.strerror}") from exc
    except UnfitFile as exc:
        raise SettingsError(f"{variable}_FILE {exc}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}_FILE is not text") from None


def _unknown(name: str, known: list[str]) -> str:
    if name.removeprefix(PREFIX) in _GLOBALS or name.startswith(_GLOBALS_OF):
        return (
            f"{name} is a global of the dialplan, no setting of the router: set it in"
            " extensions.conf, in a section [globals](+) below the #include of agi_router.conf,"
            " and take it out of the environment"
        )
    # For a mistake only: no router is to hold it in memory for ever.
    import difflib  # noqa: PLC0415

    # Compared without the prefix, which would make everything look near.
    given = name.removeprefix(PREFIX).upper()
    alike = difflib.get_close_matches(given, [each.removeprefix(PREFIX) for each in known])
    # Many names share some letters: one that begins otherwise is near if it holds what was given.
    near = next((each for each in alike if each[0] == given[0] or given in each), None)
    if near:
        return f"{name} is not a setting; the nearest is {PREFIX}{near}"
    return f"{name} is not a setting; 'agi-router settings' shows all there are: unset it"


def _shown(value: object, *, secret: bool) -> str:
    match value:
        case None:
            return "(not set)"
        case _ if secret:
            return "(set, hidden)"
        case bool():
            return "on" if value else "off"
        case timedelta():
            return format_duration(value)
        case frozenset():
            return ",".join(sorted(value)) or "(none)"
        case _:
            return str(value)

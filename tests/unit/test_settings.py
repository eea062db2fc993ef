"""Settings: defaults, forms, errors, and that no secret shows."""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import fields
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from settings_page import PAGE, page

from agi_router.bindings.words import Language
from agi_router.calls.end import UnknownEnd
from agi_router.errors import KeyRingError, SettingsError
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.rates import OFF, Rate
from agi_router.settings import PREFIX, Settings

SECRET = "s3cret-Pa55"


def settings(**values: str) -> Settings:
    """Return the settings of an environment with these variables."""
    environ = {PREFIX + name: value for name, value in values.items()}
    return Settings.from_env(environ | {"PATH": "/bin", "PGHOST": "db", "AGI_ROUTERS": "x"})


def test_defaults() -> None:
    """An empty environment is enough."""
    assert settings() == Settings(
        dsn=None,
        key=None,
        key_file=None,
        cipher=Cipher.AES_256_GCM,
        ari_url="http://127.0.0.1:8088",
        ari_user="router",
        ari_password=None,
        ari_password_file=None,
        ari_app="agi_router",
        agi_listen="127.0.0.1:4573",
        agi_secret=None,
        agi_secret_file=None,
        journal=Path("/var/spool/agi-router"),
        unsafe_profile=frozenset(),
        language=Language.ZH,
        fixed_lines=False,
        number_ranges=None,
        strict=False,
        refusal_limit_caller=Rate(20, timedelta(minutes=10)),
        refusal_limit_trunk=OFF,
        refusal_limit_extensions=Rate(20, timedelta(minutes=10)),
        message_limit_sender=Rate(10, timedelta(minutes=1)),
        message_limit_number=Rate(60, timedelta(minutes=1)),
        decision_timeout=0.3,
        patience=0.35,
        db_connections=4,
        ring_timeout=45,
        max_duration=timedelta(minutes=60),
        ttl=timedelta(hours=24),
        unknown_end=UnknownEnd.LIKELY,
        log_level="INFO",
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DSN", "host=db dbname=x", "host=db dbname=x"),
        ("KEY", " tag 1 x;seal 1 y ", "tag 1 x;seal 1 y"),
        ("KEY_FILE", "/etc/agi-router/key", Path("/etc/agi-router/key")),
        ("CIPHER", "SM4-GCM", Cipher.SM4_GCM),
        ("STRICT", "on", True),
        ("REFUSAL_LIMIT_CALLER", "off", OFF),
        ("REFUSAL_LIMIT_CALLER", "5 / 1h30m", Rate(5, timedelta(minutes=90))),
        ("REFUSAL_LIMIT_TRUNK", "1000000/1s", Rate(1000000, timedelta(seconds=1))),
        ("ARI_URL", "https://pbx.example:8089/asterisk/", "https://pbx.example:8089/asterisk"),
        ("ARI_URL", "http://[::1]:8088", "http://[::1]:8088"),
        ("ARI_USER", "me", "me"),
        ("UNSAFE_PROFILE", "allow", frozenset({"allow"})),
        ("UNSAFE_PROFILE", "in/a, old trunk/b ,", frozenset({"in/a", "old trunk/b"})),
        ("ARI_PASSWORD", SECRET, SECRET),
        ("ARI_PASSWORD_FILE", "/run/secrets/ari", Path("/run/secrets/ari")),
        ("ARI_APP", "app-2", "app-2"),
        ("JOURNAL", "/tmp/j", Path("/tmp/j")),  # noqa: S108
        ("LANGUAGE", "EN", Language.EN),
        ("FIXED_LINES", "on", True),
        ("FIXED_LINES", "True", True),
        ("FIXED_LINES", "1", True),
        ("FIXED_LINES", "no", False),
        ("AGI_LISTEN", "0.0.0.0:65535", "0.0.0.0:65535"),
        ("AGI_LISTEN", "OFF", "off"),
        ("AGI_LISTEN", "no", "off"),
        ("DECISION_TIMEOUT", "0.05", 0.05),
        ("WAITING_LIMIT", "1", 1),
        ("HANDOVER", "0", 0.0),
        ("HANDOVER", "2.5", 2.5),
        ("METRICS_LISTEN", "0.0.0.0:1", "0.0.0.0:1"),
        ("METRICS_LISTEN", "OFF", "off"),
        ("SIP_LISTEN", "192.0.2.1:5062", "192.0.2.1:5062"),
        ("SIP_LISTEN", "No", "off"),
        ("SIP_TRANSPORT", "TCP", "tcp"),
        ("SIP_NEXT", "192.0.2.2:5060", "192.0.2.2:5060"),
        ("SIP_PEERS", "192.0.2.2, 192.0.2.3,", frozenset({"192.0.2.2", "192.0.2.3"})),
        ("MESSAGE_VALIDITY", "7d", timedelta(days=7)),
        ("MESSAGE_WAITING", "1", 1),
        ("PATIENCE", "10", 10.0),
        ("DB_CONNECTIONS", "1", 1),
        ("DB_CONNECTIONS", "100", 100),
        ("RING_TIMEOUT", "5", 5),
        ("RING_TIMEOUT", "120", 120),
        ("MAX_DURATION", "60", timedelta(minutes=1)),
        ("MAX_DURATION", "4h", timedelta(hours=4)),
        ("TTL", "60s", timedelta(seconds=60)),
        ("TTL", "90d", timedelta(days=90)),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("UNKNOWN_END", "Given_Back", UnknownEnd.GIVEN_BACK),
        ("UNKNOWN_END", "taken", UnknownEnd.TAKEN),
        # Compose files hand over what is not set as an empty text.
        ("RING_TIMEOUT", "", 45),
        ("DSN", " ", None),
    ],
)
def test_forms(name: str, text: str, value: object) -> None:
    """Each variable is read in its form."""
    assert getattr(settings(**{name: text}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("KEY_FILE", "a\0b", "a path"),
        ("ARI_URL", "127.0.0.1:8088", "a URL like"),
        ("ARI_URL", "ftp://x", "a URL like"),
        ("ARI_URL", "http://", "a URL like"),
        ("ARI_URL", "http://x:port", "a URL like"),
        ("ARI_URL", "http://x:0", "a URL like"),
        ("ARI_URL", f"http://me:{SECRET}@x", "without user and password"),
        ("ARI_URL", f"http://x/?api_key={SECRET}", "a URL like"),
        ("ARI_URL", "http://[::1", "a URL like"),
        ("ARI_USER", "a:b", "a name of letters"),
        ("ARI_APP", "a,b", "a name of letters"),
        ("S3_BUCKET", "Calls", "3 to 63 small letters"),
        ("S3_ADDRESSING", "host", "path or virtual"),
        ("LANGUAGE", "fr", "zh or en"),
        ("UNKNOWN_END", "maybe", "likely, taken or given_back"),
        ("FIXED_LINES", "maybe", "on or off"),
        ("AGI_LISTEN", "127.0.0.1", "an address and a port"),
        ("AGI_LISTEN", "127.0.0.1:0", "an address and a port"),
        ("AGI_LISTEN", "::1:4573", "an address and a port"),
        ("AGI_LISTEN", "[localhost]:4573", "an address and a port"),
        ("AGI_LISTEN", "on", "an address and a port"),
        ("AGI_SECRET", "too-short", "16 to 128 letters"),
        ("AGI_SECRET", f"{SECRET};${{X}} and more", "16 to 128 letters"),
        ("SIP_LISTEN", "0.0.0.0:5062", "an IPv4 address of one host"),
        ("SIP_LISTEN", "[::1]:5062", "or off"),
        ("SIP_LISTEN", "192.0.2.1", "and a port"),
        ("SIP_TRANSPORT", "tls", "udp or tcp"),
        ("SIP_NEXT", "off", "an IPv4 address of one host"),
        ("SIP_NEXT", "pbx.example:5060", "an IPv4 address of one host"),
        ("SIP_PEERS", "192.0.2.2,pbx.example", "IPv4 addresses, with commas"),
        ("MESSAGE_VALIDITY", "8d", "a duration like 1h30m, 1m to 7d"),
        ("MESSAGE_WAITING", "0", "a whole number of texts, 1 to 10000"),
        ("PATIENCE", "11", "a number of seconds, 0.05 to 10"),
        ("DECISION_TIMEOUT", "nan", "a number of seconds, 0.05 to 10"),
        ("DECISION_TIMEOUT", "0.04", "a number of seconds, 0.05 to 10"),
        ("DECISION_TIMEOUT", "10.1", "a number of seconds, 0.05 to 10"),
        ("WAITING_LIMIT", "0", "a whole number of calls, 1 to 10000"),
        ("HANDOVER", "-1", "a number of seconds, 0 to 600"),
        ("METRICS_LISTEN", "9700", "an address and a port"),
        ("METRICS_LISTEN", ":9700", "an address and a port"),
        ("METRICS_LISTEN", "127.0.0.1:0", "an address and a port"),
        ("METRICS_LISTEN", "127.0.0.1:65536", "an address and a port"),
        ("METRICS_LISTEN", "[::1]9700", "an address and a port"),
        ("DB_CONNECTIONS", "0", "a whole number, 1 to 100"),
        ("DB_CONNECTIONS", "\u0664", "a whole number, 1 to 100"),
        ("RING_TIMEOUT", "4", "a whole number of seconds, 5 to 120"),
        ("RING_TIMEOUT", "121", "a whole number of seconds, 5 to 120"),
        ("RING_TIMEOUT", "45.5", "a whole number of seconds, 5 to 120"),
        ("MAX_DURATION", "241m", "a duration like 1h30m, 1m to 240m"),
        ("MAX_DURATION", "59s", "a duration like 1h30m, 1m to 240m"),
        ("MAX_DURATION", "long", "a duration like 1h30m, 1m to 240m"),
        ("TTL", "59", "a duration like 1h30m, 60s to 90d"),
        ("TTL", "91d", "a duration like 1h30m, 60s to 90d"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO"),
    ],
)
def test_malformed(name: str, text: str, words: str) -> None:
    """The message names the variable and the form, never the value."""
    with pytest.raises(SettingsError, match=words) as caught:
        settings(**{name: text})
    assert str(caught.value).startswith(f"AGI_ROUTER_{name} is malformed; expected ")
    assert SECRET not in "".join(traceback.format_exception(caught.value, chain=True))


def test_a_decision_that_nobody_waits_for() -> None:
    """The dialplan must not turn away before the router has had its time."""
    assert settings(DECISION_TIMEOUT="0.9", PATIENCE="1").decision_timeout == 0.9
    for timeout in ("0.35", "1"):
        with pytest.raises(SettingsError, match=r"DECISION_TIMEOUT must be shorter than"):
            settings(DECISION_TIMEOUT=timeout)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7:4574", ("192.0.2.7", 4574)),
        ("[::1]:4574", ("::1", 4574)),
        ("localhost:4574", ("localhost", 4574)),
        ("off", None),
    ],
)
def test_where_it_listens(text: str, address: tuple[str, int] | None) -> None:
    """An address for each of the two, or none."""
    assert settings().agi_address() == ("127.0.0.1", 4573)
    assert settings().metrics_address() == ("127.0.0.1", 9700)
    assert settings(AGI_LISTEN=text).agi_address() == address
    assert settings(METRICS_LISTEN=text).metrics_address() == address


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("RINGTIMEOUT", "RING_TIMEOUT"),
        ("PASSWORD", "ARI_PASSWORD"),
        ("KEYFILE", "KEY_FILE"),
        ("LANG", "LANGUAGE"),
        ("TLL", "TTL"),
        ("dsn", "DSN"),
    ],
)
def test_unknown(name: str, near: str) -> None:
    """A misspelt variable is an error, even if empty, that names the nearest one."""
    with pytest.raises(SettingsError) as caught:
        settings(**{name: ""})
    assert str(caught.value).startswith(f"AGI_ROUTER_{name} is not a setting; ")
    assert str(caught.value).endswith(f"; the nearest is AGI_ROUTER_{near}")


@pytest.mark.parametrize("name", ["", "TENANT", "OPERATOR", "700"])
def test_unknown_and_like_none(name: str) -> None:
    """No name is offered that has nothing to do with it."""
    with pytest.raises(SettingsError) as caught:
        settings(**{name: "1"})
    assert str(caught.value) == (
        f"AGI_ROUTER_{name} is not a setting; 'agi-router settings' shows all there are: unset it"
    )


def dialplan_globals() -> list[str]:
    """Return the globals of the shipped dialplan that are no settings too, without the prefix."""
    text = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")
    names = re.findall(rf"(?m)^{PREFIX}(\w+)=", text)
    return sorted(set(names) - {each.name.upper() for each in fields(Settings)})


@pytest.mark.parametrize(
    "name",
    [*dialplan_globals(), "NEXT_agi_router", "NEXT_agi_router_2", "CALLEE_PREFIX_carrier-b"],
)
def test_globals_of_the_dialplan(name: str) -> None:
    """What belongs there is no mistake in writing: the error says where to put it."""
    with pytest.raises(SettingsError) as caught:
        settings(**{name: "1"})
    assert str(caught.value) == (
        f"AGI_ROUTER_{name} is a global of the dialplan, no setting of the router: set it in"
        " extensions.conf, in a section [globals](+) below the #include of agi_router.conf, and"
        " take it out of the environment"
    )


def test_files_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors of Windows put one in front; it is no part of a key or a password."""
    ring = KeyRing.generate()
    key, password = tmp_path / "key", tmp_path / "password"
    write_key_ring(key, ring)
    key.write_bytes(b"\xef\xbb\xbf" + key.read_bytes().replace(b"\n", b"\r\n"))
    password.write_text(f"\ufeff{SECRET}\r\n", "utf-8")
    password.chmod(0o600)
    given = settings(KEY_FILE=str(key), ARI_PASSWORD_FILE=str(password))
    assert given.load_keys() == ring
    assert given.load_ari_password() == SECRET


@pytest.mark.parametrize("name", ["KEY", "ARI_PASSWORD"])
def test_two_that_exclude_each_other(name: str) -> None:
    """A secret comes from one place."""
    with pytest.raises(SettingsError, match=f"AGI_ROUTER_{name} or AGI_ROUTER_{name}_FILE, not"):
        settings(**{name: SECRET, f"{name}_FILE": "/x"})
    assert settings(**{name: "", f"{name}_FILE": "/x"})


def test_no_secret_shows() -> None:
    """Neither repr nor the description carries one."""
    given = settings(DSN=f"password={SECRET}", KEY=SECRET, ARI_PASSWORD=SECRET)
    assert SECRET not in repr(given)
    shown = given.describe()
    assert SECRET not in repr(shown)
    for name in ("DSN", "KEY", "ARI_PASSWORD"):
        assert shown[PREFIX + name] == "(set, hidden)"
        assert settings().describe()[PREFIX + name] == "(not set)"


def test_describe() -> None:
    """Every variable is there, as it would be written; what it says reads the same."""
    given = settings(FIXED_LINES="yes", TTL="90m", KEY_FILE="/k", LANGUAGE="en")
    shown = given.describe()
    assert list(shown) == [PREFIX + each.name.upper() for each in fields(Settings)]
    assert shown["AGI_ROUTER_FIXED_LINES"] == "on"
    assert shown["AGI_ROUTER_TTL"] == "1h30m"
    assert shown["AGI_ROUTER_LANGUAGE"] == "en"
    assert settings().describe()["AGI_ROUTER_FIXED_LINES"] == "off"
    assert Settings.from_env({k: v for k, v in shown.items() if "(" not in v}) == given


def test_keys(tmp_path: Path) -> None:
    """The ring comes from the environment or a file; without either, the message says how."""
    ring = KeyRing.generate()
    write_key_ring(tmp_path / "key", ring)
    assert settings(KEY=ring.to_text()).load_keys() == ring
    assert settings(KEY=ring.to_text().replace("\n", ";")).load_keys() == ring
    assert settings(KEY_FILE=str(tmp_path / "key")).load_keys() == ring
    with pytest.raises(SettingsError, match="run 'agi-router key new' and set AGI_ROUTER_KEY_FI"):
        settings().load_keys()
    with pytest.raises(KeyRingError, match=r"^AGI_ROUTER_KEY: key ring, line 1") as caught:
        settings(KEY=SECRET).load_keys()
    assert SECRET not in str(caught.value)


def test_agi_secret(tmp_path: Path) -> None:
    """The same for the secret of FastAGI, which has to pass through a dialplan."""
    path = tmp_path / "secret"
    secret = "not-a-secret-0123456789"
    from_file = settings(AGI_SECRET_FILE=str(path))
    assert settings(AGI_SECRET=secret).load_agi_secret() == secret
    path.touch(0o600)
    path.write_text(f"[globals](+)\nAGI_ROUTER_AGI_SECRET={secret}\n")
    with pytest.raises(SettingsError, match="AGI_ROUTER_AGI_SECRET_FILE is malformed; expected"):
        from_file.load_agi_secret()
    path.write_text(f"{secret}\n")
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=r"AGI_ROUTER_AGI_SECRET_FILE is open to others"):
        from_file.load_agi_secret()
    path.chmod(0o600)
    assert from_file.load_agi_secret() == secret
    with pytest.raises(SettingsError, match="no secret for FastAGI is set: set AGI_ROUTER_AGI_S"):
        settings().load_agi_secret()
    with pytest.raises(SettingsError, match="set AGI_ROUTER_AGI_SECRET or"):
        settings(AGI_SECRET=secret, AGI_SECRET_FILE=str(path))
    assert secret not in repr(settings(AGI_SECRET=secret))
    assert secret not in str(settings(AGI_SECRET=secret).describe())


def test_ari_password(tmp_path: Path) -> None:
    """The password comes from the environment or the first line of a file."""
    path = tmp_path / "password"
    from_file = settings(ARI_PASSWORD_FILE=str(path))
    assert settings(ARI_PASSWORD=SECRET).load_ari_password() == SECRET
    for content, words in [
        (None, "AGI_ROUTER_ARI_PASSWORD_FILE cannot be read: No such file"),
        (b"secret", "AGI_ROUTER_ARI_PASSWORD_FILE is open to others .mode 0640.: run 'chmod 600"),
        (b"\n", "AGI_ROUTER_ARI_PASSWORD_FILE is empty"),
        (b"\xff", "AGI_ROUTER_ARI_PASSWORD_FILE is not text"),
    ]:
        if content is not None:
            path.write_bytes(content)
            path.chmod(0o640 if content == b"secret" else 0o600)
        with pytest.raises(SettingsError, match=words):
            from_file.load_ari_password()
    path.write_text(f"{SECRET}\nrest\n")
    assert from_file.load_ari_password() == SECRET
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(SettingsError, match="is not a regular file"):
        from_file.load_ari_password()
    with pytest.raises(SettingsError, match="set AGI_ROUTER_ARI_PASSWORD or"):
        settings().load_ari_password()


def test_the_page() -> None:
    """docs/settings.md is what ``python tests/settings_page.py`` writes."""
    assert page() == PAGE.read_text("utf-8")


def test_the_time_of_a_check() -> None:
    """It fits into that of a decision, with what writing it down takes; if anybody is asked."""
    assert settings(CHECK_TIMEOUT="0.3").check_timeout == 0.3
    assert settings(CHECK_URL="https://check.example", CHECK_TIMEOUT="0.2").check_timeout == 0.2
    with pytest.raises(SettingsError, match="CHECK_TIMEOUT must be shorter than AGI_ROUTER_DECI"):
        settings(CHECK_URL="https://check.example", CHECK_TIMEOUT="0.25")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://check.example"]
)
def test_real_numbers_go_to_a_check_unread(url: str) -> None:
    """On this host, or by https."""
    assert settings(CHECK_URL=url, CHECK_NUMBERS="on").check_numbers


@pytest.mark.parametrize("url", ["http://check.example", "http://10.0.0.1", "http://localhost.x"])
def test_real_numbers_go_to_no_check_that_others_read(url: str) -> None:
    """By http they would be in the clear."""
    assert settings(CHECK_URL=url).check_url == url
    with pytest.raises(SettingsError, match="give AGI_ROUTER_CHECK_URL by https"):
        settings(CHECK_URL=url, CHECK_NUMBERS="on")


def test_token_of_a_check(tmp_path: Path) -> None:
    """None, or the first line of a file; it cannot end a header."""
    path = tmp_path / "token"
    assert settings().load_check_token() is None
    path.touch(0o600)
    path.write_text("t0ken~of+the/check-service.==\n")
    from_file = settings(CHECK_TOKEN_FILE=str(path))
    assert from_file.load_check_token() == "t0ken~of+the/check-service.=="
    path.write_text("a token\n")
    with pytest.raises(SettingsError, match="CHECK_TOKEN_FILE is malformed") as raised:
        from_file.load_check_token()
    assert "a token" not in str(raised.value)


def test_nobody_to_be_asked_about_texts() -> None:
    """Is refused: texts would be taken that nobody has confirmed."""
    with pytest.raises(SettingsError, match="CHECK_TEXTS needs AGI_ROUTER_CHECK_URL"):
        settings(CHECK_TEXTS="on")
    assert settings(CHECK_TEXTS="on", CHECK_URL="https://check.example/").check_texts


def test_a_store_of_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it needs, by TLS but on this host; its secret is read from a closed file alone."""
    file = tmp_path / "s3"
    file.touch(0o600)
    file.write_text(f"id\n{SECRET}\n")
    whole = {
        "S3_ENDPOINT": "https://s3.example",
        "S3_BUCKET": "calls-2026",
        "S3_CREDENTIALS_FILE": str(file),
    }
    assert settings(**whole).load_s3_credentials() == ("id", SECRET)
    for name in whole:
        with pytest.raises(SettingsError, match=f"needs AGI_ROUTER_{name} too"):
            settings(**{**whole, name: ""})
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert settings(**{**whole, "S3_ENDPOINT": f"http://{host}:8333"})
    with pytest.raises(SettingsError, match="without TLS"):
        settings(**{**whole, "S3_ENDPOINT": "http://s3.example"})
    for text in ("", "id", f"id {SECRET} more"):
        file.write_text(text)
        with pytest.raises(SettingsError, match="S3_CREDENTIALS_FILE is malformed") as caught:
            settings(**whole).load_s3_credentials()
        assert SECRET not in str(caught.value)
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="is open to others"):
        settings(**whole).load_s3_credentials()
    # A door of another account has a copy, whatever its unit is called.
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    with pytest.raises(SettingsError, match="is open to others"):
        settings(**whole).load_s3_credentials()
    (tmp_path / "given").mkdir()
    copy = tmp_path / "given/s3"
    copy.touch(0o600)
    copy.write_text(f"id\n{SECRET}\n")
    assert settings(**whole).load_s3_credentials() == ("id", SECRET)

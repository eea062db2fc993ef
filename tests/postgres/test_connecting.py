"""Why a database cannot be reached or used, on real servers: told apart, and what to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from agi_router.db import connection as connections
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.prepared import PreparingConnection
from agi_router.errors import StoreUnavailable
from harness.database import ROLE, SOON, Server, on_each_version, on_the_oldest, until

SECRET = "hunter2"
WHERE = "AGI_ROUTER_DSN, or PGHOST and PGPORT"

HBA = """
local   all all                        peer
host    all locked_out 127.0.0.1/32    reject
host    all word       127.0.0.1/32    scram-sha-256
host    all nobody     127.0.0.1/32    scram-sha-256
host    all absent,no_login,crowded,agi_router,postgres 127.0.0.1/32 trust
"""

HBA_WITH_TLS = """
hostssl all certified  127.0.0.1/32    cert
hostssl all tls_only   127.0.0.1/32    trust
"""

NO_HBA = (
    "pg_hba.conf of the database does not let this host, role and database in: add a line to it"
    " and reload, or correct AGI_ROUTER_DSN or the PG… variables"
)
NO_HBA_WITHOUT = (
    "pg_hba.conf of the database does not let this host, role and database in without TLS: set"
    " sslmode=require or above (AGI_ROUTER_DSN or PGSSLMODE), or add a line to it"
)
NO_ROOM = (
    "the database has no connection left: raise its max_connections or the role's CONNECTION"
    " LIMIT, or lower AGI_ROUTER_DB_CONNECTIONS"
)
LOGIN = (
    "the database refuses the login: the password is wrong, or it has no such role; correct"
    " AGI_ROUTER_DSN, PGUSER, PGPASSWORD or the passfile"
)
MALFORMED = (
    "the database's connection string is malformed: correct AGI_ROUTER_DSN or the PG… variables"
)
NOT_ACCEPTED = (
    "the database's TLS certificate is not accepted: it must be valid today, from the authority in"
    " sslrootcert and, with verify-full, in the name of the host in AGI_ROUTER_DSN or PGHOST"
)
WANTS_CERTIFICATE = (
    "the database wants a TLS certificate of the client, and did not accept one: set sslcert and"
    " sslkey, from an authority and for a role that it knows"
)

# What is given besides, and what is said. Files are those of the fixture `tls`.
REASONS: dict[str, tuple[dict[str, str | int], str]] = {
    "wrong password": ({"user": "word", "password": SECRET}, LOGIN),
    "no such role, by password": ({"user": "nobody", "password": SECRET}, LOGIN),
    "no password": (
        {"user": "word", "passfile": "/nowhere"},
        (
            "the database wants a password, and there is none: set it in"
            " AGI_ROUTER_DSN, PGPASSWORD or"
            " a passfile (mode 0600)"
        ),
    ),
    "no such role": (
        {"user": "absent"},
        (
            "the database has no such role: create it, or correct the user in AGI_ROUTER_DSN or"
            " PGUSER"
        ),
    ),
    "no login": (
        {"user": "no_login"},
        (
            "the database's role may not log in: ALTER ROLE … LOGIN, or name another one"
            " (AGI_ROUTER_DSN or PGUSER)"
        ),
    ),
    "no such database": (
        {"dbname": "absent"},
        (
            "there is no such database: create it with ENCODING 'UTF8', or correct the name in"
            " AGI_ROUTER_DSN or PGDATABASE"
        ),
    ),
    "may not connect": (
        {"dbname": "private"},
        "the database's role may not connect to this database: GRANT CONNECT ON DATABASE … to it",
    ),
    "barred": (
        {"dbname": "barred"},
        (
            "the database is barred from connections: ALTER DATABASE …"
            " ALLOW_CONNECTIONS true, or name"
            " another one (AGI_ROUTER_DSN or PGDATABASE)"
        ),
    ),
    "rejected, without TLS": ({"user": "locked_out", "sslmode": "disable"}, NO_HBA_WITHOUT),
    # The server does not say whether it would let them in with it.
    "not in pg_hba, without TLS": ({"user": "unlisted", "sslmode": "disable"}, NO_HBA_WITHOUT),
    "peer": (
        {"host": "{home}", "user": "word"},
        (
            "the database takes the role from the user of the system, who is another"
            " one: run as that"
            " user, connect by host and password, or map the two in pg_ident.conf"
        ),
    ),
    "role is full": ({"user": "crowded"}, NO_ROOM),
    "database is full": ({"dbname": "crowded"}, NO_ROOM),
    "wrong sslmode": (
        {"sslmode": SECRET},
        (
            "the database's sslmode is none that exists: disable, allow, prefer,"
            " require, verify-ca and"
            " verify-full do (AGI_ROUTER_DSN or PGSSLMODE)"
        ),
    ),
    "wrong channel_binding": ({"channel_binding": SECRET}, MALFORMED),
    "wrong port": ({"port": SECRET}, MALFORMED),
    "no such service": ({"service": SECRET}, MALFORMED),
    "refused": (
        {"port": 1},
        (
            "the database cannot be reached: check that it runs, and listens at this host and port"
            f" ({WHERE}; listen_addresses of the server)"
        ),
    ),
    "no such host": (
        {"host": "nowhere.invalid"},
        (
            "the database's host is not found: correct its name (AGI_ROUTER_DSN or"
            " PGHOST), or look"
            " whether this machine can resolve names"
        ),
    ),
    "no socket": (
        {"host": "/nowhere"},
        (
            "the database's socket is not there: check that PostgreSQL runs on this"
            " machine and where"
            f" its unix_socket_directories are, or connect by host and port ({WHERE})"
        ),
    ),
    "of several hosts": (
        {"host": "127.0.0.1,127.0.0.1", "port": "1,{port}", "user": "word", "password": SECRET},
        LOGIN,
    ),
}

# Of a server with TLS, which the wheel's is not built with.
TLS_REASONS: dict[str, tuple[dict[str, str | int], str]] = {
    "rejected": ({"user": "locked_out"}, NO_HBA),
    "not in pg_hba": ({"user": "unlisted"}, NO_HBA),
    "key that all may read": (
        {"sslcert": "{root}", "sslkey": "{open_key}", "sslmode": "require"},
        (
            "the client certificate or its private key cannot be used: check that the"
            " files of sslcert"
            " and sslkey are there, belong together, and that nobody else may read the key"
        ),
    ),
    "only by TLS": ({"user": "tls_only", "sslmode": "disable"}, NO_HBA_WITHOUT),
    "no TLS root": (
        {"sslmode": "verify-full", "sslrootcert": "/nowhere"},
        (
            "TLS to the database needs the certificate of its authority: let sslrootcert or"
            " PGSSLROOTCERT name a file of it that can be read, or sslrootcert=system"
        ),
    ),
    "another authority": ({"sslmode": "verify-ca", "sslrootcert": "{other}"}, NOT_ACCEPTED),
    "another name": ({"sslmode": "verify-full", "sslrootcert": "{root}"}, NOT_ACCEPTED),
    "no client certificate": ({"user": "certified"}, WANTS_CERTIFICATE),
    "client certificate of nobody": (
        {"user": "certified", "sslcert": "{other}", "sslkey": "{other_key}"},
        WANTS_CERTIFICATE,
    ),
}


TLS_FILES = {"ssl_cert_file": "db.crt", "ssl_key_file": "db.key", "ssl_ca_file": "root.crt"}


def make_certificate(
    directory: Path, name: str, issuer: tuple[x509.Name, Any] | None = None
) -> tuple[x509.Name, Any]:
    """Write a key and its certificate, signed by another or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signing_key = issuer or (subject, key)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signing_key, hashes.SHA256())
    )
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = directory / f"{name}.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return subject, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's certificate of it in the name db, and another authority."""
    directory = tmp_path_factory.mktemp("tls")
    make_certificate(directory, "db", make_certificate(directory, "root"))
    make_certificate(directory, "other")
    shutil.copy(directory / "root.key", directory / "open.key")
    (directory / "open.key").chmod(0o644)
    return directory


@pytest.fixture(scope="module")
def gate(request: pytest.FixtureRequest, certificates: Path) -> Iterator[Server]:
    """A server that is particular about whom it lets in."""
    with Server(request.param) as running:
        with_tls = running.version == "15"
        owner = running.data.stat()
        for name in TLS_FILES.values():
            shutil.copy(certificates / name, running.data / name)
            os.chown(running.data / name, owner.st_uid, owner.st_gid)
        (running.data / "db.key").chmod(0o600)
        with running.admin() as admin:
            for role in ("certified", "tls_only", "locked_out", "unlisted"):
                admin.execute(f"CREATE ROLE {role} LOGIN")
            admin.execute(f"CREATE ROLE word LOGIN PASSWORD '{SECRET}-not'")
            admin.execute("CREATE ROLE no_login")
            admin.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
            admin.execute("CREATE DATABASE private")
            admin.execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC")
            admin.execute("CREATE DATABASE barred ALLOW_CONNECTIONS false")
            admin.execute("CREATE DATABASE crowded CONNECTION LIMIT 0")
            for name, value in (
                ("max_connections", "8"),
                ("superuser_reserved_connections", "2"),
                *((("ssl", "on"), *TLS_FILES.items()) if with_tls else ()),
            ):
                admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        (running.data / "pg_hba.conf").write_text(HBA_WITH_TLS + HBA if with_tls else HBA)
        running.stop_smartly()
        running.wait()
        running.start()
        yield running


def asked(gate: Server, certificates: Path, more: dict[str, str | int]) -> str:
    """Return a connection string with *more*, where places are named by what stands in braces."""
    place = {
        "home": gate.data.parent,
        "port": psycopg.conninfo.conninfo_to_dict(gate.dsn(""))["port"],
        "root": certificates / "root.crt",
        "other": certificates / "other.crt",
        "other_key": certificates / "other.key",
        "open_key": certificates / "open.key",
    }
    given = {k: v.format(**place) if isinstance(v, str) else v for k, v in more.items()}
    return make_conninfo(gate.dsn("postgres"), **{"passfile": "/nowhere", **given})


@on_each_version
@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_told(gate: Server, certificates: Path, reason: str) -> None:
    """Each in words of its own, and nothing of what the server or libpq says."""
    more, words = REASONS[reason]
    with pytest.raises(StoreUnavailable) as told:
        connect(asked(gate, certificates, more))
    assert str(told.value) == words


@on_the_oldest
@pytest.mark.parametrize("reason", TLS_REASONS)
def test_each_reason_of_tls_is_told(gate: Server, certificates: Path, reason: str) -> None:
    """Likewise what TLS says."""
    more, words = TLS_REASONS[reason]
    with pytest.raises(StoreUnavailable) as told:
        connect(asked(gate, certificates, more))
    assert str(told.value) == words


@on_the_oldest
def test_it_lets_in_by_tls(gate: Server, certificates: Path) -> None:
    """What is refused above is refused for its reason only."""
    connect(asked(gate, certificates, {"user": "tls_only"})).close()
    connect(asked(gate, certificates, {"sslmode": "verify-ca", "sslrootcert": "{root}"})).close()


@on_each_version
def test_it_lets_in_who_may(gate: Server, certificates: Path) -> None:
    """Likewise."""
    connect(asked(gate, certificates, {"user": "word", "password": f"{SECRET}-not"})).close()


@on_each_version
def test_every_connection_is_in_use(gate: Server) -> None:
    """Those left for superusers too."""
    with contextlib.ExitStack() as stack:
        for user in (ROLE, "postgres"):
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(gate.connect(gate.dsn("postgres", user=user)))
            with pytest.raises(StoreUnavailable) as told:
                connect(gate.dsn("postgres", user=user))
            assert str(told.value) == NO_ROOM
    until(lambda: _free(gate))


def _free(gate: Server) -> bool:
    """Whether all of them have left again."""
    with contextlib.suppress(psycopg.OperationalError), gate.admin() as admin:
        count = admin.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE usename IS NOT NULL"
        )
        row = count.fetchone()
        return row is not None and row["n"] <= 2
    return False


def test_a_server_without_tls(server: Server) -> None:
    """It is said which side is to be changed."""
    with pytest.raises(StoreUnavailable) as told:
        connect(make_conninfo(server.dsn("postgres"), sslmode="require"))
    assert str(told.value) == (
        "the database speaks no TLS, and sslmode requires it: turn ssl on in its postgresql.conf,"
        " or lower sslmode (AGI_ROUTER_DSN or PGSSLMODE) on a line that nobody can listen to"
    )


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Serve a port where something else answers, or nothing does and the line closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(15)

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(4096)
                if answer is not None:
                    line.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            f"what answers there is no PostgreSQL: correct host and port ({WHERE})",
        ),
        (
            None,
            (
                "the database closed the connection: it was restarted or has failed, or"
                " what answers"
                " there is no PostgreSQL; its log says which"
            ),
        ),
    ],
)
def test_something_else_answers(answer: bytes | None, words: str) -> None:
    """A port of something else is told from a database that is away."""
    with answering(answer) as port, pytest.raises(StoreUnavailable) as told:
        connect(f"host=127.0.0.1 port={port} dbname=x user=x sslmode=disable gssencmode=disable")
    assert str(told.value) == words


def test_it_starts_up_and_shuts_down(version: str) -> None:
    """A server that is about to end, and one that is not ready yet or serves no readers."""
    with Server(version) as running:
        dsn = running.dsn("postgres")
        with running.admin() as admin:
            running.stop_smartly()
            until(lambda: _said(dsn).startswith("the database is shutting down"))
            assert _said(dsn) == "the database is shutting down: start it again"
            admin.execute("SELECT 1")
        running.wait()
        # It asks for a log that never comes.
        running.configure("restore_command = 'sleep 0.1; false'", "hot_standby = off")
        (running.data / "standby.signal").touch()
        running.start(serving=False)
        seen: set[str] = set()

        def refused_to_readers() -> bool:
            seen.add(_said(dsn))
            return READ_ONLY in seen

        until(refused_to_readers)
        assert seen <= {STARTING, READ_ONLY, REFUSED}


STARTING = (
    "the database is starting up: wait, it is tried again; where that takes long, its log says"
    " what it recovers"
)
READ_ONLY = (
    "the database takes no writes: it is a hot standby, or default_transaction_read_only is on;"
    f" name the host that takes writes ({WHERE}), or let this one take them"
)
REFUSED = REASONS["refused"][1]


def _said(dsn: str) -> str:
    try:
        connect(dsn).close()
    except StoreUnavailable as error:
        return str(error)
    return ""


def test_a_server_that_speaks_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's is translated, and says even before the login what its own language is."""
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    with Server("15") as running:
        running.configure("lc_messages = 'C.UTF-8'")
        with running.admin() as admin:
            admin.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
            admin.execute("CREATE ROLE word LOGIN PASSWORD 'another'")
        (running.data / "pg_hba.conf").write_text(HBA)
        running.stop_smartly()
        running.wait()
        running.start()
        dsn = running.dsn("postgres")
        with pytest.raises(psycopg.OperationalError, match="致命错误"):
            running.connect(make_conninfo(dsn, dbname="absent"))
        for reason in ("no such database", "no such role", "wrong password", "role is full"):
            more, words = REASONS[reason]
            assert _said(make_conninfo(dsn, **more)) == words
        assert _said(make_conninfo(dsn, user="unlisted")) == NO_HBA_WITHOUT


class Late:
    """What ends a session, but only when that has done its transaction."""

    def __init__(self, place: str, of: Connection) -> None:
        self._place, self._of = place, of
        self.begun = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left."""

    def execute(self, statement: bytes, values: dict[str, int]) -> None:
        """End it."""
        self.begun.set()
        until(lambda: self._of.info.transaction_status is TransactionStatus.IDLE)
        with connect(self._place) as other:
            other.execute(statement, values)


def test_a_session_that_is_ended_as_its_transaction_is(
    connection: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is done, and what comes next has a session of its own."""
    queries, late = Queries(connection), Late(dsn, connection)
    with monkeypatch.context() as instead:
        instead.setattr(connections, "connect", lambda _: late)
        with queries.transaction_until(0.01):
            assert late.begun.wait(SOON)
    with queries.renewed() as again:
        assert again.row("find_chain_end", {}) is not None


def test_done_anew_where_another_was_in_the_way(dsn: str) -> None:
    """A transaction by itself is; within one that is under way only that could be."""
    change = "UPDATE agi_router.tenant SET active = active"
    with connect(dsn) as connection, connect(dsn) as other:
        queries = Queries(connection)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        overtaken: list[None] = []

        def work() -> int:
            with queries.transaction(), connections.translated():
                connection.execute("SELECT 1 FROM agi_router.tenant")
                if not overtaken:
                    other.execute(change)
                    overtaken.append(None)
                return connection.execute(change).rowcount

        assert queries.again(work) == 1
        overtaken.clear()
        with pytest.raises(StoreUnavailable, match="40001"), queries.transaction():
            queries.again(work)


@pytest.fixture
def short(dsn: str) -> Iterator[PreparingConnection]:
    """A connection that has statements run on the short way."""
    with connect(dsn) as connection:
        assert isinstance(connection, PreparingConnection)
        yield connection


def test_the_server_has_forgotten_a_statement(
    short: PreparingConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does where a transaction is undone; then it is told anew, and nothing fails."""
    asked = {"tenant": "default", "scope": None}
    assert short.fetch("find_told", asked)[0]["told"] == []
    with contextlib.suppress(ZeroDivisionError), short.transaction():
        # Prepared by psycopg as well: so it has the server forget.
        short.execute("SELECT 1", prepare=True)
        raise ZeroDivisionError
    known = "SELECT 1 FROM pg_prepared_statements WHERE name = 'find_told'"
    assert short.execute(known).fetchone() is None
    with monkeypatch.context() as patch:
        # What fails is in the server's log, and calls who looks after it.
        patch.setattr(psycopg.errors, "InvalidSqlStatementName", ZeroDivisionError)
        assert short.fetch("find_told", asked)[0]["told"] == []
    assert short.execute(known).fetchone() is not None
    # By whoever else: it is told anew as well.
    short.execute("DEALLOCATE ALL")
    assert short.fetch("find_told", asked)[0]["told"] == []
    assert short.idle


def test_what_fails_on_the_short_way(short: PreparingConnection, dsn: str) -> None:
    """It is told as a cursor would tell it, and the next statement is as if nothing had been."""
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        short.fetch("end_session", {"backend": "no number"})
    with pytest.raises(psycopg.DataError):
        short.fetch("find_told", {"tenant": "default\0", "scope": None})
    assert short.fetch("find_told", {"tenant": "default", "scope": None})
    with connect(dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (short.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        short.fetch("find_told", {"tenant": "default", "scope": None})


def test_whoever_is_interrupted_has_it_cancelled(short: PreparingConnection, dsn: str) -> None:
    """By Ctrl-C, as somebody else's lock is waited for: the session goes on."""
    assert short.fetch("find_told", {"tenant": "default", "scope": None})
    main = threading.get_ident()

    def interrupt() -> None:
        with connect(dsn) as watch:
            waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
            until(lambda: watch.execute(waits, (short.info.backend_pid,)).fetchone() is not None)
        signal.pthread_kill(main, signal.SIGINT)

    with connect(dsn) as other, other.transaction():
        other.execute("SELECT 1 FROM agi_router.tenant FOR UPDATE")
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            short.fetch("find_told", {"tenant": "default", "scope": None})
        thread.join()
    assert short.fetch("find_told", {"tenant": "default", "scope": None})

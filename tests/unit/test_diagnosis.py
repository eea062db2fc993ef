"""Why a connection or a statement failed, in words: what libpq and servers are known to say."""

from __future__ import annotations

import pytest

from agi_router.db.diagnosis import POOLER, READ_ONLY, why_failed, why_not_connected

AGAIN = "nothing was changed; do it again"
AT = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '
SOCKET = (
    'connection failed: connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed: '
)

TEXTS = {
    # libpq of itself.
    "[Errno -2] Name or service not known": "host is not found",
    "failed to resolve host 'db.invalid': [Errno -3] Temporary failure in name resolution": (
        "host is not found"
    ),
    'could not translate host name "db.invalid" to address: Name or service not known': (
        "host is not found"
    ),
    AT + "Connection refused\n\tIs the server running on that host?": "cannot be reached",
    AT + "No route to host": "does not answer",
    AT + "timeout expired": "does not answer",
    "connection timeout expired": "does not answer",
    SOCKET + "No such file or directory\n\tIs the server running locally?": "socket is not there",
    SOCKET + "Connection refused": "socket is not there",
    SOCKET + "Permission denied": "socket may not be used",
    'invalid sslmode value: "on"': "sslmode is none that exists",
    'invalid channel_binding value: "x"': "malformed",
    'invalid connection option "hunter2"': "malformed",
    'missing "=" after "hunter2" in connection info string': "malformed",
    'invalid port number: "x"': "malformed",
    'definition of service "x" not found': "malformed",
    'root certificate file "/root/.postgresql/root.crt" does not exist': "of its authority",
    'private key file "k" has group or world access': "private key cannot be used",
    AT + "server does not support SSL, but SSL was required": "speaks no TLS",
    AT + "SSL error: certificate verify failed": "certificate is not accepted",
    AT + 'server certificate for "a" does not match host name "b"': "certificate is not accepted",
    AT + "SSL error: tlsv1 alert unknown ca": "certificate of the client",
    AT + "SSL error: wrong version number": "TLS with the database failed",
    AT + "channel binding required but not supported": "less protection",
    AT + "fe_sendauth: no password supplied": "wants a password",
    AT + "session is read-only": "takes no writes",
    AT + "expected authentication request from server, but received H": "is no PostgreSQL",
    AT + "received invalid response to SSL negotiation: H": "is no PostgreSQL",
    AT + "server closed the connection unexpectedly": "closed the connection",
    "the connection is lost": "closed the connection",
    # The server.
    AT + 'FATAL:  password authentication failed for user "u"': "refuses the login",
    AT + 'FATAL:  role "u" does not exist': "no such role",
    AT + 'FATAL:  role "u" is not permitted to log in': "may not log in",
    AT + 'FATAL:  database "d" does not exist': "no such database",
    AT + 'FATAL:  permission denied for database "d"\nDETAIL:  User does not have CONNECT': (
        "may not connect"
    ),
    AT + 'FATAL:  database "d" is not currently accepting connections': "barred",
    AT + 'FATAL:  no pg_hba.conf entry for host "h", user "u", database "d", no encryption': (
        "without TLS"
    ),
    AT + 'FATAL:  no pg_hba.conf entry for host "h", user "u", database "d", SSL encryption': (
        "pg_hba.conf of the database does not let"
    ),
    AT + 'FATAL:  pg_hba.conf rejects connection for host "h", user "u", database "d"': (
        "pg_hba.conf of the database does not let"
    ),
    SOCKET + 'FATAL:  Peer authentication failed for user "u"': "user of the system",
    AT + "FATAL:  connection requires a valid client certificate": "certificate of the client",
    AT + "FATAL:  sorry, too many clients already": "no connection left",
    AT + 'FATAL:  too many connections for role "u"': "no connection left",
    AT + "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER": (
        "no connection left"
    ),
    AT + "FATAL:  the database system is starting up": "is starting up",
    AT + "FATAL:  the database system is not yet accepting connections": "is starting up",
    AT + "FATAL:  the database system is in recovery mode": "is starting up",
    AT + "FATAL:  the database system is shutting down": "is shutting down",
    AT + "FATAL:  the database system is not accepting connections\nDETAIL:  Hot standby mode": (
        "takes no writes"
    ),
    AT + 'FATAL:  unrecognized configuration parameter "exit_on_error"': "does not take a setting",
    AT + 'FATAL:  permission denied to set parameter "lc_messages"': "does not take a setting",
    AT + "FATAL:  unsupported frontend protocol 3.0: server supports 2.0 to 2.0": (
        "another version of the protocol"
    ),
    # PgBouncer.
    AT + "FATAL:  unsupported startup parameter: options": "pooler",
    AT + "FATAL:  unsupported startup parameter in options: timezone": "pooler",
    AT + "FATAL:  no such database: agi": "pooler",
    AT + "FATAL:  query_wait_timeout": "pooler",
    AT + "FATAL:  no more connections allowed (max_client_conn)": "pooler",
    # A server that speaks Chinese.
    AT + '致命错误:  用户 "u" Password 认证失败': "refuses the login",
    AT + '致命错误:  角色 "u" 不存在': "no such role",
    AT + '致命错误:  不允许角色"u" 进行登录': "may not log in",
    AT + '致命错误:  数据库 "d" 不存在': "no such database",
    AT + '致命错误:  访问数据库"d"的权限不够': "may not connect",
    AT + '致命错误:  没有用于主机 "h", 用户 "u", 数据库 "d", SSL加密 的 pg_hba.conf 记录': (
        "pg_hba.conf of the database does not let"
    ),
    AT + "致命错误:  对不起, 已经有太多的客户": "no connection left",
    AT + "致命错误:  数据库系统启动中": "is starting up",
    AT + "致命错误:  数据库系统停止中": "is shutting down",
    # What nobody knows.
    AT + "FATAL:  hunter2": "does not know",
    "": "does not know",
}


@pytest.mark.parametrize(("text", "words"), TEXTS.items())
def test_a_connection_that_fails(text: str, words: str) -> None:
    """Each cause has words of its own, and none of the text."""
    said = why_not_connected(text)
    assert words in said
    assert "hunter2" not in said
    assert '"u"' not in said


def test_of_several_hosts_the_fault_that_says_most() -> None:
    """A password that is wrong on one is told, not that another one is down."""
    text = (
        f"{AT}Connection refused\nMultiple connection attempts failed. All failures were:\n- {AT}"
        'FATAL:  password authentication failed for user "u"'
    )
    assert "refuses the login" in why_not_connected(text)


@pytest.mark.parametrize(
    ("sqlstate", "words"),
    [
        ("25006", f"{READ_ONLY} (25006)"),
        ("42P05", f"{POOLER} (42P05)"),
        ("53100", "the database's disk is full: make room (53100)"),
        (
            "57014",
            f"the database gave a statement up, which took too long: {AGAIN} (57014)",
        ),
        ("23514", "what was asked for breaks a rule of the database (23514)"),
        ("58030", "the database's machine failed: look into its log, and at its disks (58030)"),
        ("0A000", "the database failed: look into its log (0A000)"),
        (None, "the database failed, and does not say why: look into its log"),
    ],
)
def test_a_statement_that_fails(sqlstate: str | None, words: str) -> None:
    """Words come first, and say what to do; the SQLSTATE is for who looks it up."""
    assert why_failed(sqlstate) == words

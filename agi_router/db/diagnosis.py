"""
Why the database does not serve, in our words: of a connection that fails, and of a statement.

1. libpq has a text for a connection that fails, and nothing else: no SQLSTATE comes out of it. So
   the text is recognised by patterns, the server's part of it in English and in Chinese, as
   PostgreSQL 15 to 18 and PgBouncer write it.
2. Nothing of the text is handed on: it may hold a password, and what a server says is not ours.
3. The order counts: of several hosts each has its own fault in one text, and the fault that stands
   first here is the one that says most.
"""

import re
from typing import Final

__all__ = ["NO_STANDBY", "POOLER", "READ_ONLY", "why_failed", "why_not_connected"]


class _Cause:
    """
    One reason why a connection fails, and the patterns by which it is recognised.
    """

    def __init__(self, words: str, *patterns: str) -> None:
        self.words = words
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE)

    def seen(self, text: str) -> bool:
        """
        Whether *text* tells of it.
        """
        return self._pattern.search(text) is not None


_WHERE: Final = "AGI_ROUTER_DSN, or PGHOST and PGPORT"

POOLER: Final = (
    "a connection pooler stands between the program and PostgreSQL, which keeps neither the"
    f" settings of a session nor its statements: connect to PostgreSQL itself ({_WHERE})"
)

READ_ONLY: Final = (
    "the database takes no writes: it is a hot standby, or default_transaction_read_only is on;"
    f" name the host that takes writes ({_WHERE}), or let this one take them"
)

NO_STANDBY: Final = (
    "commits wait for a standby, and none that synchronous_standby_names asks for answers: start"
    " one again, or take it from the setting (docs/operate-many.md, A standby)"
)

_NO_ROOM: Final = (
    "the database has no connection left: raise its max_connections or the role's CONNECTION"
    " LIMIT, or lower AGI_ROUTER_DB_CONNECTIONS"
)

_CAUSES: Final = (
    # What the program has seen itself.
    _Cause(NO_STANDBY, r"commits wait for a standby"),
    # A pooler, before what PostgreSQL itself says of parameters.
    _Cause(
        POOLER,
        r"unsupported startup parameter",
        r"pgbouncer",
        r"no such database: ",
        r"no such user: ",
        r"server login has been failing",
        r"query_wait_timeout",
        r"max_client_conn",
    ),
    # What is wrong with the connection string, or with a file it names.
    _Cause(
        "the database's sslmode is none that exists: disable, allow, prefer, require,"
        " verify-ca and verify-full do (AGI_ROUTER_DSN or PGSSLMODE)",
        r"invalid sslmode value",
    ),
    _Cause(
        "the database's connection string is malformed: correct AGI_ROUTER_DSN or the PG…"
        " variables",
        r"definition of service .* not found",
        r"service file",
        r"invalid connection option",
        r"invalid integer value",
        r"invalid port number",
        r"invalid [a-z_]+ value",
        r"invalid URI",
        r"invalid percent-encoded",
        r"could not match \d+ ",
        r'missing "="',
        r"unterminated quoted",
        r"unexpected character .* in URI",
    ),
    _Cause(
        "TLS to the database needs the certificate of its authority: let sslrootcert or"
        " PGSSLROOTCERT name a file of it that can be read, or sslrootcert=system",
        r"root certificate file .* does not exist",
        r"no root certificate",
        r"could not read root certificate",
        r"weak sslmode",
    ),
    _Cause(
        "the client certificate or its private key cannot be used: check that the files"
        " of sslcert and sslkey are there, belong together, and that nobody else may read"
        " the key",
        r"private key file",
        r"could not load private key",
        r"could not read certificate file",
        r"certificate present, but not private key",
        r"certificate does not match private key",
    ),
    # What TLS says.
    _Cause(
        "the database speaks no TLS, and sslmode requires it: turn ssl on in its"
        " postgresql.conf, or lower sslmode (AGI_ROUTER_DSN or PGSSLMODE) on a line that"
        " nobody can listen to",
        r"server does not support SSL",
        r"SSL was required but",
    ),
    _Cause(
        "the database's TLS certificate is not accepted: it must be valid today, from the"
        " authority in sslrootcert and, with verify-full, in the name of the host in"
        " AGI_ROUTER_DSN or PGHOST",
        r"does not match host name",
        r"certificate verify failed",
        r"certificate has expired",
    ),
    _Cause(
        "the database wants a TLS certificate of the client, and did not accept one: set"
        " sslcert and sslkey, from an authority and for a role that it knows",
        r"valid client certificate",
        r"有效的客户端认证",
        r"alert certificate required",
        r"alert unknown ca",
        r"alert bad certificate",
        r"alert certificate (?:expired|unknown|revoked)",
        r"certificate authentication failed",
        r"的认证鉴权失败",
    ),
    _Cause(
        "the database offers less protection than channel_binding or gssencmode asks for:"
        " lower them in AGI_ROUTER_DSN or the PG… variables, or use TLS",
        r"channel binding",
        r"GSSAPI encryption",
    ),
    _Cause(
        "TLS with the database failed: compare sslmode, ssl_min_protocol_version and"
        " sslnegotiation of both sides",
        r"SSL error",
        r"SSL SYSCALL",
        r"SSL exchange",
        r"unencrypted data after SSL",
    ),
    # Who may come in.
    _Cause(
        "pg_hba.conf of the database does not let this host, role and database in without"
        " TLS: set sslmode=require or above (AGI_ROUTER_DSN or PGSSLMODE), or add a line"
        " to it",
        # Not where it was refused with TLS, too.
        r"\A(?!(?s:.)*SSL encryption)(?s:.)*(?:pg_hba\.conf.*no encryption|no encryption.*pg_hba)",
    ),
    _Cause(
        "pg_hba.conf of the database does not let this host, role and database in: add a"
        " line to it and reload, or correct AGI_ROUTER_DSN or the PG… variables",
        r"pg_hba\.conf",
    ),
    _Cause(
        "the database wants a password, and there is none: set it in AGI_ROUTER_DSN,"
        " PGPASSWORD or a passfile (mode 0600)",
        r"no password supplied",
    ),
    _Cause(
        "the database takes the role from the user of the system, who is another one: run"
        " as that user, connect by host and password, or map the two in pg_ident.conf",
        r"peer authentication failed",
        r"ident authentication failed",
        r"对等认证失败",
        r"Ident 认证失败",
    ),
    _Cause(
        "the database's role may not log in: ALTER ROLE … LOGIN, or name another one"
        " (AGI_ROUTER_DSN or PGUSER)",
        r"role .* is not permitted to log in",
        r"不允许角色",
    ),
    _Cause(
        "the database has no such role: create it, or correct the user in AGI_ROUTER_DSN"
        " or PGUSER",
        r'role "[^\n]*" does not exist',
        r'角色 ?"[^\n]*" ?不存在',
    ),
    _Cause(
        "the database refuses the login: the password is wrong, or it has no such role;"
        " correct AGI_ROUTER_DSN, PGUSER, PGPASSWORD or the passfile",
        r"password authentication failed",
        r"authentication failed",
        r"认证失败",
        r"unsupported authentication",
        r"authentication method requirement",
        r"SCRAM",
    ),
    _Cause(
        "the database's role may not connect to this database: GRANT CONNECT ON DATABASE … to it",
        r"permission denied for database",
        r"CONNECT privilege",
        r"CONNECT权限",
        r"访问数据库[^\n]*权限不够",
    ),
    _Cause(
        "there is no such database: create it with ENCODING 'UTF8', or correct the name"
        " in AGI_ROUTER_DSN or PGDATABASE",
        r'database "[^\n]*" does not exist',
        r'数据库 ?"[^\n]*" ?不存在',
    ),
    _Cause(
        "the database is barred from connections: ALTER DATABASE … ALLOW_CONNECTIONS"
        " true, or name another one (AGI_ROUTER_DSN or PGDATABASE)",
        r"is not currently accepting connections",
        r"当前不接受联接",
    ),
    # Whether there is room, and time.
    _Cause(
        _NO_ROOM,
        r"too many (?:clients|connections)",
        r"connection slots are reserved",
        r"太多的客户",
        r"连接太多了",
        r"连接位置",
        r"No more connections allowed",
        r"could not fork new process",
        r"无法为联接派生",
    ),
    _Cause(
        "the database is starting up: wait, it is tried again; where that takes long, its"
        " log says what it recovers",
        r"starting up",
        r"in recovery mode",
        r"not yet accepting connections",
        r"recovery state",
        r"启动中",
        r"恢复模式",
    ),
    _Cause(
        "the database is shutting down: start it again",
        r"shutting down",
        r"administrator command",
        r"停止中",
        r"正在关闭",
        r"管理员命令",
    ),
    _Cause(
        READ_ONLY,
        r"hot standby mode is disabled",
        r"session is read-only",
        r"is in hot standby mode",
        r"not accepting connections",
    ),
    _Cause(
        "the database does not take a setting that a session begins with: it must be"
        " PostgreSQL 15 or later, and role and database free of malformed settings (\\drds"
        " in psql)",
        r"unrecognized configuration parameter",
        r"permission denied to set parameter",
        r"invalid value for parameter",
        r"invalid command-line argument",
        r"未认可的配置参数",
        r"设置参数[^\n]*权限不允许",
        r"的值无效",
    ),
    _Cause(
        "the database speaks another version of the protocol: it must be PostgreSQL 15 or later",
        r"unsupported frontend protocol",
        r"不支持的前端协议",
        r"protocol version",
    ),
    # Whether somebody is there at all.
    _Cause(
        f"what answers there is no PostgreSQL: correct host and port ({_WHERE})",
        r"expected authentication request",
        r"invalid response to (?:SSL|GSSAPI)",
        r"unexpected message from server",
        r"lost synchronization",
    ),
    _Cause(
        "the database's host is not found: correct its name (AGI_ROUTER_DSN or PGHOST),"
        " or look whether this machine can resolve names",
        r"could not translate host name",
        r"failed to resolve host",
        r"Name or service not known",
        r"Temporary failure in name resolution",
        r"could not parse network address",
    ),
    _Cause(
        "the database's socket is not there: check that PostgreSQL runs on this machine"
        " and where its unix_socket_directories are, or connect by host and port"
        f" ({_WHERE})",
        r"on socket [^\n]*(?:No such file or directory|Connection refused)",
    ),
    _Cause(
        "the database's socket may not be used by this user: look at"
        " unix_socket_permissions and at who runs the program",
        r"on socket [^\n]*Permission denied",
        r"passwords? file",
    ),
    _Cause(
        "the database's host does not answer: check that it is up, that host and port are"
        f" right ({_WHERE}), and that no firewall is between",
        r"timeout expired",
        r"timed out",
        r"No route to host",
        r"Network is unreachable",
        r"Host is unreachable",
    ),
    _Cause(
        "the database cannot be reached: check that it runs, and listens at this host and"
        f" port ({_WHERE}; listen_addresses of the server)",
        r"Connection refused",
    ),
    _Cause(
        "the database closed the connection: it was restarted or has failed, or what"
        " answers there is no PostgreSQL; its log says which",
        r"closed the connection unexpectedly",
        r"Connection reset by peer",
        r"Broken pipe",
        r"connection is (?:lost|closed)",
        r"could not receive data",
        r"could not send",
    ),
)

_UNKNOWN: Final = (
    "the database cannot be reached, for a reason that the program does not know: try psql with"
    " the same settings (AGI_ROUTER_DSN or the PG… variables), and look into the server's log"
)

_AGAIN: Final = "nothing was changed; do it again"

# By SQLSTATE, or by its class, the first two characters.
_STATES: Final[dict[str, str]] = {
    "08": "the connection to the database was lost",
    "22": "the database did not accept a value",
    "22021": "the database did not accept a character: its encoding must be UTF8",
    "22P05": "the database did not accept a character: its encoding must be UTF8",
    "23": "what was asked for breaks a rule of the database",
    "25006": READ_ONLY,
    "25P02": "an earlier statement of the transaction failed",
    "25P03": "the database ended a transaction that waited too long",
    "25P04": "the database ended a transaction that took too long",
    "26000": POOLER,
    "28": "the database refuses the login: correct AGI_ROUTER_DSN, PGUSER or PGPASSWORD",
    "3D000": "there is no such database: correct the name in AGI_ROUTER_DSN or PGDATABASE",
    "40": f"another program changed the same rows at this moment: {_AGAIN}",
    "40P01": f"another program locked the same rows in another order: {_AGAIN}",
    "42": "the database refused a statement: run 'agi-router db status' to see whether it fits",
    "42501": "the database's role may not do this: let the owner of the schema grant it",
    "42P05": POOLER,
    "53": "the database is short of something: look into its log",
    "53100": "the database's disk is full: make room",
    "53200": "the database is out of memory: give it more, or ask less of it at once",
    "53300": _NO_ROOM,
    "54": "a limit of the database was reached: look into its log",
    "55": "what was asked for is in use by somebody else: try again later",
    "55P03": f"another program holds the same rows: {_AGAIN}",
    "57": "the database does not serve: try again later",
    "57014": f"the database gave a statement up, which took too long: {_AGAIN}",
    "57P01": "the database does not serve, it is shutting down: try again later",
    "57P02": "the database does not serve, it has crashed and recovers: try again later",
    "57P03": "the database does not serve, it is starting up or shutting down: try again later",
    "57P05": "the database ended a connection that was idle for too long",
    "58": "the database's machine failed: look into its log, and at its disks",
    "XX": "the database failed by itself: look into its log",
    "XX001": "the database has found damaged data: look into its log, and at its disks",
    "XX002": "the database has found a damaged index: look into its log, and REINDEX it",
}


def why_not_connected(text: str) -> str:
    """
    Why a connection failed or was lost, and what to do.

    Args:
        text: What libpq says. Nothing of it is in the result.
    """
    return next((cause.words for cause in _CAUSES if cause.seen(text)), _UNKNOWN)


def why_failed(sqlstate: str | None) -> str:
    """
    Why a statement failed, and what to do; the SQLSTATE stands at the end.
    """
    if sqlstate is None:
        return "the database failed, and does not say why: look into its log"
    words = (
        _STATES.get(sqlstate)
        or _STATES.get(sqlstate[:2])
        or "the database failed: look into its log"
    )
    return f"{words} ({sqlstate})"

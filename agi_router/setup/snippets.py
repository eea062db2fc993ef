"""
What an installation consists of, as text: Asterisk's files, the database's, our own.

Rules for the editor:

1. Pure: nothing is read or written here; ``host`` and ``cli/setup`` do.
2. What :func:`asterisk_files` makes of Debian's own configuration passes ``agi-router doctor``:
   the tier ``install`` makes calls through it.
3. Nothing real: addresses in examples are those of RFC 5737.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from agi_router.pbx.rules import (
    ENDPOINT_RULES,
    ENTRY_CONTEXT,
    GLOBAL_RULES,
    LISTING_MODULE,
    MODULE_RULES,
    NEEDED_MODULES,
)
from agi_router.setup import conf_text

__all__ = [
    "EDITED",
    "HTTP_USER",
    "OWN",
    "OWNER",
    "USER",
    "Site",
    "asterisk_files",
    "database_sql",
    "env_file",
    "fastagi_env",
    "http_env",
    "http_instance",
    "pg_hba",
    "pg_ident",
    "restored_files",
    "unit_file",
    "wrapper",
]

HTTP_USER = "agi-router-http"
"""The account of the HTTP door; it comes into the database as :data:`USER`."""

USER = "agi-router"
"""The account that serves, and its role in the database."""

OWNER = "agi-router-owner"
"""The role that owns the schema and migrates it."""

_CARRIER = "agi-router-carrier"
_TRUNK = "agi-router-trunk"
_TRANSPORT = "agi-router-udp"
# Modules of FastAGI, and others that a masked call needs where modules are loaded one by one.
_MORE_MODULES = (
    "func_sha1.so",
    "res_agi.so",
    "res_mutestream.so",
    "res_speech.so",
    "res_pjproject.so",
    "res_pjsip_session.so",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    What is an operator's own.

    Attributes:
        name: The PBX's, unlike that of any other: it begins all call ids.
        carriers: Addresses from which the carrier's calls come.
        trunk: Address to which calls go out, with a port if it is not 5060.
        modules: Names of the modules that this Asterisk could load.
        ari_password: By which the router comes to ARI.
        agi_secret: By which Asterisk comes to FastAGI.
        dialplan: Text of ``agi_router.conf``.
    """

    name: str
    carriers: Sequence[str]
    trunk: str
    modules: frozenset[str]
    ari_password: str = field(repr=False)
    agi_secret: str = field(repr=False)
    dialplan: str = field(repr=False)


EDITED = (
    "extensions.conf",
    "modules.conf",
    "logger.conf",
    "http.conf",
    "ari.conf",
    "manager.conf",
    "asterisk.conf",
    "pjproject.conf",
    "pjsip.conf",
)
"""The files of Asterisk that are changed; each may be missing."""

OWN = ("agi_router.conf", "agi_router_secret.conf")
"""The files of Asterisk that are ours alone."""


def asterisk_files(files: Mapping[str, str], site: Site) -> dict[str, str]:
    """
    Asterisk's configuration with what masked calls need.

    Args:
        files: The files of :data:`EDITED` by name, as they are; a missing one is empty.
        site: What is the operator's own.

    Returns:
        The same files changed, and those that are ours alone.
    """
    before = restored_files(files)
    changes = {
        "extensions.conf": _extensions,
        "modules.conf": _modules,
        "logger.conf": _logger,
        "http.conf": _http,
        "ari.conf": _ari,
        "manager.conf": _manager,
        "asterisk.conf": _asterisk,
        "pjproject.conf": _pjproject,
        "pjsip.conf": _pjsip,
    }
    after = {name: change(before.get(name, ""), site) for name, change in changes.items()}
    secret = f"[globals](+)\nAGI_ROUTER_AGI_SECRET={site.agi_secret}\n"
    return after | dict(zip(OWN, (site.dialplan, secret), strict=True))


def restored_files(files: Mapping[str, str]) -> dict[str, str]:
    """
    Asterisk's configuration without what :func:`asterisk_files` has added.
    """
    return {name: conf_text.restored(text) for name, text in files.items() if name in EDITED}


def _extensions(text: str, site: Site) -> str:  # noqa: ARG001 - one form for all files
    # Above all else: what any section sets further down wins over the defaults of our file.
    return conf_text.above(
        text,
        '#include "agi_router.conf"\n'
        '#include "agi_router_secret.conf"\n'
        "[globals](+)\n"
        f"AGI_ROUTER_TRUNK={_TRUNK}\n",
    )


def _modules(text: str, site: Site) -> str:
    forbidden = sorted(
        module
        for module in site.modules
        if any(fnmatchcase(module, rule.pattern) for rule in MODULE_RULES)
    )
    lines = [f"noload => {module}" for module in forbidden]
    autoload = conf_text.options(text).get("modules", {}).get("autoload", "no")
    if autoload not in {"yes", "true", "on", "1"}:
        wanted = sorted({*NEEDED_MODULES, *_MORE_MODULES, LISTING_MODULE})
        lines += [f"load => {module}" for module in wanted]
    return conf_text.with_lines(text, "modules", "\n".join(lines))


def _logger(text: str, site: Site) -> str:  # noqa: ARG001
    # The other levels print numbers.
    off = conf_text.without(text, "logfiles")
    return conf_text.with_lines(off, "logfiles", "messages.log => error")


def _http(text: str, site: Site) -> str:  # noqa: ARG001
    options = {"enabled": "yes", "sessionlimit": "100"}
    if "bindaddr" not in conf_text.options(text).get("general", {}):
        options["bindaddr"] = "127.0.0.1"
    return conf_text.with_options(text, "general", options)


def _ari(text: str, site: Site) -> str:
    # The default closes the socket of a router that stalls for a tenth of a second.
    general = {"enabled": "yes", "websocket_write_timeout": "2000"}
    return conf_text.below(
        conf_text.with_options(text, "general", general),
        "[router]\n"
        "type=user\n"
        "password_format=plain\n"
        f"password={site.ari_password}\n"
        "deny=0.0.0.0/0.0.0.0\n"
        "permit=127.0.0.0/255.0.0.0\n",
    )


def _manager(text: str, site: Site) -> str:  # noqa: ARG001
    # AMI tells every number; whoever has given it users wants it all the same.
    if conf_text.options(text).keys() - {"general"}:
        return text
    return conf_text.with_options(text, "general", {"enabled": "no"})


def _asterisk(text: str, site: Site) -> str:
    options = {"verbose": "0", "debug": "0", "live_dangerously": "no"}
    if not conf_text.options(text).get("options", {}).get("systemname"):
        options = {"systemname": site.name, **options}
    return conf_text.with_options(text, "options", options)


def _pjproject(text: str, site: Site) -> str:  # noqa: ARG001
    # The SIP stack quotes whole messages that it cannot read, as errors.
    options = {
        "type": "log_mappings",
        "asterisk_error": "",
        "asterisk_warning": "",
        "asterisk_debug": "0,1,2,3,4,5,6",
    }
    return conf_text.with_options(text, "log_mappings", options)


def _pjsip(text: str, site: Site) -> str:
    shared = {
        "type": "global",
        **{rule.option: rule.wanted for rule in GLOBAL_RULES},
        "endpoint_identifier_order": "ip",
        "ignore_uri_user_options": "yes",
        "taskprocessor_overload_trigger": "pjsip_only",
    }
    transport = _transport(text)
    bound = "type=transport\nprotocol=udp\nbind=0.0.0.0:5060"
    own = "" if transport else f"[{_TRANSPORT}]\n{bound}\n\n"
    matches = "".join(f"match={each}\n" for each in site.carriers)
    way_in = {"context": ENTRY_CONTEXT, **_endpoint("in", transport)}
    way_out = {**_endpoint("out", transport), "aors": _TRUNK}
    return conf_text.below(
        conf_text.with_options(text, "global", shared),
        f"{own}"
        f"{_section(_CARRIER, way_in)}\n"
        f"[{_CARRIER}]\ntype=identify\nendpoint={_CARRIER}\n{matches}\n"
        f"{_section(_TRUNK, way_out)}\n"
        # Asked every half a minute: a dead trunk is known, and callers hear so at once.
        f"[{_TRUNK}]\ntype=aor\ncontact=sip:{site.trunk}\nqualify_frequency=30\n",
    )


def _section(name: str, options: Mapping[str, str]) -> str:
    return "\n".join(
        [f"[{name}]", "type=endpoint", *(f"{key}={value}" for key, value in options.items()), ""]
    )


def _endpoint(side: str, transport: str | None) -> dict[str, str]:
    """
    Options of an endpoint of ours: those of the profile, and what else calls need.
    """
    return {
        "transport": transport or _TRANSPORT,
        "disallow": "all",
        "allow": "alaw,ulaw",
        "language": "zh",
        **{
            rule.option: rule.wanted
            for rule in ENDPOINT_RULES
            if side in rule.sides and rule.wanted
        },
        # What the two sides need not know of this PBX, and ends for legs whose media died.
        "suppress_q850_reason_headers": "yes",
        "sdp_session": "-",
        "max_video_streams": "0",
        "rtp_timeout": "30",
        "rtp_timeout_hold": "300",
    }


def _transport(text: str) -> str | None:
    """
    The site's own transport by UDP, if it has one.
    """
    for name, options in conf_text.options(text).items():
        if options.get("type") == "transport" and options.get("protocol", "udp") == "udp":
            return name
    return None


def database_sql(database: str) -> str:
    """
    For whoever administers PostgreSQL: the roles, and the right to make the schema.

    Args:
        database: Its name; it may hold other schemas.
    """
    return (
        f'CREATE ROLE "{OWNER}" LOGIN;\n'
        f'CREATE ROLE "{USER}" LOGIN;\n'
        f'GRANT CREATE ON DATABASE "{database}" TO "{OWNER}";\n'
    )


def pg_ident(*, http: bool = False) -> str:
    """
    Lines of ``pg_ident.conf``: which account may come as which role, without a password.

    Args:
        http: Whether the HTTP door is served too.
    """
    lines = f"agi-router {USER} {USER}\nagi-router root {USER}\nagi-router root {OWNER}\n"
    return lines + (f"agi-router {HTTP_USER} {USER}\n" if http else "")


def pg_hba(database: str) -> str:
    """
    The line of ``pg_hba.conf``, which must stand before those for all databases.

    Args:
        database: Its name.
    """
    return f'local "{database}" "{USER}","{OWNER}" peer map=agi-router\n'


def env_file(database: str, role: str) -> str:
    """
    Settings for systemd and for a shell, which both read values in double quotes.

    Args:
        database: Its name.
        role: The role to come as.
    """
    return f'AGI_ROUTER_DSN="host=/run/postgresql dbname={database} user={role}"\n'


def fastagi_env() -> str:
    """
    What the unit's instance for FastAGI has besides.
    """
    return "DOOR=agi\nAGI_ROUTER_METRICS_LISTEN=127.0.0.1:9701\n"


def http_env() -> str:
    """
    What the unit of the HTTP door has besides.
    """
    return "AGI_ROUTER_HTTP_LISTEN=127.0.0.1:8700\n"


def wrapper(program: str) -> str:
    """
    The command line for people: it reads the settings that the unit reads.

    Args:
        program: Path of ``agi-router`` in its venv.
    """
    return f"""\
#!/bin/sh
# agi-router with the settings of the service; "db" works as the role that owns the schema.
set -a
. /etc/agi-router/env
case "${{1-}}" in db) . /etc/agi-router/owner.env ;; esac
AGI_ROUTER_KEY_FILE=/etc/agi-router/key
AGI_ROUTER_ARI_PASSWORD_FILE=/etc/agi-router/ari-password
AGI_ROUTER_AGI_SECRET_FILE=/etc/agi-router/agi-secret
set +a
exec {program} "$@"
"""


def unit_file(shipped: str, program: str) -> str:
    """
    The unit, for a program that may be in another place than the shipped one expects.

    Args:
        shipped: The unit that comes with the program.
        program: Path of ``agi-router`` in its venv.
    """
    return shipped.replace("ExecStart=/opt/agi-router/bin/agi-router ", f"ExecStart={program} ")


def http_instance(unit: str) -> str:
    """
    The unit of one HTTP door of several, named by its port.

    Args:
        unit: That of the only one.
    """
    # Not by Environment=, which the files of settings come before.
    listen = "/usr/bin/env AGI_ROUTER_HTTP_LISTEN=127.0.0.1:%i"
    return (
        unit.replace("ExecStart=", f"ExecStart={listen} ")
        .replace("HTTP door\n", "HTTP door at port %i\n")
        .replace("enable --now agi-router-http\n", "enable --now agi-router-http@8701\n")
    )

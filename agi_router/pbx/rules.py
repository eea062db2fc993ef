"""
The PBX's profile: what of Asterisk's live configuration would carry a number to the wrong side.

A number can leave by many doors besides From: headers of identity, updates after the answer,
redirections, transfers, texts, records, logs. The dialplan shuts some; the others are shut by the
options below, whose defaults in Asterisk are partly open. :func:`find_faults` compares.

Rules for the editor:

1. A rule is here because a number, or the tie between two parties, can get out if it is broken
   alone, or because it is the second lock of a door with two. What is merely good practice stands
   in the comments of ``docker/asterisk``.
2. Each rule is broken for real in ``tests/calls/test_profile.py``, which wants to see it named.
3. ``docs/profile.md`` shows these tables, and a test compares.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from agi_router.pbx.media_guard import MODULE
from agi_router.texts import strip

__all__ = [
    "ENDPOINT_RULES",
    "ENTRY_CONTEXT",
    "ENTRY_LABEL",
    "FASTAGI_CONTEXT",
    "GLOBAL_RULES",
    "LISTING_MODULE",
    "LOG_LEVELS",
    "LOOK",
    "MODULE_RULES",
    "NEEDED_MODULES",
    "EndpointRule",
    "Fault",
    "GlobalRule",
    "ModuleRule",
    "Profile",
    "find_faults",
    "find_gaps",
    "ways_in",
]

ENTRY_CONTEXT = "agi-router-in"
"""
The dialplan's entry: an endpoint with this context is a way in.
"""

FASTAGI_CONTEXT = "agi-router-in-fastagi"
"""
The entry where FastAGI serves alone.
"""

ENTRY_LABEL = "agi-router"
"""
The label of the first step of either entry: a context where a 700 number leads to it includes one.
"""

LISTING_MODULE = "res_ari_endpoints.so"
"""
The module by which Asterisk lists its endpoints; without it the ways in cannot be found.
"""

LOOK = "look"
"""
With this argument a channel enters the application of whoever looks at the profile: it is no call.
"""

LOG_LEVELS = frozenset({"ERROR"})
"""
What may be logged. NOTICE tells who called and what was dialled of every call that fits nowhere,
WARNING who called with a name that is not UTF-8.
Levels that modules add, such as SECURITY, are not told by Asterisk and not seen here.
"""

_BOTH = ("in", "out")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRule:
    """
    What an option of a trunk's endpoint must be.
    """

    option: str
    wanted: str
    """As in pjsip.conf; empty for an option that must not be set."""
    why: str
    """What could get out otherwise."""
    sides: tuple[str, ...] = _BOTH
    """``in``: where the carrier's calls enter; ``out``: a trunk on which callees are dialled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalRule:
    """
    What an option of pjsip.conf's section ``[global]`` must be.
    """

    option: str
    wanted: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRule:
    """
    Modules that must not run.
    """

    pattern: str
    """Name of the module; ``*`` stands for anything."""
    why: str


ENDPOINT_RULES = (
    EndpointRule(
        option="context",
        wanted="agi-router-nowhere",
        why="what the callee asks for, by a redirection or a call of its own, would be dialled",
        sides=("out",),
    ),
    EndpointRule(
        option="identify_by",
        wanted="ip",
        why="a user name in From is free text: anybody could call as the carrier",
        sides=("in",),
    ),
    EndpointRule(
        option="trust_id_inbound",
        wanted="no",
        why="what a phone writes of itself would become the identity that the other side is shown",
    ),
    EndpointRule(
        option="trust_connected_line",
        wanted="no",
        why="a re-INVITE of one side would change what the other is shown",
    ),
    EndpointRule(
        option="send_connected_line",
        wanted="no",
        why="the identity of one side would be sent to the other, even after the answer",
    ),
    EndpointRule(
        option="trust_id_outbound",
        wanted="no",
        why="hidden numbers would be sent in P-Asserted-Identity",
    ),
    EndpointRule(
        option="send_pai",
        wanted="no",
        why="P-Asserted-Identity would carry whatever the channel learns of the other side",
    ),
    EndpointRule(
        option="send_rpid",
        wanted="no",
        why="Remote-Party-ID would carry whatever the channel learns of the other side",
    ),
    EndpointRule(
        option="rpid_immediate",
        wanted="no",
        why="the callee's identity would be sent while it rings",
    ),
    EndpointRule(
        option="send_diversion",
        wanted="no",
        why="Diversion would name who was dialled first",
    ),
    EndpointRule(
        option="send_history_info",
        wanted="no",
        why="History-Info would name who was dialled first",
    ),
    EndpointRule(
        option="redirect_method",
        wanted="user",
        why="the callee's redirection would be followed, past the dialplan, to any address",
    ),
    EndpointRule(
        option="allow_transfer",
        wanted="no",
        why="a REFER of one side would tie the other to a number of its choice, and show it",
    ),
    EndpointRule(
        option="allow_subscribe",
        wanted="no",
        why="a subscription to call states tells who talks with whom",
    ),
    EndpointRule(
        option="message_context",
        wanted="",
        why="texts would enter a dialplan that masks nobody",
    ),
    EndpointRule(
        option="direct_media",
        wanted="no",
        why="each side would be told the other's address",
    ),
    EndpointRule(
        option="geoloc_outgoing_call_profile",
        wanted="",
        why="the caller's location would be passed on",
    ),
    *(
        EndpointRule(
            option=option,
            wanted="",
            why="whoever picks the call up would be shown to the caller",
        )
        for option in ("call_group", "pickup_group", "named_call_group", "named_pickup_group")
    ),
    EndpointRule(
        option="allow_overlap",
        wanted="no",
        why="484 to the beginning of a number tells scanners which numbers there are",
        sides=("in",),
    ),
)

GLOBAL_RULES = (
    GlobalRule(
        option="debug",
        wanted="no",
        why="every SIP message would be printed",
    ),
    GlobalRule(
        option="use_callerid_contact",
        wanted="no",
        why="Contact would carry whatever the channel learns of the other side",
    ),
)

MODULE_RULES = (
    ModuleRule(
        pattern="res_pjsip_messaging.so",
        why="a MESSAGE within a call crosses, text and display name",
    ),
    ModuleRule(
        pattern="res_pjsip_refer.so",
        why="a REFER is carried out, an INVITE with Replaces joins a call",
    ),
    ModuleRule(
        pattern="res_pjsip_diversion.so",
        why="Diversion and 181 cross, with the number that was forwarded",
    ),
    ModuleRule(
        pattern=MODULE,
        why="RTP crosses with its header, and whatever a phone has put there; see media-guard.md",
    ),
    ModuleRule(
        pattern="res_pjsip_endpoint_identifier_anonymous.so",
        why="whoever can send a packet may be taken for the carrier",
    ),
    ModuleRule(
        pattern="res_hep_*.so",
        why="a copy of every SIP message or RTCP report goes to a capture server",
    ),
    ModuleRule(
        pattern="cdr_*.so",
        why="call records hold both sides' numbers",
    ),
    ModuleRule(
        pattern="cel_*.so",
        why="event records hold both sides' numbers",
    ),
)

NEEDED_MODULES = {
    "app_dial.so": "calls the callee",
    "app_playback.so": "plays the prompts",
    "app_read.so": "asks for an extension",
    "app_stack.so": "runs the hangup handler, by which every call's end is known",
    "app_stasis.so": "hands calls to the router",
    "bridge_builtin_interval_features.so": "ends calls at their limit",
    "bridge_simple.so": "joins caller and callee",
    "chan_pjsip.so": "carries the calls",
    "codec_alaw.so": "carriers speak it, and the prompts must too",
    "format_wav.so": "reads the prompts",
    "func_base64.so": "tells the router who calls",
    "func_callerid.so": "says what was dialled, and masks who calls",
    "func_channel.so": "pushes the hangup handler, sets the language",
    "func_cut.so": "takes apart what the router says",
    "func_dialplan.so": "tells which contexts include the entry",
    "func_env.so": "writes the end journal",
    "func_global.so": "remembers which router serves, and counts calls a second",
    "func_hangupcause.so": "tells a callee's SIP status",
    "func_logic.so": "chooses, by IF()",
    "func_strings.so": "takes apart and checks what the router says",
    "func_timeout.so": "ends the wait for a frozen router",
    "pbx_config.so": "reads extensions.conf",
    "res_ari_applications.so": "tells whether a router is connected",
    "res_ari_asterisk.so": "tells this configuration",
    "res_ari_channels.so": "takes the router's answer",
    "res_ari_events.so": "tells the router of calls",
    "res_pjsip_caller_id.so": "says who is in From",
    "res_pjsip_endpoint_identifier_ip.so": "knows the carrier by its address",
    "res_pjsip_header_funcs.so": "reads who calls",
    "res_pjsip_sdp_rtp.so": "carries the sound",
    "res_rtp_asterisk.so": "carries the sound",
}
"""
What a masked call, or a look at the PBX, needs of Asterisk's modules, and what for.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    What a running Asterisk says of its configuration.

    Attributes:
        trunks: Endpoints on which the dialplan dials callees; an empty name where none is given.
        contacts: Options of the AORs at which these are reached, by name, of those that are there.
        endpoints: Options by endpoint, as Asterisk spells them; at least those of the trunks.
        states: ``online``, ``offline`` or ``unknown``, by endpoint; at least of the trunks.
        entries: Contexts of endpoints from which a 700 number leads to the dialplan's entry.
        listed: Whether these are all endpoints.
        global_options: Options of pjsip.conf's section ``[global]``; :obj:`None` if there is no
            section of this name.
        modules: Names of the modules that run.
        logs: Levels by log channel, of those that are on.
        plain_sound: Whether the native bridge, if it is there, joins calls of guarded sound only.
        unguarded: What comes through to sound, where the native bridge is there and turned off.
    """

    trunks: tuple[str, ...]
    contacts: Mapping[str, Mapping[str, str]]
    endpoints: Mapping[str, Mapping[str, str]]
    states: Mapping[str, str]
    entries: frozenset[str]
    listed: bool
    global_options: Mapping[str, str] | None
    modules: frozenset[str]
    logs: Mapping[str, frozenset[str]]
    plain_sound: bool = False
    unguarded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One option by which a number could get out.

    Attributes:
        name: Where it stands, e.g. ``carrier-in/send_pai`` or ``modules/cdr_csv.so``. An operator
            who accepts the fault says this name.
        value: What it is.
        wanted: What it must be.
        why: What could get out.
    """

    name: str
    value: str
    wanted: str
    why: str

    def accepted_by(self, names: frozenset[str]) -> bool:
        """
        Whether an operator who said *names* accepts this fault; ``allow`` accepts any.
        """
        return self.name in names or "allow" in names

    def __str__(self) -> str:
        return f"{self.name} is {self.value}, wanted {self.wanted}"


def find_faults(profile: Profile) -> list[Fault]:
    """
    Compare a profile with the rules.

    Never raises: an option that Asterisk does not tell is one that cannot be vouched for.
    """
    if profile.listed and not profile.endpoints:
        # All that is said of endpoints would follow from it.
        return [
            Fault(
                name="pjsip.conf/endpoint",
                value="not there",
                wanted="at least two",
                why="Asterisk has none; is the file there, and may Asterisk's user read it?",
            ),
            *_of_modules(profile),
            *_of_logs(profile.logs),
        ]
    return [
        *_of_endpoints(profile),
        *_of_globals(profile.global_options),
        *_of_modules(profile),
        *_of_logs(profile.logs),
    ]


def ways_in(profile: Profile) -> tuple[str, ...]:
    """
    The endpoints on which calls can come in, by name; no other endpoint has been judged as one.
    """
    entries = profile.entries | {ENTRY_CONTEXT, FASTAGI_CONTEXT}
    return tuple(
        name
        for name, options in sorted(profile.endpoints.items())
        if options.get("context") in entries
    )


def find_gaps(profile: Profile) -> list[Fault]:
    """
    What is missing for calls to get through, though nothing would leak.
    """
    gaps = [
        *(
            Fault(name=f"modules/{name}", value="not loaded", wanted="loaded", why=f"it {purpose}")
            for name, purpose in NEEDED_MODULES.items()
            if name not in profile.modules
        ),
        *(
            gap
            for name in dict.fromkeys(profile.trunks)
            if name in profile.endpoints
            for gap in _of_trunk(profile, name)
        ),
    ]
    # Trunks may share an aor.
    return list(dict.fromkeys(gaps))


def _of_trunk(profile: Profile, name: str) -> Iterator[Fault]:
    """
    Whether anybody is reached by a trunk, as far as Asterisk knows.
    """
    aors = [each.strip() for each in profile.endpoints[name].get("aors", "").split(",")]
    there = [each for each in aors if each in profile.contacts]
    if not there:
        yield Fault(
            name=f"{name}/aors",
            value=f"{profile.endpoints[name].get('aors') or 'not set'}, which is no aor",
            wanted="an aor",
            why="callees cannot be dialled on it",
        )
    elif profile.states.get(name) == "offline":
        yield Fault(
            name=f"{name}/state",
            value="offline",
            wanted="online",
            why="the trunk does not answer, or its aor has no contact: callees cannot be dialled",
        )
    elif not any(_seconds(profile.contacts[each].get("qualify_frequency")) for each in there):
        yield Fault(
            name=f"{there[0]}/qualify_frequency",
            value="0",
            wanted="30 or so",
            why="nobody knows whether the trunk is alive; if not, callers hear nothing for 32 s",
        )


def _seconds(value: str | None) -> float:
    return float(value) if value and value.replace(".", "", 1).isdecimal() else 0.0


def _of_endpoints(profile: Profile) -> Iterator[Fault]:
    entrances = ways_in(profile)
    if profile.listed and not entrances:
        yield Fault(
            name="endpoints/context",
            value=f"of none {ENTRY_CONTEXT}",
            wanted=f"of the carrier's way in {ENTRY_CONTEXT}",
            why="how calls come in cannot be judged",
        )
    for name in entrances:
        yield from _of_endpoint(name, profile.endpoints[name], "in")
    for name in dict.fromkeys(profile.trunks):
        trunk = profile.endpoints.get(name)
        if trunk is None:
            # A space around a name is seen in quotes only.
            shown = name if name == strip(name) else repr(name)
            yield Fault(
                name=f"{shown or 'AGI_ROUTER_TRUNK'}/type",
                value="not there",
                wanted="endpoint",
                why="calls go out on the endpoints that AGI_ROUTER_TRUNK names",
            )
        else:
            yield from _of_endpoint(name, trunk, "out")


def _of_endpoint(name: str, options: Mapping[str, str], side: str) -> Iterator[Fault]:
    for rule in ENDPOINT_RULES:
        if side in rule.sides:
            yield from _compare(
                f"{name}/{rule.option}", options.get(rule.option), rule.wanted, rule.why
            )


def _of_globals(options: Mapping[str, str] | None) -> Iterator[Fault]:
    if options is None:
        yield Fault(
            name="global/type",
            value="not there",
            wanted="global",
            why="a section of another name cannot be read",
        )
        return
    for rule in GLOBAL_RULES:
        yield from _compare(
            f"global/{rule.option}", options.get(rule.option), rule.wanted, rule.why
        )


def _of_modules(profile: Profile) -> Iterator[Fault]:
    if not profile.listed:
        yield Fault(
            name=f"modules/{LISTING_MODULE}",
            value="not loaded",
            wanted="loaded",
            why="the endpoints on which calls come in cannot be found",
        )
    for module in sorted(profile.modules):
        if module == MODULE and profile.plain_sound:
            continue
        for rule in MODULE_RULES:
            if fnmatchcase(module, rule.pattern):
                yield Fault(
                    name=f"modules/{module}", value="loaded", wanted="not loaded", why=rule.why
                )


def _of_logs(logs: Mapping[str, frozenset[str]]) -> Iterator[Fault]:
    for channel, levels in sorted(logs.items()):
        if levels - LOG_LEVELS:
            yield Fault(
                name=f"logger/{channel.rpartition('/')[2]}",
                value=_listed(levels),
                wanted=_listed(LOG_LEVELS),
                why="the other levels print who called and what was dialled",
            )


def _compare(name: str, value: str | None, wanted: str, why: str) -> Iterator[Fault]:
    # Asterisk tells some switches as yes and no, others as true and false.
    told = {"true": "yes", "false": "no", None: "unknown"}.get(value, value)
    if told != wanted:
        yield Fault(name=name, value=told or "not set", wanted=wanted or "not set", why=why)


def _listed(levels: frozenset[str]) -> str:
    return ",".join(sorted(level.lower() for level in levels))

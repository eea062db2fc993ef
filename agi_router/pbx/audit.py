"""
The PBX's profile as Asterisk has it now, read through ARI.

Not from files: what counts is what was loaded, whoever wrote it (a file, a wizard, a database).
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass

from agi_router.ari import AriClient, AriError, AriRefused, path
from agi_router.errors import AsteriskError, SettingsError
from agi_router.pbx.bridge_switch import BRIDGE, SIMPLE
from agi_router.pbx.guard_test import try_guard
from agi_router.pbx.media_guard import MODULE, MediaPorts
from agi_router.pbx.rules import (
    ENTRY_LABEL,
    LISTING_MODULE,
    LOOK,
    Fault,
    Profile,
    find_faults,
    ways_in,
)

__all__ = ["ProfileRead", "read_profile", "refuse_leaks"]

_NOT_FOUND = 404
# What needs no quoting as a function's argument.
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
# A number of the right form; whether it is anybody's does not matter.
_ANY_X = "700000000000000"

log = logging.getLogger(__name__)


async def read_profile(ari: AriClient, *, ports: MediaPorts | None = None) -> Profile:
    """
    Read what is judged: about one request per endpoint, and one per context of theirs.

    Args:
        ari: A connection to its Asterisk.
        ports: Those of its sound, if it is guarded there.

    Raises:
        AriError: Asterisk does not answer, or does not let it be read.
    """
    # As the dialplan has them: joined as Dial() joins whom it dials.
    trunks = tuple((await ari.get_variable("AGI_ROUTER_TRUNK")).split("&"))
    modules = await ari.modules()
    states = await _endpoints(ari, modules)
    wanted = {*(states or ()), *filter(None, trunks)}
    found = {name: await _section(ari, "endpoint", name) for name in sorted(wanted)}
    endpoints = {name: options for name, options in found.items() if options is not None}
    there = [name for name in dict.fromkeys(trunks) if name in endpoints]
    aors = {
        each.strip() for name in there for each in endpoints[name].get("aors", "").split(",")
    } - {""}
    contacts = {name: await _section(ari, "aor", name) for name in sorted(aors)}
    plain, unguarded = await _sound(ari, ports) if MODULE in modules else (False, ())
    return Profile(
        trunks=trunks,
        contacts={name: options for name, options in contacts.items() if options is not None},
        endpoints=endpoints,
        states=states or {},
        entries=await _entries(ari, {each.get("context", "") for each in endpoints.values()}),
        listed=states is not None,
        global_options=await _section(ari, "global", "global"),
        modules=modules,
        logs=await ari.log_channels(),
        plain_sound=plain,
        unguarded=unguarded,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRead:
    """
    What a profile by which no number gets out has told.

    Attributes:
        accepted: The faults that are there all the same, because the operator accepts them.
        ways_in: The endpoints on which calls may come in; others have not been judged for it.
        unguarded: What comes through to sound, which is why calls are joined by the simple bridge.
    """

    accepted: tuple[Fault, ...]
    ways_in: tuple[str, ...]
    unguarded: tuple[str, ...] = ()


async def refuse_leaks(
    ari: AriClient, *, accepted: frozenset[str], ports: MediaPorts | None = None
) -> ProfileRead:
    """
    Refuse a profile by which a number could get out.

    Args:
        ari: A connection to its Asterisk.
        accepted: Names of faults that the operator accepts; ``allow`` accepts all.
        ports: Those of its sound, if it is guarded there.

    Raises:
        SettingsError: There are others; names each with its value and the wanted one.
        AsteriskError: The profile cannot be read.
    """
    try:
        profile = await read_profile(ari, ports=ports)
    except AriError as error:
        raise AsteriskError(f"the configuration of Asterisk cannot be read: {error}") from None
    faults = find_faults(profile)
    if refused := [fault for fault in faults if not fault.accepted_by(accepted)]:
        raise SettingsError(
            f"this PBX can leak numbers: {'; '.join(map(str, refused))}."
            " agi-router doctor tells why; AGI_ROUTER_UNSAFE_PROFILE accepts it"
        )
    return ProfileRead(
        accepted=tuple(faults), ways_in=ways_in(profile), unguarded=profile.unguarded
    )


async def _sound(ari: AriClient, ports: MediaPorts | None) -> tuple[bool, tuple[str, ...]]:
    """
    Whether only plain packets reach the native bridge: by the guard, or as it is turned off.

    Returns:
        That, and what comes through to the simple bridge where the native one is turned off.
    """
    if ports is None:
        return False, ()
    seen = await asyncio.to_thread(try_guard, ports)
    if seen.passed:
        return True, ()
    simple = await ari.get_variable(BRIDGE) == SIMPLE
    log.warning("media.unguarded", extra={"simple": simple, "why": "; ".join(seen.faults)})
    return simple, seen.faults if simple else ()


async def _endpoints(ari: AriClient, modules: frozenset[str]) -> dict[str, str] | None:
    """
    The state of each endpoint, or nothing where they cannot be listed.
    """
    try:
        return await ari.endpoints("PJSIP")
    except AriRefused as error:
        if error.status != _NOT_FOUND:
            raise
        # So is answered, too, where there is no endpoint at all.
        return {} if LISTING_MODULE in modules else None


async def _entries(ari: AriClient, contexts: AbstractSet[str]) -> frozenset[str]:
    """
    Those of *contexts* that are the dialplan's entry, or include it.

    A function of the dialplan tells, and only a channel can ask it: one that calls nobody is made
    for it. None, where Asterisk has not loaded what that needs.
    """
    channel = f"agi-router-{LOOK}-{secrets.token_hex(8)}"
    found = set()
    try:
        await ari.request(
            "POST",
            path("channels", "create"),
            query={
                "endpoint": "Local/s@agi-router-nowhere",
                "app": ari.app,
                "appArgs": LOOK,
                "channelId": channel,
            },
        )
        for context in sorted(filter(_PLAIN.fullmatch, contexts)):
            function = f"DIALPLAN_EXISTS({context},{_ANY_X},{ENTRY_LABEL})"
            if await ari.channel_variable(channel, function) == "1":
                found.add(context)
    except AriRefused:
        return frozenset()
    finally:
        # Also where nobody waits for it any more while it is made: it would keep the application.
        with suppress(AriRefused):
            await ari.hangup(channel, reason_code=16)
    return frozenset(found)


async def _section(ari: AriClient, kind: str, name: str) -> dict[str, str] | None:
    try:
        return await ari.config_object("res_pjsip", kind, name)
    except AriRefused as error:
        if error.status != _NOT_FOUND:
            raise
        return None

"""
The PBX's profile as Asterisk has it now, read through ARI.

Not from files: what counts is what was loaded, whoever wrote it (a file, a wizard, a database).
"""

from agi_router.ari import AriClient, AriError, AriRefused
from agi_router.errors import AsteriskError, SettingsError
from agi_router.profile import Fault, Profile, find_faults

__all__ = ["read_profile", "refuse_leaks"]

_NOT_FOUND = 404


async def read_profile(ari: AriClient) -> Profile:
    """
    Read what :func:`~agi_router.profile.find_faults` judges: about one request per endpoint.

    Raises:
        AriError: Asterisk does not answer, or does not let it be read.
    """
    # As the dialplan has them: joined as Dial() joins whom it dials.
    trunks = tuple((await ari.get_variable("AGI_ROUTER_TRUNK")).split("&"))
    names = await _endpoints(ari)
    wanted = {*(names or ()), *filter(None, trunks)}
    found = {name: await _section(ari, "endpoint", name) for name in sorted(wanted)}
    return Profile(
        trunks=trunks,
        endpoints={name: options for name, options in found.items() if options is not None},
        listed=names is not None,
        global_options=await _section(ari, "global", "global"),
        modules=await ari.modules(),
        logs=await ari.log_channels(),
    )


async def refuse_leaks(ari: AriClient, *, accepted: frozenset[str]) -> list[Fault]:
    """
    Refuse a profile by which a number could get out.

    Args:
        ari: A connection to its Asterisk.
        accepted: Names of faults that the operator accepts; ``allow`` accepts all.

    Returns:
        The faults that are there and accepted.

    Raises:
        SettingsError: There are others; names each with its value and the wanted one.
        AsteriskError: The profile cannot be read.
    """
    try:
        faults = find_faults(await read_profile(ari))
    except AriError as error:
        raise AsteriskError(f"the configuration of Asterisk cannot be read: {error}") from None
    if refused := [fault for fault in faults if not fault.accepted_by(accepted)]:
        raise SettingsError(
            f"this PBX can leak numbers: {'; '.join(map(str, refused))}."
            " agi-router doctor tells why; AGI_ROUTER_UNSAFE_PROFILE accepts it"
        )
    return faults


async def _endpoints(ari: AriClient) -> tuple[str, ...] | None:
    try:
        return await ari.endpoints("PJSIP")
    except AriRefused as error:
        if error.status != _NOT_FOUND:
            raise
        return None


async def _section(ari: AriClient, kind: str, name: str) -> dict[str, str] | None:
    try:
        return await ari.config_object("res_pjsip", kind, name)
    except AriRefused as error:
        if error.status != _NOT_FOUND:
            raise
        return None

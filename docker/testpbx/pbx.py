"""
Up, down and status of the test PBX, whatever its form.

1. Each step of `up` looks whether it is done already: a second `up` changes nothing.
2. `down` never asks how far `up` has come.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from testpbx import media_guard as guard
from testpbx import ports, state
from testpbx.compose import Compose
from testpbx.errors import PbxError
from testpbx.rootfs import RootFs
from testpbx.state import ARI_PORT, CARRIER_OUT_PORT, HOST, SIP_PORT, Places, State

# Serves, and owns nothing; see docker/postgres/serve.
ROLE = "agi_router"
# How a database of ours is reached.
_OURS = re.compile(rf"postgresql://{ROLE}:[0-9a-f]{{32}}@{re.escape(HOST)}:[0-9]+/agi_router")
# What the default tenant is relieved of, to play with: six seconds before each talk of so many,
# orders, and consent.
_PLAYFUL = (
    ("tenant", "notice", "default", "off"),
    ("tenant", "rules", "default", "--no-order", "--consent", "off"),
)


class Form(Protocol):
    """How servers are started and stopped: as processes, or as containers."""

    def prepare(self, pbx: State, *, router: bool) -> None:
        """Make what the servers read, and the servers where they have to be built."""

    def start_database(self, pbx: State) -> None:
        """Start PostgreSQL; return when it answers."""

    def start_asterisk(self, pbx: State) -> None:
        """Start Asterisk; return when SIP and ARI answer."""

    def start_router(self, pbx: State, env: dict[str, str]) -> None:
        """Start the router's doors, a process each; return when both answer."""

    def alive(self, service: str) -> bool:
        """Whether a server runs."""

    def stop(self) -> None:
        """Stop all servers and remove their data."""


def form_of(engine: str, places: Places) -> Form:
    """The form named *engine*: docker or rootfs."""
    return Compose(places) if engine == "docker" else RootFs(places)


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"pbx: {text}", file=sys.stderr)


def services(pbx: State) -> list[str]:
    """The servers this PBX should have."""
    return [
        *(["postgres"] if pbx.database_port else []),
        "asterisk",
        *(["media-watch"] if pbx.media_guard else []),
        *(["router", "fastagi"] if pbx.router else []),
    ]


def is_left_over(places: Places) -> bool:
    """Whether the environment is what an earlier `up` printed, and its own database is gone."""
    return (
        os.environ.get("AGI_ROUTER_KEY_FILE") == str(places.key_file)
        and _OURS.fullmatch(os.environ.get("AGI_ROUTER_DSN", "")) is not None
    )


def new_state(engine: str, places: Places) -> State:
    """Choose ports, passwords and places for a new PBX."""
    dsn = "" if is_left_over(places) else os.environ.get("AGI_ROUTER_DSN", "")
    password = State.password()
    port = 0 if dsn else ports.database_port()
    rootfs = os.environ["PBX_ROOTFS"] if engine == "rootfs" else ""
    return State(
        engine=engine,
        checkout=str(places.checkout),
        rootfs=rootfs,
        # Where the dialplan writes it, seen from here.
        journal=f"{rootfs}/var/spool/agi-router" if rootfs else f"{places.state}/journal",
        dsn=dsn or f"postgresql://{ROLE}:{quote(password)}@{HOST}:{port}/agi_router",
        database_port=port,
        database_password=password,
        ari_password=State.password(),
        agi_secret=State.password(),
    )


def owner_dsn(pbx: State) -> str:
    """How to reach PostgreSQL as who owns the schema; a database of the caller's has one role."""
    if not pbx.database_port:
        return pbx.dsn
    return pbx.dsn.replace(f"//{ROLE}:", f"//{ROLE}_owner:", 1)


def environment(pbx: State, places: Places) -> dict[str, str]:
    """The environment with which `agi-router` reaches this PBX."""
    programs = str(places.programs)
    path = os.environ["PATH"].split(":")
    return {
        "AGI_ROUTER_DSN": pbx.dsn,
        "AGI_ROUTER_KEY_FILE": str(places.key_file),
        "AGI_ROUTER_ARI_URL": f"http://{pbx.host}:{ARI_PORT}",
        "AGI_ROUTER_ARI_USER": "router",
        "AGI_ROUTER_ARI_PASSWORD": pbx.ari_password,
        "AGI_ROUTER_AGI_SECRET": pbx.agi_secret,
        "AGI_ROUTER_JOURNAL": pbx.journal,
        # The phones are not always there, and are not asked whether they are.
        "AGI_ROUTER_UNSAFE_PROFILE": "carrier-out/qualify_frequency",
        "PATH": ":".join([programs, *(entry for entry in path if entry != programs)]),
        **(
            {
                "AGI_ROUTER_MEDIA_PORTS": guard.PORTS,
                "AGI_ROUTER_MEDIA_STATE": str(places.media_state),
            }
            if pbx.media_guard
            else {}
        ),
    }


def description(pbx: State, places: Places, form: Form) -> dict[str, Any]:
    """What `up --json` prints."""
    return {
        "engine": pbx.engine,
        "sip": f"{HOST}:{SIP_PORT}",
        "carrier_out": f"{HOST}:{CARRIER_OUT_PORT}",
        "ari": f"http://{HOST}:{ARI_PORT}",
        # As the owner of all; the router has a role of its own.
        "dsn": owner_dsn(pbx),
        "env": environment(pbx, places),
        "services": {name: form.alive(name) for name in services(pbx)},
        "logs": str(places.state / "logs"),
        "rootfs": pbx.rootfs or None,
        # What to put before a SIPp command line so that it runs as a phone of this PBX.
        "phone": Compose(places).phone() if pbx.engine == "docker" else [],
    }


def run_cli(env: dict[str, str], *arguments: str) -> None:
    """Run `agi-router`; its own one-line error is ours."""
    done = subprocess.run(
        ["agi-router", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PbxError(
            f"agi-router {' '.join(arguments)}: {done.stderr.strip() or f'exit {done.returncode}'}"
        )


def cli_env(pbx: State, places: Places) -> dict[str, str]:
    """
    The environment of our own router and CLI: nothing is inherited by accident.

    The caller's `PG*` go along with the caller's database, and so does the consent of whoever
    changes the PBX's profile.
    """
    inherited = {"HOME", "LANG", "AGI_ROUTER_UNSAFE_PROFILE"} | (
        set() if pbx.database_port else {name for name in os.environ if name.startswith("PG")}
    )
    return environment(pbx, places) | {
        name: os.environ[name] for name in inherited if name in os.environ
    }


def check_ours(pbx: State, places: Places) -> None:
    """Leave the PBX of another checkout alone, unless that checkout is gone."""
    other = Path(pbx.checkout)
    if other != places.checkout and other.exists():
        raise PbxError(f"the PBX of {other} is up: run {other}/docker/pbx down first")


def check_existing(pbx: State, places: Places, engine: str) -> None:
    """Refuse to take over a PBX that is another one, or that is broken."""
    again = "run ./docker/pbx down first"
    check_ours(pbx, places)
    if pbx.engine != engine:
        raise PbxError(f"a PBX of the form {pbx.engine} is up: {again}")
    form = form_of(pbx.engine, places)
    for service in services(pbx):
        if not form.alive(service):
            raise PbxError(
                f"the PBX is up, but {service} has ended (logs: {places.logs}): {again}"
            )


def furnish(pbx: State, owner: dict[str, str]) -> None:
    """Grant rights in a database of ours, and take rules off its tenant; else say how."""
    if pbx.database_port:
        for line in _PLAYFUL:
            run_cli(owner, *line)
        # One role for all: the example of README.md delivers too.
        run_cli(owner, "db", "grant", ROLE)
        run_cli(owner, "db", "grant", ROLE, "--for", "deliver")
        return
    # It may be one in service.
    say("tenants of your database stay as they are; to play with the default one:")
    for line in _PLAYFUL:
        say(f"  agi-router {' '.join(line)}")


def up(places: Places, *, engine: str, router: bool, media_guard: bool = False) -> dict[str, Any]:
    """
    Bring the PBX up, or whatever of it is missing.

    Args:
        places: Where everything lies.
        engine: docker or rootfs.
        router: Whether a router belongs to it.
        media_guard: Whether a new one has the media guard; one that is up keeps what it has.

    Returns:
        How to reach it.
    """
    if media_guard and engine != "rootfs":
        raise PbxError("the media guard of a test PBX needs its root-fs form: --engine rootfs")
    form = form_of(engine, places)
    pbx = state.load(places)
    if pbx and not pbx.complete:
        say("cleaning up after an interrupted up")
        down(places)
        pbx = None
    if pbx:
        check_existing(pbx, places, engine)
    else:
        ports.check_free()
        pbx = new_state(engine, places).replace(media_guard=media_guard)
        state.save(places, pbx)
        state.new_logs(places)
        say("preparing")
        form.prepare(pbx, router=router)
        if pbx.database_port:
            say("starting PostgreSQL")
            form.start_database(pbx)
        say("starting Asterisk")
        form.start_asterisk(pbx)
    if router and not pbx.router:
        pbx = pbx.replace(router=True, complete=False)
        state.save(places, pbx)
        env = cli_env(pbx, places)
        say("making a key and migrating the database")
        if not places.key_file.exists():
            run_cli(env, "key", "new", "--file", str(places.key_file))
        owner = env | {"AGI_ROUTER_DSN": owner_dsn(pbx)}
        run_cli(owner, "db", "migrate")
        furnish(pbx, owner)
        say("starting the router")
        form.start_router(pbx, env)
    if not pbx.complete:
        pbx = pbx.replace(complete=True)
        state.save(places, pbx)
    return description(pbx, places, form)


def down(places: Places) -> None:
    """Stop everything and remove its state. Safe at any time, also when nothing is up."""
    pbx = state.load(places)
    if pbx:
        check_ours(pbx, places)
        form_of(pbx.engine, places).stop()
        if pbx.media_guard:
            guard.remove()
    state.remove(places)
    if pbx and pbx.rootfs:
        for name in ("ari_password.conf", "agi_router_secret.conf"):
            Path(pbx.rootfs, "etc/asterisk", name).unlink(missing_ok=True)


def status(places: Places) -> tuple[str, dict[str, Any]]:
    """The word up, down or partly, and how to reach the PBX."""
    pbx = state.load(places)
    if not pbx:
        return "down", {}
    answer = description(pbx, places, form_of(pbx.engine, places))
    whole = pbx.complete and all(answer["services"].values())
    return "up" if whole else "partly", answer

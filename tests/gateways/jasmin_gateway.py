"""Jasmin in service, with the RabbitMQ and the Redis that it needs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from clients.test_smpp import PATIENCE, centre

from harness.database import until

__all__ = ["through_jasmin"]

HERE = Path(__file__).parent
_EPMD, _REDIS, _RABBIT = 4369, 6379, 5672


@asynccontextmanager
async def _server(
    *command: str | Path, environment: Mapping[str, str], log: Path, port: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server, and all that it starts; with a port it listens there."""
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE if port is None else written,
            stderr=written,
            env=environment,
            start_new_session=True,
        )

    def listens() -> bool:
        assert process.returncode is None, log.read_text("utf-8")[-2000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", port or 0)):
            return True
        return False

    try:
        if port is not None:
            await asyncio.to_thread(until, listens, timeout=PATIENCE)
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await process.wait()


def _write_erl(folder: Path, erlang: Path) -> Path:
    """
    Write what starts Erlang; Debian's own looks for it where it would be installed.

    Returns the folder of Erlang's programs.
    """
    programs = next(erlang.glob("erts-*/bin"))
    erl = folder / "erl"
    erl.write_text(
        f"#!/bin/sh\nexport ROOTDIR={erlang} BINDIR={programs} EMU=beam PROGNAME=erl\n"
        f'exec {programs}/erlexec "$@"\n'
    )
    erl.chmod(0o755)
    return programs


def _environment(home: Path, servers: Path) -> dict[str, str]:
    """For servers that are not installed, and keep to a folder."""
    return {
        "PATH": f"{home}:/usr/bin:/bin",
        "HOME": str(home),
        "LD_LIBRARY_PATH": ":".join(map(str, servers.glob("**/*-linux-gnu"))),
        "LOG_PATH": str(home),
        "RABBITMQ_NODENAME": "rabbit@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_LOGS": "-",
    }


def _below(home: Path, servers: Path) -> list[tuple[int, tuple[str | Path, ...]]]:
    """The ports and the commands of what Jasmin needs, in order."""
    sbin = next(servers.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))
    redis = ("--bind", "127.0.0.1", "--port", str(_REDIS), "--save", "", "--dir", home)
    return [
        (_EPMD, (_write_erl(home, servers / "usr/lib/erlang") / "epmd", "-address", "127.0.0.1")),
        (_REDIS, (servers / "usr/bin/redis-server", *redis)),
        (_RABBIT, (sbin / "rabbitmq-server",)),
    ]


@asynccontextmanager
async def through_jasmin() -> AsyncIterator[tuple[int, int]]:
    """
    The ports of Jasmin, and of the message centre behind it.

    Their ports are fixed: they need a network of their own.
    """
    servers, installed = Path(os.environ["PBX_RABBITMQ"]), Path(os.environ["PBX_JASMIN"])
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agi-router-jasmin-")))
        environment = _environment(home, servers)
        far = await stack.enter_async_context(centre(accounts=("phone", "jasmin")))
        for port, command in _below(home, servers):
            log = home / f"{port}.log"
            await stack.enter_async_context(
                _server(*command, environment=environment, log=log, port=port)
            )
        log = home / "jasmin.log"
        command = (installed / "venv/bin/python", HERE / "jasmin_daemon.py", home, str(far))
        jasmin = await stack.enter_async_context(
            _server(*command, environment=environment, log=log)
        )
        assert jasmin.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await jasmin.stdout.readline()
        assert line, log.read_text("utf-8")[-2000:]
        yield json.loads(line)["port"], far

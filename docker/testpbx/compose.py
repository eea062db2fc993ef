"""
The form with Docker: the same servers, as the containers of `docker/compose.yml`.

Compose 1.29 and 2 are both spoken to; which one is installed matters only here.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from testpbx.errors import PbxError, last_line
from testpbx.state import ASTERISK_ACCOUNT, ROUTER_ACCOUNT, Places, State, load, share_journal
from testpbx.waiting import ari_answers, fastagi_answers, until_ready

PROJECT = "agi-router-pbx"
# What the images are built from. The checkout itself may hold gigabytes that are no business of an
# engine, and not every builder reads a Dockerfile's own ignore file.
CONTEXT = (
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICE",
    "agi_router",
    "dialplan",
    "sql",
    "docker",
)


class Compose:
    """Starts and stops the servers as containers."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._context = places.state / "context"
        self._built: set[str] = set()

    def _program(self) -> list[str]:
        """Compose as a plugin of the client, or the older program of its own."""
        plugin = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
        return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]

    def _command(self, *arguments: str) -> list[str]:
        file = self._places.checkout / "docker/compose.yml"
        return [*self._program(), "-p", PROJECT, "-f", str(file), *arguments]

    def _env(self, pbx: State | None) -> dict[str, str]:
        """What `compose.yml` takes from its environment."""
        return os.environ | {
            "PBX_ROUTER": f"{ROUTER_ACCOUNT}:{ASTERISK_ACCOUNT}",
            "PBX_STATE": str(self._places.state),
            "PBX_LOGS": str(self._places.logs),
            "PBX_CONTEXT": str(self._context),
            "PBX_DSN": pbx.dsn if pbx else "",
            "PBX_DATABASE_PORT": str(pbx.database_port if pbx else 0),
            "PBX_DATABASE_PASSWORD": pbx.database_password if pbx else "",
            "PBX_ARI_PASSWORD": pbx.ari_password if pbx else "",
            "PBX_AGI_SECRET": pbx.agi_secret if pbx else "",
        }

    def _run(self, pbx: State | None, *arguments: str) -> None:
        log = self._places.logs / "compose.log"
        with log.open("ab") as output:
            done = subprocess.run(
                self._command(*arguments),
                env=self._env(pbx),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise PbxError(f"docker-compose {' '.join(arguments)}: {last_line(log)}")

    def prepare(self, pbx: State, *, router: bool) -> None:
        """Build the images and what the containers share with this machine."""
        places = self._places
        log_of_asterisk = places.logs / "asterisk"
        log_of_asterisk.mkdir()
        os.chown(log_of_asterisk, ASTERISK_ACCOUNT, ASTERISK_ACCOUNT)
        share_journal(Path(pbx.journal))
        # The routers' account may go to their logs, and see nothing else.
        places.logs.chmod(0o711)
        for service in ("router", "fastagi"):
            own = places.logs / f"{service}.log"
            own.touch(mode=0o600)
            os.chown(own, ROUTER_ACCOUNT, ROUTER_ACCOUNT)
        password = places.state / "ari_password.conf"
        password.touch(mode=0o600)
        password.write_text(f"[router](+)\npassword={pbx.ari_password}\n")
        os.chown(password, ASTERISK_ACCOUNT, ASTERISK_ACCOUNT)
        secret = places.state / "agi_router_secret.conf"
        secret.touch(mode=0o600)
        secret.write_text(pbx.secret_conf)
        os.chown(secret, ASTERISK_ACCOUNT, ASTERISK_ACCOUNT)
        shutil.rmtree(self._context, ignore_errors=True)
        self._context.mkdir()
        for name in CONTEXT:
            source = places.checkout / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
                shutil.copytree(source, self._context / name, ignore=ignore)
            else:
                shutil.copy(source, self._context)
        log = places.logs / "base-images.log"
        with log.open("ab") as output:
            bases = subprocess.run(
                [places.checkout / "docker/base-images"],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if bases.returncode:
            raise PbxError(f"neither pulled nor made the base images: {last_line(log)}")
        self._build(
            pbx,
            "asterisk",
            "phone",
            *(["postgres"] if pbx.database_port else []),
            *(["router"] if router else []),
        )

    def start_database(self, pbx: State) -> None:
        """Start PostgreSQL and wait until it answers."""
        self._up(pbx, "postgres")
        self._wait("postgres", lambda: self._health("postgres") == "healthy")

    def start_asterisk(self, pbx: State) -> None:
        """Start Asterisk and wait until all its modules are up and ARI answers."""
        self._up(pbx, "asterisk")
        self._wait(
            "asterisk",
            lambda: (
                self._health("asterisk") == "healthy"
                and ari_answers("asterisk/info?only=status", pbx.ari_password)
            ),
        )

    def start_router(self, pbx: State, env: dict[str, str]) -> None:
        """Build and start the router's doors, a container each; wait until both answer."""
        # The container has its own PATH and sees files where `compose.yml` puts them.
        del env
        os.chown(self._places.key_file, ROUTER_ACCOUNT, ASTERISK_ACCOUNT)
        if "router" not in self._built:
            self._build(pbx, "router")
        self._up(pbx, "router")
        self._wait("router", lambda: ari_answers("applications/agi_router", pbx.ari_password))
        self._up(pbx, "fastagi")
        self._wait("fastagi", fastagi_answers)

    def _build(self, pbx: State, *services: str) -> None:
        # Compose 2 builds in parallel anyway, and does not know the option.
        parallel = ["--parallel"] if self._program() == ["docker-compose"] else []
        self._run(pbx, "--profile", "phones", "build", *parallel, *services)
        self._built.update(services)

    def _up(self, pbx: State, service: str) -> None:
        self._run(pbx, "up", "-d", "--no-deps", "--no-build", service)

    def _wait(self, service: str, ready: Callable[[], bool]) -> None:
        """Wait until *ready*, or until the container has ended."""
        logs = self._places.logs
        answered = until_ready(ready, lambda: self.alive(service))
        if not answered and not self.alive(service):
            raise PbxError(f"{service} ended while starting: see {logs}")
        if not answered:
            raise PbxError(f"{service} runs but does not answer: see {logs}")

    def _inspect(self, service: str, template: str) -> str:
        """One field of a service's container; empty if there is none."""
        # By label, not through compose: this is asked often, and compose takes a second to answer.
        labels = (f"project={PROJECT}", f"service={service}")
        listed = subprocess.run(
            [
                "docker",
                "ps",
                "-aq",
                *(f"--filter=label=com.docker.compose.{each}" for each in labels),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        container = listed.stdout.split()
        if not container:
            return ""
        shown = subprocess.run(
            ["docker", "inspect", "-f", template, container[0]],
            check=False,
            capture_output=True,
            text=True,
        )
        return shown.stdout.strip()

    def _health(self, service: str) -> str:
        return self._inspect(service, "{{.State.Health.Status}}")

    def alive(self, service: str) -> bool:
        """Whether a container runs."""
        return self._inspect(service, "{{.State.Running}}") == "true"

    def stop(self) -> None:
        """Remove containers and volumes; images stay, so that the next `up` is quick."""
        pbx = load(self._places)
        # The state may have been written, and the directory not yet made.
        self._places.logs.mkdir(parents=True, exist_ok=True)
        self._run(pbx, "stop", "router", "fastagi")
        self._run(pbx, "down", "--volumes", "--remove-orphans", "--timeout", "10")

    def phone(self) -> list[str]:
        """What to put before a SIPp command line to run it as a phone of this PBX."""
        return self._command("run", "--rm", "-T", "--no-deps", "phone")

"""The Asterisks in the root: what the benchmark adds to them, and switches on and off."""

import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from testpbx.waiting import until

from .errors import BenchError
from .variants import STOCK_DIAL, Variant, bench_dialplan

__all__ = ["Asterisk", "StockAsterisk"]

_CDR_CONF = "[general]\nenable={}\n"
# The fields are named, not written as dialplan functions: the fast form of cdr_custom. The end
# mark shows a cut line.
_CDR_CUSTOM_CONF = """\
[{file}]
format = dsv
separator_character = |
quoting_method = none
fields = userfield, start(double), answer(double), end(double), disposition, "end"
"""
_SPOOL = "/var/spool/asterisk"
_CDR_FILE = f"{_SPOOL}/agi-router-bench/records"
# Loaded at the start, for good: cdr_custom leaves its callback registered when it is unloaded, so
# that a second load writes each record twice, or runs into memory that is gone (seen in 22.10.1);
# and res_odbc and res_odbc_transaction need each other, which `module load` cannot resolve.
_CDR_MODULES = ("res_cdrel_custom.so", "cdr_custom.so", "func_cdr.so")
# As `cdr show status` has them: it cuts names.
_BACKEND = {Variant.CDR: "CDR File custom bac", Variant.ODBC_CDR: "pgsql"}

# As in the documentation; the driver's own logs, which Debian turns on, stay off.
_ODBC_INI = """\
[bench]
Driver = PostgreSQL Unicode
Servername = {host}
Port = {port}
Database = {dbname}
Debug = 0
CommLog = 0
"""
# The default is one connection, and calls would wait for each other.
_RES_ODBC_CONF = """\
[bench]
enabled => yes
dsn => bench
username => {user}
password => {password}
pre-connect => yes
max_connections => 20
"""
_FUNC_ODBC_CONF = """\
[LOOKUP]
prefix=BENCH
dsn=bench
readsql=SELECT callee FROM peer.route \
WHERE x_number='${SQL_ESC(${ARG1})}' AND caller='${SQL_ESC(${ARG2})}'

[ADMIT]
prefix=BENCH
dsn=bench
readsql=SELECT callee, ring_timeout, max_duration \
FROM peer.admit('${SQL_ESC(${ARG1})}', '${SQL_ESC(${ARG2})}', '${SQL_ESC(${ARG3})}')
"""
# Only the columns that the table has are written.
_CDR_PGSQL_CONF = """\
[global]
hostname={host}
port={port}
dbname={dbname}
user={user}
password={password}
table=peer.cdr
encoding=UTF8
"""
_ODBC_MODULES = ("res_odbc_transaction.so", "res_odbc.so", "func_odbc.so")
_CDR_PGSQL_MODULES = ("cdr_pgsql.so",)
_RESTART_TIME = 60.0

# What a user adds to Debian's own files: a trunk on which calls come in, one on which they go out.
# Media stays here, as with every carrier behind another network; it also spares the re-INVITEs.
_STOCK_SIP = "127.0.0.1:5062"
_STOCK_PJSIP_CONF = f"""\
[udp]
type=transport
protocol=udp
bind={_STOCK_SIP}

[carrier-in]
type=endpoint
transport=udp
context=from-carrier
disallow=all
allow=alaw,ulaw
direct_media=no

[carrier-in]
type=identify
endpoint=carrier-in
match=127.0.0.1

[carrier-out]
type=endpoint
transport=udp
context=from-carrier
disallow=all
allow=alaw,ulaw
direct_media=no
aors=carrier-out

[carrier-out]
type=aor
contact=sip:{{carrier_out}}
"""
_STOCK_EXTENSIONS_CONF = f"""\
[from-carrier]
exten => _9700XXXXXXXXXXXX,1,{STOCK_DIAL}
"""
# Debian's own /etc/asterisk, kept by tests/bench/run when it made the root.
_STOCK_ETC = "srv/bench-stock"
_STOCK = "srv/bench"
_START_TIME = 60.0
_INSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Asterisk:
    """
    The Asterisk in one root file system.

    Args:
        root: The root, seen from here.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._etc = root / "etc/asterisk"
        self._options: tuple[str, ...] = ()

    @property
    def records(self) -> Path:
        """The file that cdr_custom appends to, seen from here."""
        return self._root / _CDR_FILE.lstrip("/")

    @property
    def version(self) -> str:
        """Its version, e.g. 22.10.1."""
        # The console may first complain about the machine.
        found = re.search(r"^Asterisk ([\d.]+)", self.command("core show version"), re.MULTILINE)
        return found[1] if found else "unknown"

    def prepare(self, variants: Collection[Variant], *, database: Mapping[str, str]) -> None:
        """
        Add the entries of the variants, and the modules that some of them need; records stay off.

        Args:
            variants: Those that are to be measured.
            database: host, port, dbname, user and password, for func_odbc and cdr_pgsql.
        """
        shipped = (self._etc / "agi_router.conf").read_text("utf-8")
        (self._etc / "bench.conf").write_text(bench_dialplan(shipped), "utf-8")
        with (self._etc / "extensions.conf").open("a", encoding="utf-8") as file:
            file.write('\n#include "bench.conf"\n')
            # A 180 is to be the callee's in every variant, and none be sent before it.
            file.write("[globals](+)\nAGI_ROUTER_EARLY_MEDIA=both\n")
        modules: list[str] = []
        if Variant.CDR in variants:
            (self._etc / "cdr_custom.conf").write_text(_CDR_CUSTOM_CONF.format(file=_CDR_FILE))
            # cdr_custom never makes a directory: every record would be lost.
            self.records.parent.mkdir(exist_ok=True)
            self._inside("chown", "asterisk:", str(Path(_CDR_FILE).parent))
            modules += _CDR_MODULES
        if {Variant.ODBC, Variant.ODBC_CDR} & set(variants):
            (self._root / "etc/odbc.ini").write_text(_ODBC_INI.format(**database))
            (self._etc / "res_odbc.conf").write_text(_RES_ODBC_CONF.format(**database))
            (self._etc / "func_odbc.conf").write_text(_FUNC_ODBC_CONF)
            modules += _ODBC_MODULES
        if Variant.ODBC_CDR in variants:
            (self._etc / "cdr_pgsql.conf").write_text(_CDR_PGSQL_CONF.format(**database))
            modules += _CDR_PGSQL_MODULES
        with (self._etc / "modules.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"load={module}\n" for module in modules)
        self._restart(modules)
        if "bench.conf" not in self.command("dialplan show agi-router-in"):
            raise BenchError("Asterisk does not take the benchmark's dialplan; see its log")

    def _restart(self, modules: Collection[str]) -> None:
        """Start again in the same process, and see that the modules run."""
        # Its time, not its inode: that may be given to the next one.
        control = self._root / "run/asterisk/asterisk.ctl"
        before = control.stat().st_ctime_ns
        self.command("core restart now")

        def anew() -> bool:
            try:
                return control.stat().st_ctime_ns != before
            except FileNotFoundError:
                return False

        if not until(anew, timeout=_RESTART_TIME):
            raise BenchError("Asterisk does not start again; see its log")
        self.command("core waitfullybooted")
        for module in modules:
            if "Running" not in self.command(f"module show like {module}"):
                raise BenchError(f"Asterisk does not load {module}; see its log")

    def without_media_timeout(self) -> None:
        """Let calls without media live, and have ports for more than 5,000 of them."""
        pjsip = self._etc / "pjsip.conf"
        text = pjsip.read_text("utf-8")
        pjsip.write_text(re.sub(r"^(rtp_timeout\w*)=.*$", r"\1=0", text, flags=re.MULTILINE))
        rtp = self._etc / "rtp.conf"
        rtp.write_text(re.sub(r"(?m)^rtpend=.*$", "rtpend=40000", rtp.read_text("utf-8")))
        self.command("module reload res_rtp_asterisk.so")
        self.command("module reload res_pjsip.so")
        if not re.search(r"rtp_timeout +: 0\s", self.command("pjsip show endpoint carrier-out-0")):
            raise BenchError("Asterisk does not take the benchmark's pjsip.conf; see its log")

    @contextmanager
    def ends_kept_back(self) -> Iterator[None]:
        """Let no end of a call reach the router, for the time of a block; then all of them."""
        # As the dialplan sees both. Beside each other, so that one can be renamed into the other.
        journal, aside = "/var/spool/agi-router", f"{_SPOOL}/agi-router-bench"
        (self._root / aside.lstrip("/")).mkdir(exist_ok=True)
        self._inside("chown", "asterisk:", aside)
        self.command(f"dialplan set global AGI_ROUTER_JOURNAL {aside}")
        try:
            yield
        finally:
            self.command(f"dialplan set global AGI_ROUTER_JOURNAL {journal}")
            # No call is up any more that could append to it now.
            self._inside("mv", f"{aside}/ends", f"{journal}/ends")

    @property
    def calls(self) -> int:
        """How many calls are up."""
        return self._count_calls()[0]

    @property
    def calls_max(self) -> int:
        """How many may be up: the test PBX starts it with such a limit."""
        return self._count_calls()[1]

    def _count_calls(self) -> tuple[int, int]:
        said = self.command("core show channels count")
        found = re.search(r"^(\d+) of (\d+) max active call", said, re.MULTILINE)
        if not found:
            raise BenchError("Asterisk does not say how many calls are up, and may be")
        return int(found[1]), int(found[2])

    @contextmanager
    def call_records(self, variant: Variant) -> Iterator[None]:
        """Let Asterisk write the call records of a variant, for the time of a block."""
        self._switch_records(_BACKEND[variant], on=True)
        try:
            yield
        finally:
            self._switch_records(_BACKEND[variant], on=False)

    def _switch_records(self, backend: str, *, on: bool) -> None:
        (self._etc / "cdr.conf").write_text(_CDR_CONF.format("yes" if on else "no"))
        self.command("module reload cdr")
        status = self.command("cdr show status")
        # A denominator with call records on would flatter us, a record written twice would not.
        if not re.search(rf"Logging: +{'Enabled' if on else 'Disabled'}", status) or (
            on and _backends(status) != [backend]
        ):
            said = f"{'on' if on else 'off'}; it has {_backends(status)}"
            raise BenchError(f"Asterisk does not switch call records {said}")

    def command(self, text: str) -> str:
        """Run a command of the console."""
        return self._inside("asterisk", *self._options, "-rx", text)

    def _inside(self, *command: str) -> str:
        done = subprocess.run(
            ["chroot", str(self._root), *command],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_INSIDE,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise BenchError(f"{' '.join(command)}: {said or f'exit {done.returncode}'}")
        return done.stdout


class StockAsterisk(Asterisk):
    """
    A second Asterisk from the same root, with Debian's own configuration.

    Args:
        root: The root, seen from here.
        carrier_out: Where the callee listens.
    """

    sip = _STOCK_SIP
    """Where it takes calls."""

    def __init__(self, root: Path, *, carrier_out: str) -> None:
        super().__init__(root)
        self._options = ("-C", f"/{_STOCK}/etc/asterisk.conf")
        self._home = root / _STOCK
        self._etc = self._home / "etc"
        self._carrier_out = carrier_out
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def running(self) -> Iterator[None]:
        """
        Let it run for the time of a block.

        Raises:
            BenchError: It does not come up.
        """
        self._prepare()
        with (self._home / "console.log").open("wb") as console:
            self._process = subprocess.Popen(
                [
                    *("chroot", str(self._root), "asterisk", *self._options),
                    *("-f", "-U", "asterisk", "-G", "asterisk"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=_INSIDE,
            )
        try:
            self._wait()
            yield
        finally:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            shutil.rmtree(self._home, ignore_errors=True)

    def callees(self) -> list[str]:
        """The channels of the callees that are up."""
        shown = self.command("core show channels concise").splitlines()
        names = (line.partition("!")[0] for line in shown)
        return [name for name in names if name.startswith("PJSIP/carrier-out-")]

    @contextmanager
    def recorded(self, callees: Collection[str]) -> Iterator[None]:
        """
        Record calls for the time of a block, both sides into memory, as the shipped dialplan does.

        Raises:
            BenchError: Nothing came of one.
        """
        if not callees:
            yield
            return
        place, inside = self._home / "recorded", f"/{_STOCK}/recorded"
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        try:
            self._inside("chown", "asterisk:", inside)
            for number, channel in enumerate(callees):
                tracks = (f"{inside}/{number}-{side}.alaw" for side in ("callee", "caller"))
                self.command("mixmonitor start {} ,r({})t({})".format(channel, *tracks))
            yield
            for channel in callees:
                self.command(f"mixmonitor stop {channel}")
            heard = [each for each in place.iterdir() if each.stat().st_size]
            if len(heard) != 2 * len(callees):
                raise BenchError(f"{len(heard)} tracks of {len(callees)} calls were recorded")
        finally:
            # Asterisk closes the last ones in its own time.
            subprocess.run(["umount", "--lazy", place], check=True)

    def _prepare(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir()
        try:
            shutil.copytree(self._root / _STOCK_ETC, self._etc, symlinks=True)
        except FileNotFoundError:
            raise BenchError(
                f"{self._root} has no {_STOCK_ETC}: start this by tests/bench/run"
            ) from None
        for name in ("run", "log", "spool", "db", "cache"):
            (self._home / name).mkdir()
        main = self._etc / "asterisk.conf"
        # As a template, which it is in the file, the section would not be read.
        text = main.read_text("utf-8").replace("[directories](!)", "[directories]")
        for setting, name in (
            *(("astetcdir", "etc"), ("astdbdir", "db"), ("astspooldir", "spool")),
            *(("astrundir", "run"), ("astlogdir", "log"), ("astcachedir", "cache")),
        ):
            text, found = re.subn(
                rf"(?m)^{setting} => .*$", f"{setting} => /{_STOCK}/{name}", text
            )
            if not found:
                raise BenchError(f"Debian's asterisk.conf names no {setting}")
        main.write_text(text, "utf-8")
        (self._etc / "pjsip.conf").write_text(
            _STOCK_PJSIP_CONF.format(carrier_out=self._carrier_out)
        )
        (self._etc / "extensions.conf").write_text(_STOCK_EXTENSIONS_CONF)
        self._inside("chown", "-R", "asterisk:asterisk", f"/{_STOCK}")

    def _wait(self) -> None:
        assert self._process is not None
        control = self._home / "run/asterisk.ctl"
        ended = until(
            lambda: control.exists() or self._process.poll() is not None,  # type: ignore[union-attr]
            timeout=_START_TIME,
        )
        if not ended or self._process.poll() is not None:
            said = (self._home / "console.log").read_text("utf-8", "replace").strip()[-1000:]
            raise BenchError(f"Debian's Asterisk does not start: {said}")
        self.command("core waitfullybooted")
        if "carrier-out" not in self.command("pjsip show endpoints"):
            raise BenchError("Debian's Asterisk does not take the benchmark's pjsip.conf")


def _backends(status: str) -> list[str]:
    """The names that `cdr show status` lists below its heading."""
    _, _, below = status.partition("Registered Backends")
    return [line.strip() for line in below.splitlines() if line.strip() and "---" not in line]

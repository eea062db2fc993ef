"""
An operator follows the page, and what was promised holds from then on.

The tests are one story: they run in this order, on one machine that is booted for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from install.conftest import Site, agi_router
from install.machine import CARRIER, PBX, TRUNK, Machine
from install.page import section, told

from agi_router.leaktest.vectors import VECTORS
from calls.sound import listening
from harness.seaweedfs import SeaweedFs
from testpbx.waiting import until

A, B, STRANGER = "13800000001", "13800000002", "13800000003"
JOURNAL = "/var/spool/agi-router"


def restarts(machine: Machine, unit: str) -> int:
    return int(machine.do(f"systemctl show --value --property=NRestarts {unit}"))


def test_a_bare_machine_lacks_everything(machine: Machine) -> None:
    """It has Debian's own Asterisk and PostgreSQL; who asks is told, and nothing is made."""
    page = section("2. The program")
    for commands in page:
        machine.do(commands)
    before = machine.do("find /etc /usr/local /var/spool /usr/share/asterisk | sort | sha256sum")
    done = machine.run("/opt/agi-router/bin/agi-router setup --check")

    assert done.returncode == 1
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"missing"}
    assert "user agi-router" in done.stdout
    after = machine.do("find /etc /usr/local /var/spool /usr/share/asterisk | sort | sha256sum")
    assert after == before


def test_all_is_well_after_the_steps(site: Site) -> None:
    """Both doors serve, started once by systemd, and setup finds nothing left to do."""
    site.wait_for_the_router()
    for unit in ("agi-router@blue", "agi-router@fastagi"):
        assert restarts(site.machine, unit) == 0
    again = site.machine.do("agi-router setup").partition("\n\n")[0]
    assert {line.split()[0] for line in again.splitlines()} == {"ok"}


def test_calls_are_masked_both_ways(site: Site) -> None:
    """The first call of the page: each sees the number between them, and nothing else."""
    [binding] = site.cli("list")
    x = binding["x"]
    before = len(site.records(x, 0))
    there = site.call(A, x)
    back = site.call(B, x)

    for call, callee in ((there, B), (back, A)):
        assert call.status == 200
        (invite,) = call.invites
        assert (invite.request_user, invite.from_user) == (callee, x)
    for caller, call in ((A, there), (B, back)):
        assert not [m for m in call.callee if caller in m.start_line or caller in str(m.headers)]
    records = site.records(x, before + 2)
    assert [each["outcome"] for each in records[:2]] == ["answered", "answered"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_stranger_hears_a_prompt(site: Site, language: str) -> None:
    """Sound is on the wire, before the answer, and then 403."""
    x = site.bind(f"1380000010{len(language)}", B, "--language", language)["x"]
    other = site.bind(A, "13800000199", "--language", language, "--direction", "a")["x"]
    with listening() as sound:
        call = site.call(STRANGER, x)
        wrong = site.call("13800000199", other)

    assert (call.status, call.invites, wrong.status) == (403, (), 403)
    for each in (call, wrong):
        heard = sound.of(each.caller.messages)
        assert len(heard) > 50
        # Not silence: speech has more than some values.
        assert len(set(b"".join(payload for _, payload in heard))) > 20


def test_the_count_is_exact_across_restarts(site: Site) -> None:
    """Three calls are allowed, whoever serves them."""
    x = site.bind("13800000111", "13800000112", "--max-calls", "3")["x"]
    seen = []
    for _ in range(4):
        seen.append(site.call("13800000111", x).status)
        site.machine.do("systemctl restart agi-router@blue agi-router@fastagi")
        site.wait_for_the_router()

    assert seen == [200, 200, 200, 403]
    assert site.records(x, 4)[0]["reason"] == "used_up"


def test_the_other_door_takes_calls(site: Site) -> None:
    """While the router of ARI is away; the doctor says so."""
    x = site.bind("13800000121", "13800000122")["x"]
    told: list[str] = []

    def said() -> bool:
        code, told[:] = site.doctor()
        return (code, [line.split()[:2] for line in told]) == (0, [["warn", "router"]])

    with planted(
        site.machine, "systemctl stop agi-router@blue", "systemctl start agi-router@blue"
    ):
        call = site.call("13800000121", x)
        found = until(said, timeout=60)
    site.wait_for_the_router()

    assert call.status == 200
    assert found, told


def test_nothing_leaks(site: Site) -> None:
    """Every eighth vector, through Debian's own configuration; the tier leaks has all of them."""
    chosen = [part for each in VECTORS[::8] for part in ("--vector", each.name)]
    addresses = ("--pbx", f"{PBX}:5060", "--near", f"{CARRIER}:5055", "--far", f"{TRUNK}:5090")
    numbers = ("--numbers", "13800001000-13800001047")
    with site.carrier.away():
        # Nothing passes during the notice: the command asks for it to be off.
        refused = agi_router(site.machine, "leaktest", *addresses, *numbers, *chosen)
        assert "tenant notice default off" in refused.stderr
        agi_router(site.machine, "tenant", "add", "leaktest", "--consent", "off")
        agi_router(site.machine, "tenant", "notice", "leaktest", "off")
        words = ("leaktest", "--tenant", "leaktest", *addresses, *numbers, *chosen)
        done = agi_router(site.machine, *words)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "matches 0, faults 0" in done.stdout


def test_the_asterisk_package_is_installed_again(site: Site) -> None:
    """As by an upgrade: it sets the rights of its spool, and ours stay."""
    mode = "stat --format='%U %G %a' /var/spool/agi-router"
    before = site.machine.do(mode)
    site.machine.do("dpkg --install /srv/packages/asterisk_*.deb")
    site.wait_for_the_router()
    x = site.bind("13800000131", "13800000132")["x"]
    call = site.call("13800000131", x)

    assert site.machine.do(mode) == before
    assert call.status == 200
    assert site.records(x, 1)[0]["outcome"] == "answered"


def test_the_checkout_is_upgraded_while_people_talk(site: Site) -> None:
    """The call goes on, and is settled by the router that took over; none is refused."""
    x = site.bind("13800000141", "13800000142")["x"]
    (site.machine.seen_from_outside / "root/agi_router/agi_router/later.py").write_text(
        '"""."""\n'
    )
    # The upgrade may take minutes on a busy machine.
    with site.far.listen(hold=600) as callee:
        talk = site.near.dial("13800000141", x, hold=600)
        assert until(lambda: any(m.method == "ACK" for m in callee.messages), timeout=60), (
            site.doctor(),
            [m.start_line for m in callee.messages],
            talk.messages,
        )
        for commands in section("Upgrade"):
            site.machine.do(commands)
        up = talk.running
        another = site.near.dial("13800000142", x, hold=0.3).heard()
        site.machine.do("asterisk -rx 'channel request hangup all'")
        talk.heard()

    assert up
    assert another[0].status == 200
    assert [each["outcome"] for each in site.records(x, 2)] == ["answered", "answered"]
    installed = "/opt/agi-router/lib/python*/site-packages/agi_router/later.py"
    assert site.machine.run(f"ls {installed}").returncode == 0


def test_setup_leaves_alone_what_is_not_its_own(site: Site) -> None:
    """A recording, a changed unit, settings: told where it matters, and as they were."""
    machine = site.machine
    sounds = "/usr/share/asterisk/sounds/zh/agi-router"
    machine.do(f"cp {sounds}/busy.wav /root/busy.wav; printf mine >{sounds}/busy.wav")
    machine.do("echo '# mine' >>/etc/systemd/system/agi-router@.service")
    machine.do("echo AGI_ROUTER_TTL=12h >>/etc/agi-router/env")
    machine.do(f"rm {sounds}/hours.wav")
    told = machine.do("agi-router setup")

    assert machine.do(f"cat {sounds}/busy.wav") == "mine"
    assert machine.do("tail -n 1 /etc/systemd/system/agi-router@.service") == "# mine\n"
    assert "AGI_ROUTER_TTL=12h" in machine.do("cat /etc/agi-router/env")
    assert "left     /etc/systemd/system/agi-router@.service" in told
    assert f"made     prompts in {sounds}" in told
    machine.do("sed -i '/^# mine$/d' /etc/systemd/system/agi-router@.service")
    machine.do(f"cp /root/busy.wav {sounds}/busy.wav")
    assert "agi-router@" in machine.do("systemctl list-units 'agi-router@*'")


def test_a_wrong_setting_keeps_it_down(site: Site) -> None:
    """Told once, and not once a second; the other door serves on."""
    machine = site.machine
    with planted(
        machine,
        "echo AGI_ROUTER_PATIENCE=long >/etc/agi-router/green.env",
        "rm /etc/agi-router/green.env; systemctl restart agi-router@green",
    ):
        machine.run("systemctl restart agi-router@green")
        assert until(
            lambda: machine.tell("systemctl is-failed agi-router@green") == "failed", timeout=60
        )
        log = machine.do("journalctl --unit agi-router@green --lines 20 --output cat")
        after = restarts(machine, "agi-router@green")
    site.wait_for_the_router()

    assert "AGI_ROUTER_PATIENCE is malformed" in log
    assert after == 0


def test_rights_of_the_journal_are_lost_for_a_while(site: Site) -> None:
    """Said, without a traceback; what came meanwhile is settled once they are back."""
    machine = site.machine
    x = site.bind("13800000151", "13800000152")["x"]
    log = "journalctl --unit 'agi-router@*' --since -60s --output cat"
    with planted(
        machine,
        "chown root:root /var/spool/agi-router; chmod 700 /var/spool/agi-router",
        "agi-router setup",
    ):
        code, told = site.doctor()
        assert until(lambda: f"{JOURNAL}: " in machine.do(log), timeout=60)
        running = machine.tell("systemctl is-active agi-router@green agi-router@fastagi").split()
    site.wait_for_the_router()
    call = site.call("13800000151", x)

    assert code == 1
    assert [line for line in told if line.startswith("fail  journal")]
    assert running == ["active", "active"]
    assert "Traceback" not in machine.do(log)
    assert call.status == 200
    assert site.records(x, 1)[0]["outcome"] == "answered"


def test_keys_are_rotated_while_it_serves(site: Site) -> None:
    """The service follows the file; nobody restarts it."""
    x = site.bind("13800000161", "13800000162")["x"]
    before = site.machine.do("cat /etc/agi-router/key")
    site.machine.do("agi-router key rotate")

    assert site.machine.do("cat /etc/agi-router/key") != before
    assert site.call("13800000161", x).status == 200
    site.wait_for_the_router()


@contextmanager
def planted(machine: Machine, plant: str, mend: str) -> Iterator[None]:
    machine.do(plant)
    try:
        yield
    finally:
        machine.do(mend)


def reloaded(file: str, text: str, command: str) -> tuple[str, str]:
    """Add lines to one of Asterisk's files and reload; and the way back."""
    path = f"/etc/asterisk/{file}"
    return (
        f"cp -a {path} /root/planted\ncat >>{path} <<'END'\n{text}\nEND\nasterisk -rx '{command}'",
        f"cp -a /root/planted {path}\nasterisk -rx '{command}'",
    )


def changed(name: str, value: str) -> tuple[str, str]:
    """Set a global of the dialplan; and the way back."""
    return (
        f"asterisk -rx 'dialplan set global {name} \"{value}\"'",
        "asterisk -rx 'dialplan reload'",
    )


def unloaded(module: str) -> tuple[str, str]:
    return f"asterisk -rx 'module unload {module}'", f"asterisk -rx 'module load {module}'"


PJSIP = "module reload res_pjsip.so"
RESTART = (
    "systemctl restart asterisk;"
    " until asterisk -rx 'core waitfullybooted' | grep -q fully; do sleep 0.2; done"
)
SOUNDS = "/usr/share/asterisk/sounds"
ELSEWHERE = "/var/lib/asterisk/sounds"
UNBIND = """
agi-router unbind $(agi-router list --json | python3 -c 'import json, sys
print(*(each["id"] for each in json.load(sys.stdin) if each["prompts"]))')"""
WANTED = "/etc/systemd/system/multi-user.target.wants"
# What is planted, how it is mended, and what the doctor must say of it.
FAULTS = {
    **{
        f"without {module}": (
            *unloaded(module),
            f"fail  calls       modules/{module} is not loaded",
        )
        for module in (
            *("app_read.so", "app_playback.so", "format_wav.so", "func_timeout.so"),
            *("func_dialplan.so", "func_global.so", "func_logic.so"),
        )
    },
    "a second endpoint by an include": (
        *reloaded(
            "extensions.conf",
            "[office]\ninclude => agi-router-in\n",
            "dialplan reload",
        ),
        "fail  profile     old/allow_transfer is yes, wanted no",
    ),
    "pjsip.conf cannot be read": (
        f"chown root: /etc/asterisk/pjsip.conf; chmod 600 /etc/asterisk/pjsip.conf; {RESTART}",
        f"chown asterisk: /etc/asterisk/pjsip.conf; chmod 640 /etc/asterisk/pjsip.conf; {RESTART}",
        "fail  profile     pjsip.conf/endpoint is not there",
    ),
    "a trunk without a contact": (
        *reloaded("pjsip.conf", "[agi-router-trunk](+)\naors=nobody\n[nobody]\ntype=aor", PJSIP),
        "fail  calls       agi-router-trunk/state is offline",
    ),
    "a trunk without an aor": (
        *reloaded("pjsip.conf", "[agi-router-trunk](+)\naors=", PJSIP),
        "fail  calls       agi-router-trunk/aors is",
    ),
    "a trunk that is dead and not asked": (
        *reloaded(
            "pjsip.conf",
            "[agi-router-trunk](+)\naors=quiet\n[quiet]\ntype=aor\ncontact=sip:192.0.2.20:9",
            PJSIP,
        ),
        "fail  calls       quiet/qualify_frequency is 0",
    ),
    "a trunk that is dead": (
        *reloaded(
            "pjsip.conf",
            "[agi-router-trunk](+)\naors=dead\n[dead]\ntype=aor\ncontact=sip:192.0.2.20:9\n"
            "qualify_frequency=1\nqualify_timeout=0.5",
            PJSIP,
        ),
        "fail  calls       agi-router-trunk/state is offline",
    ),
    "both doors down": (
        "systemctl stop agi-router@green agi-router@fastagi",
        "systemctl start agi-router@green agi-router@fastagi",
        "fail  router      none is connected, and FastAGI does not serve",
    ),
    "another journal": (
        *changed("AGI_ROUTER_JOURNAL", "/var/spool/asterisk/tmp"),
        "fail  ends        ",
    ),
    "another patience": (*changed("AGI_ROUTER_PATIENCE", "0.5"), "fail  patience    the dialplan"),
    "another language": (*changed("AGI_ROUTER_LANGUAGE", "en"), "fail  language    the dialplan"),
    "another address of FastAGI": (
        *changed("AGI_ROUTER_AGI", "127.0.0.1:4999"),
        "fail  agi         the dialplan asks FastAGI at 127.0.0.1:4999",
    ),
    "another application": (*changed("AGI_ROUTER_APP", "other"), "fail  app         the dialplan"),
    "another trunk": (
        *changed("AGI_ROUTER_TRUNK", "carrier-out"),
        "fail  profile     carrier-out/type is not there",
    ),
    "a space in the trunk": (
        *changed("AGI_ROUTER_TRUNK", "agi-router-trunk& more"),
        "fail  trunk       the dialplan's AGI_ROUTER_TRUNK names ' more'",
    ),
    "a prompt that is missing": (
        f"mv {SOUNDS}/zh/agi-router/busy.wav /root",
        f"mv /root/busy.wav {SOUNDS}/zh/agi-router",
        "fail  prompts     zh lacks busy; Asterisk looks in /usr/share/asterisk/sounds/",
    ),
    "a language that is missing": (
        f"mv {SOUNDS}/en/agi-router /root/en",
        f"mv /root/en {SOUNDS}/en/agi-router",
        "fail  prompts     en lacks none of en",
    ),
    "prompts where Asterisk does not search": (
        (
            f"for each in zh en; do mkdir -p {ELSEWHERE}/$each; mv {SOUNDS}/$each/agi-router"
            f" {ELSEWHERE}/$each; done"
        ),
        f"for each in zh en; do mv {ELSEWHERE}/$each/agi-router {SOUNDS}/$each; done",
        "fail  prompts     zh lacks",
    ),
    "prompts that Asterisk may not read": (
        f"chmod 700 {SOUNDS}/zh/agi-router",
        f"chmod 755 {SOUNDS}/zh/agi-router",
        "fail  prompts     zh lacks",
    ),
    "a set that is nowhere": (
        "agi-router bind axb --a 13800000171 --b 13800000172 --prompts nowhere",
        UNBIND,
        "fail  prompts     of the set 'nowhere', which bindings name",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_doctor_names_the_fault(site: Site, name: str) -> None:
    """Each alone, planted and mended again: exit code 1, and a line that says what it is."""
    plant, mend, wanted = FAULTS[name]
    if name.startswith("a second endpoint"):
        endpoint = reloaded("pjsip.conf", "[old]\ntype=endpoint\ncontext=office", PJSIP)
        plant = f"{plant}\ncp -a /root/planted /root/planted.first\n{endpoint[0]}"
        mend = f"{endpoint[1]}\ncp -a /root/planted.first /root/planted\n{mend}"
    told: list[str] = []

    def named() -> bool:
        code, told[:] = site.doctor()
        return code == 1 and any(line.startswith(wanted) for line in told)

    site.wait_for_the_router()
    with planted(site.machine, plant, mend):
        found = until(named, timeout=60)
    # A router that has looked twice meanwhile has ended, and stays down until it is started.
    site.machine.do(f"ls {WANTED} | grep '^agi-router@' | xargs systemctl start")
    site.wait_for_the_router()

    assert found, told


def fine(machine: Machine, unit: str) -> bool:
    """Whether a unit did what it had to, or does it, and has complained of nothing."""
    shown = (
        "systemctl show --property=Result --property=ExecMainStatus --property=NRestarts --value"
    )
    log = machine.do(f"journalctl --unit {unit} --output cat")
    assert not [line for line in log.splitlines() if "Traceback" in line or "rror" in line], log
    return machine.do(f"{shown} {unit}").split() == ["success", "0", "0"]


def test_the_audit_is_signed_each_hour(site: Site) -> None:
    """By its own account, which alone has the key; the page's last command verifies it."""
    machine = site.machine
    for commands in told("security.md", "The audit"):
        machine.do(commands)

    assert fine(machine, "agi-router-audit")
    # The first of all, and that of this hour.
    assert len(machine.do("cat /var/lib/agi-router-audit/heads").splitlines()) == 2
    assert "agi-router-audit.timer" in machine.do("systemctl list-timers --no-legend")
    assert machine.run("cat /etc/agi-router-audit/key", user="agi-router").returncode != 0


def test_a_day_is_exported_each_night(site: Site) -> None:
    """By its own account; its recipient opens the package by the keys alone."""
    machine = site.machine
    for commands in told("export.md", "Sealing") + told("export.md", "Each night"):
        machine.do(commands)

    assert fine(machine, "agi-router-export")
    assert "agi-router-export.timer" in machine.do("systemctl list-timers --no-legend")
    (package,) = machine.do("ls -d /var/lib/agi-router-export/20*-000").split()
    machine.do(
        f"agi-router export-day --verify {package} --key recipient.key"
        " --signer /etc/agi-router-export/key.pub"
    )


def test_what_is_past_retention_goes_each_night(site: Site) -> None:
    """By its own account and role; the account that serves deletes nothing."""
    machine = site.machine
    for commands in told("operate.md", "Who deletes"):
        machine.do(commands)

    assert fine(machine, "agi-router-retention")
    assert "agi-router-retention.timer" in machine.do("systemctl list-timers --no-legend")
    refused = machine.run("agi-router retention run")
    assert refused.returncode != 0
    assert "db grant agi-router --for retain" in refused.stdout


def test_the_deliverer_and_the_feeds(site: Site) -> None:
    """One runs on, the other looks what is due and ends."""
    machine = site.machine
    for page, heading in (("events.md", "The deliverer"), ("feeds.md", "By asking an address")):
        for commands in told(page, heading):
            machine.do(commands)
    machine.do("systemctl start agi-router-feeds")

    assert fine(machine, "agi-router-deliver")
    assert fine(machine, "agi-router-feeds")
    assert machine.tell("systemctl is-active agi-router-deliver") == "active"
    assert "agi-router-feeds.timer" in machine.do("systemctl list-timers --no-legend")


def test_the_http_door(site: Site) -> None:
    """It answers, with an account of its own; and so do two of it, as the page has them."""
    machine = site.machine
    serving, _ = told("http.md", "Serving it")
    assert machine.do(serving).endswith("ok\n")
    assert fine(machine, "agi-router-http")
    (several,) = told("http.md", "More than one process")
    # curl tells how it goes as well.
    assert machine.do(several).splitlines().count("ok") == 2
    for unit in ("agi-router-http@8701", "agi-router-http@8702"):
        assert fine(machine, unit)
        owner = f"stat --format=%U /proc/$(systemctl show --property=MainPID --value {unit})"
        assert machine.tell(owner) == "agi-router-http"


def test_the_doors_for_texts(site: Site) -> None:
    """By SIP it serves; the link to a centre that is not there is tried again, and no more."""
    machine = site.machine
    machine.do(
        "printf '%s\\n' AGI_ROUTER_SIP_LISTEN=192.0.2.1:5062 AGI_ROUTER_SIP_NEXT=192.0.2.10:5060"
        " AGI_ROUTER_SIP_PEERS=192.0.2.10 >/etc/agi-router/sip-messages.env\n"
        "printf '%s\\n' AGI_ROUTER_SMPP_HOST=127.0.0.1 AGI_ROUTER_SMPP_SYSTEM_ID=router"
        " >/etc/agi-router/smpp-carrier.env\n"
        "echo secret | install -m 600 /dev/stdin /etc/agi-router/smpp-carrier.password\n"
        "cp agi_router/service/agi-router-sip-messages.service"
        " agi_router/service/agi-router-smpp@.service /etc/systemd/system/\n"
        "systemctl daemon-reload\n"
        "systemctl start agi-router-sip-messages agi-router-smpp@carrier"
    )
    try:
        for unit in ("agi-router-sip-messages", "agi-router-smpp@carrier"):
            assert machine.tell(f"systemctl is-active {unit}") == "active"
            assert restarts(machine, unit) == 0
        assert fine(machine, "agi-router-sip-messages")
    finally:
        machine.do(
            "systemctl stop agi-router-sip-messages agi-router-smpp@carrier\n"
            "rm /etc/systemd/system/agi-router-sip-messages.service"
            " /etc/systemd/system/agi-router-smpp@.service /etc/agi-router/s*.env"
            " /etc/agi-router/smpp-carrier.password\n"
            "systemctl daemon-reload\n"
            # The doctor would go on saying that nobody serves the link.
            "runuser -u postgres -- psql -d agi_router -qc 'DELETE FROM agi_router.message_link'"
        )


def test_the_guard_of_sound(site: Site) -> None:
    """It stands from its unit on, and goes with it; its watch runs beside."""
    machine = site.machine
    _, refuse, _, watch = told("media-guard.md", "Set it up")
    machine.do(refuse)
    machine.do(watch)
    table = "nft list table inet agi_router_media"
    try:
        machine.do(table)
        assert fine(machine, "agi-router-media-guard")
        assert machine.tell("systemctl is-active agi-router-media-watch") == "active"
        assert fine(machine, "agi-router-media-watch")
    finally:
        machine.do(
            "systemctl disable --now agi-router-media-guard agi-router-media-watch\n"
            "rm /etc/systemd/system/agi-router-media-*.service /etc/agi-router/media-*\n"
            "systemctl daemon-reload"
        )
    assert machine.run(table).returncode != 0


def test_the_keeper_of_recordings(site: Site, tmp_path: Path) -> None:
    """It has the directory in memory that the page mounts, and a bucket, as the HTTP door has."""
    machine = site.machine
    memory, sealed, _, serve = told("recordings.md", "Set it up")
    entry, mount = memory.strip().split("\n\n")
    machine.do(f"cp /etc/fstab /root/fstab; echo '{entry}' >>/etc/fstab\n{mount}")
    machine.do(sealed)
    try:
        machine.do(serve)
        assert machine.tell("systemctl is-active agi-router-recordings") == "active"
        assert fine(machine, "agi-router-recordings")
        with SeaweedFs(tmp_path) as store:
            bring_to(store, machine)
    finally:
        machine.do(
            "rm -rf /etc/agi-router/s3 /etc/systemd/system/agi-router-http@.service.d\n"
            "systemctl disable --now agi-router-recordings\n"
            "rm /etc/systemd/system/agi-router-recordings.service\n"
            "sed -i '/RECORDINGS\\|_S3_/d' /etc/agi-router/env; cp /root/fstab /etc/fstab\n"
            "umount /run/agi-router-recordings; rmdir /run/agi-router-recordings\n"
            "systemctl daemon-reload; systemctl restart agi-router-http@8701"
        )


def bring_to(store: SeaweedFs, machine: Machine) -> None:
    """As the page says it: each unit has the access key, and reaches the store."""
    store.make("recordings")
    program, credentials, settings, drop_in, _ = told("recordings.md", "In a bucket")
    machine.do(program)
    machine.do(f"printf '%s\\n' {store.key_id} {store.secret} | {credentials}")
    settings = settings.replace("https://s3.example.com", store.endpoint)
    unit = "/etc/systemd/system/agi-router-http@.service.d"
    machine.do(
        f"cat >>/etc/agi-router/env <<'END'\n{settings}END\n"
        f"mkdir {unit}; cat >{unit}/s3.conf <<'END'\n{drop_in}END\n"
        "systemctl daemon-reload; systemctl restart agi-router-recordings agi-router-http@8701"
    )
    # The keeper has it tell its name as soon as it reaches it.
    assert until(lambda: store.has("recordings", "name"), timeout=60)
    for each in ("agi-router-recordings", "agi-router-http@8701"):
        assert fine(machine, each)
    ask = "curl -s http://127.0.0.1:8701/v1/recordings/files -H 'Authorization: Bearer '"
    key = "agi-router api-key create --operator --role auditor --label files --ttl 1d"
    found = machine.do(f"{ask}$({key} | awk '$1 == \"bearer\" {{ print $2 }}')")
    assert json.loads(found)["folder"] == "aa", found


def test_a_lost_machine_comes_back(site: Site) -> None:
    """Base backup, WAL, key and heads alone: traces and the audit answer as before the loss."""
    machine = site.machine
    x = site.bind("13800000181", "13800000182")["x"]
    # Of a first try.
    machine.run("rm -rf /var/backups/agi-router /root/kept")
    # The settings that they start with once more are in the audit before it is lost.
    serving = machine.do(f"ls {WANTED} | grep '^agi-router'").split()
    machine.do(f"systemctl restart {' '.join(serving)}")
    for commands in told("restore.md", "Archive what is written") + told(
        "restore.md", "Each night"
    ):
        machine.do(commands)
    site.wait_for_the_router()
    # Behind the base backup: this comes from the archive.
    assert site.call("13800000181", x).status == 200
    site.records(x, 1)
    machine.do(
        "systemctl start agi-router-audit; cp -p /var/lib/agi-router-audit/heads /root/kept"
    )
    asked = (
        f'agi-router trace {x} --json | sed \'/"since"\\|"until"/d\'',
        "agi-router audit list --json",
        "agi-router audit verify --heads /root/kept/heads",
        "agi-router list --json",
    )
    before = [machine.do(each) for each in asked]
    last = machine.do("runuser -u postgres -- psql -Atc 'SELECT pg_walfile_name(pg_switch_wal())'")
    archived = f"/var/backups/agi-router/wal/{last.strip()}"
    assert until(lambda: machine.run(f"ls {archived}").returncode == 0, timeout=60)
    version = machine.do("ls /etc/postgresql").strip()
    machine.do(
        f"systemctl stop 'agi-router*'\nsystemctl stop 'postgresql*'\n"
        f"pg_dropcluster {version} main\nrm -r /etc/agi-router/* /etc/agi-router-audit\n"
        f"pg_createcluster {version} main\nsystemctl start postgresql"
    )
    restore, look, say = told("restore.md", "On an empty machine")
    machine.do(restore)
    machine.do(look)
    machine.do(f"systemctl start {' '.join(serving)}")
    site.wait_for_the_router()

    assert [machine.do(each) for each in asked] == before
    assert site.call("13800000182", x).status == 200
    machine.do(say)
    made = site.bind("13800000183", "13800000184")["id"]
    assert int(made.rpartition("-")[2]) > 1_000_000


def test_nothing_is_left_but_the_key(site: Site) -> None:
    """Of all that was made; and Asterisk has the configuration of before."""
    machine = site.machine
    key = machine.do("sha256sum /etc/agi-router/key")
    for commands in told("install.md", "Uninstall") + section("Uninstall"):
        machine.do(commands)

    places = "/etc /usr/local /usr/share/asterisk /var/spool /var/lib/asterisk /opt /run/systemd"
    left = machine.do(f"find {places} -iname '*agi?router*' | sort").split()
    assert left == ["/etc/agi-router"]
    assert machine.do("ls -A /etc/agi-router") == "key\n"
    assert machine.do("sha256sum /etc/agi-router/key") == key
    assert machine.do("stat --format='%U %a' /etc/agi-router/key") == "root 600\n"
    assert machine.run("getent passwd agi-router || getent group agi-router").returncode != 0
    assert machine.do("systemctl list-units --all --no-legend 'agi-router@*'") == ""
    machine.do(
        "mkdir /root/asterisk.before\ntar -C /root/asterisk.before -xpf /root/asterisk.before.tar"
    )
    # A last line that had no end has one now.
    machine.do(
        "for each in /root/asterisk.before/*.conf /etc/asterisk/*.conf; do"
        ' if tail -c 1 "$each" | grep -q .; then echo >>"$each"; fi; done'
    )
    assert machine.do("diff -r /etc/asterisk /root/asterisk.before") == ""
    assert machine.tell("runuser -u postgres -- psql -Atc '\\du' | grep agi") == ""
    refused = site.near.dial(A, "700123456780000", hold=0.5).heard()
    assert refused[0].status not in {None, 200}

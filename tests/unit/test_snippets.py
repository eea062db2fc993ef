"""What an installation consists of, as text; whether it works the tier install sees."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from agi_router.pbx.rules import ENDPOINT_RULES, ENTRY_CONTEXT, GLOBAL_RULES, NEEDED_MODULES
from agi_router.setup import conf_text
from agi_router.setup.snippets import (
    EDITED,
    OWNER,
    USER,
    Site,
    asterisk_files,
    database_sql,
    env_file,
    fastagi_env,
    pg_hba,
    pg_ident,
    restored_files,
    unit_file,
    wrapper,
)

UNIT = files("agi_router").joinpath("service/agi-router@.service").read_text("utf-8")
PAGE = (Path(__file__).parents[2] / "docs/install.md").read_text("utf-8")
SITE = Site(
    name="pbx1",
    carriers=("192.0.2.10", "192.0.2.11"),
    trunk="192.0.2.20:5090",
    modules=frozenset({"app_dial.so", "cdr_csv.so", "res_pjsip_refer.so"}),
    ari_password="ARI-SECRET",
    agi_secret="AGI-SECRET",
    dialplan="; the dialplan\n",
)
# As Debian's, in short.
STOCK = {
    "extensions.conf": "[general]\nstatic=yes\n[globals]\nTRUNK=DAHDI/G2\n",
    "modules.conf": "[modules]\nautoload=yes\n[global]\n",
    "logger.conf": "[general]\n[logfiles]\nconsole => notice\nmessages.log => notice,error\n",
    "http.conf": "[general]\nbindaddr=192.0.2.1\n",
    "ari.conf": "[general]\nenabled = yes ; on\n",
    "manager.conf": "[general]\nenabled = yes\n",
    "asterisk.conf": "[directories](!)\n[options]\n;verbose = 3\n",
    "pjsip.conf": ";[global]\n",
}


def options(name: str, files: dict[str, str], site: Site = SITE) -> dict[str, dict[str, str]]:
    """What is set in one of the files after it was changed."""
    return conf_text.options(asterisk_files(files, site)[name])


def test_the_change_is_the_same_the_second_time() -> None:
    """And what was there before comes back, whatever the first time was made with."""
    once = asterisk_files(STOCK, SITE)
    assert once.keys() == {*EDITED, "agi_router.conf", "agi_router_secret.conf"}
    assert asterisk_files(once, SITE) == once
    assert asterisk_files(asterisk_files(STOCK, replace(SITE, trunk="192.0.2.9")), SITE) == once
    restored = restored_files(once)
    assert {name: text for name, text in restored.items() if text} == STOCK


def test_secrets_are_where_they_belong() -> None:
    """In two files, and in no repr."""
    changed = asterisk_files(STOCK, SITE)
    assert {name for name, text in changed.items() if "-SECRET" in text} == {
        "ari.conf",
        "agi_router_secret.conf",
    }
    assert "SECRET" not in repr(SITE)


def test_the_dialplan_is_above_all_else() -> None:
    """So whatever a site sets further down wins."""
    text = asterisk_files(STOCK, SITE)["extensions.conf"]
    assert text.index("#include") < text.index("[globals](+)") < text.index("[general]")


def test_modules() -> None:
    """Those by which numbers get out are not loaded; where each is named, what is needed is."""
    text = asterisk_files(STOCK, SITE)["modules.conf"]
    assert re.findall(r"(?m)^noload => (.*)$", text) == ["cdr_csv.so", "res_pjsip_refer.so"]
    assert "\nload =>" not in text
    picky = {"modules.conf": "[modules]\nautoload=no\n"}
    loaded = re.findall(r"(?m)^load => (.*)$", asterisk_files(picky, SITE)["modules.conf"])
    assert {*NEEDED_MODULES, "res_agi.so", "res_ari_endpoints.so"} <= {*loaded}


def test_only_errors_are_logged() -> None:
    assert options("logger.conf", STOCK)["logfiles"] == {"messages.log": "error"}


def test_http_stays_where_it_is() -> None:
    """Or is on loopback."""
    assert options("http.conf", STOCK)["general"]["bindaddr"] == "192.0.2.1"
    assert options("http.conf", {})["general"]["bindaddr"] == "127.0.0.1"


def test_ami_is_off_unless_somebody_uses_it() -> None:
    assert options("manager.conf", STOCK)["general"]["enabled"] == "no"
    used = {"manager.conf": f"{STOCK['manager.conf']}[admin]\nsecret=x\n"}
    assert options("manager.conf", used)["general"]["enabled"] == "yes"


def test_a_pbx_keeps_its_name() -> None:
    assert options("asterisk.conf", STOCK)["options"]["systemname"] == "pbx1"
    named = {"asterisk.conf": "[options]\nsystemname=north\n"}
    assert options("asterisk.conf", named)["options"]["systemname"] == "north"


def test_endpoints_are_those_of_the_profile() -> None:
    """Each rule is kept on its side."""
    text = asterisk_files(STOCK, SITE)["pjsip.conf"]
    sections = re.split(r"(?m)^(?=\[)", text)
    for side, name in (("in", "agi-router-carrier"), ("out", "agi-router-trunk")):
        [endpoint] = [each for each in sections if each.startswith(f"[{name}]\ntype=endpoint")]
        for rule in ENDPOINT_RULES:
            if side in rule.sides:
                wanted = [f"{rule.option}={rule.wanted}"] if rule.wanted else []
                assert re.findall(rf"(?m)^{rule.option}=.*$", endpoint) == wanted
    assert f"context={ENTRY_CONTEXT}\n" in text
    assert "match=192.0.2.10\nmatch=192.0.2.11\n" in text
    assert "contact=sip:192.0.2.20:5090\nqualify_frequency=30\n" in text
    shared = conf_text.options(text)["global"]
    assert all(shared[rule.option] == rule.wanted for rule in GLOBAL_RULES)


@pytest.mark.parametrize(
    ("own", "transport"),
    [
        ("[mine]\ntype=transport\nprotocol=udp\n", "mine"),
        ("[mine]\ntype=transport\n", "mine"),
        ("[mine]\ntype=transport\nprotocol=tcp\n", "agi-router-udp"),
        ("", "agi-router-udp"),
    ],
)
def test_a_transport_of_the_site_is_used(own: str, transport: str) -> None:
    """Two of them cannot have one port."""
    text = asterisk_files({"pjsip.conf": own}, SITE)["pjsip.conf"]
    assert re.findall(r"(?m)^transport=(.*)$", text) == [transport] * 2
    assert ("[agi-router-udp]" in text) is (transport == "agi-router-udp")


def test_the_database() -> None:
    """Two roles that come without a password, the service's account as one of them."""
    assert database_sql("telecom").endswith(f'ON DATABASE "telecom" TO "{OWNER}";\n')
    assert [line.split() for line in pg_ident().splitlines()] == [
        ["agi-router", USER, USER],
        ["agi-router", "root", USER],
        ["agi-router", "root", OWNER],
    ]
    assert pg_hba("telecom").split()[:2] == ["local", '"telecom"']


def test_settings_are_read_by_systemd_and_by_a_shell() -> None:
    """Names, and values in double quotes where they hold more than a word."""
    for text in (env_file("telecom", USER), fastagi_env()):
        for line in text.splitlines():
            assert re.fullmatch(r'[A-Z_]+=(?:[\w.:-]+|"[^"$`\\]*")', line)


def test_the_command_line_reads_what_the_unit_reads() -> None:
    """The same files and the same variables."""
    text = wrapper("/opt/agi-router/bin/agi-router")
    names = set(re.findall(r"(?m)^(?:Environment=)?(AGI_ROUTER_\w+_FILE)=", UNIT))
    assert names == set(re.findall(r"(?m)^(AGI_ROUTER_\w+_FILE)=", text))
    assert text.endswith('exec /opt/agi-router/bin/agi-router "$@"\n')


def test_the_unit_may_be_elsewhere() -> None:
    """Only the program's path is another one."""
    assert unit_file(UNIT, "/opt/agi-router/bin/agi-router") == UNIT
    changed = unit_file(UNIT, "/srv/venv/bin/agi-router").splitlines()
    differing = [line for line in changed if line not in UNIT.splitlines()]
    assert len(differing) == 1
    assert differing[0].startswith("ExecStart=/srv/venv/bin/agi-router serve --door ")


def test_every_step_has_a_check() -> None:
    """Of the page that people follow: commands, and others that tell whether they worked."""
    steps = re.split(r"(?m)^## ", PAGE)[1:]
    numbered = [step for step in steps if re.match(r"[1-7]\. ", step)]
    assert len(numbered) == 7
    for step in numbered:
        assert step.count("```sh") >= 2, step.partition("\n")[0]
        assert "Check" in step

"""
The media guard of the test PBX, and the watch over Asterisk's native bridge behind it.

As docs/media-guard.md says, but that Asterisk is told to load the bridge, and reads of it nowhere:
one that starts anew has the simple bridge.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from testpbx.errors import PbxError

PORTS = "10000-30000"
"""rtpstart and rtpend of docker/asterisk/rtp.conf."""
TABLE = "agi_router_media"
MODULE = "bridge_native_rtp.so"


def load(env: Mapping[str, str], *options: str) -> None:
    """
    Load the rules that `agi-router media-guard print` prints, in this network.

    Args:
        env: How the program is found.
        options: More of its options.

    Raises:
        PbxError: They cannot be printed or loaded.
    """
    words = ["agi-router", "media-guard", "print", "--ports", PORTS, *options]
    printed = subprocess.run(words, env=env, check=False, capture_output=True, text=True)
    if printed.returncode:
        raise PbxError(f"{' '.join(words)}: {printed.stderr.strip()}")
    nft("-f", "-", rules=printed.stdout)


def remove() -> None:
    """Take the rules away, if they are there."""
    nft("-f", "-", rules=f"table inet {TABLE} {{ }}\ndelete table inet {TABLE}\n")


def nft(*arguments: str, rules: str = "") -> str:
    """Have nftables of this network do something, and return what it prints."""
    try:
        done = subprocess.run(
            ["nft", *arguments], input=rules, check=False, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise PbxError("there is no nft: install nftables") from None
    if done.returncode:
        raise PbxError(f"nft {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def watch(console: Path, rootfs: str, *, every: str) -> list[str]:
    """
    What runs the watch over the Asterisk of a root.

    Args:
        console: Where a program is made by which the watch reaches Asterisk's console.
        rootfs: The root.
        every: The time between two looks, as "10s".
    """
    console.write_text(f'#!/bin/sh\nexec chroot {rootfs} /usr/sbin/asterisk "$@"\n')
    console.chmod(0o755)
    return [
        *("agi-router", "media-guard", "watch"),
        *("--ports", PORTS, "--every", every, "--asterisk", str(console)),
    ]

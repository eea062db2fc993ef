"""
``agi-router key``: the keys that tag and seal real numbers.
"""

from pathlib import Path

import click

from agi_router.cli.output import echo_json, json_option
from agi_router.keyfile import write_key_ring
from agi_router.seal import KeyRing

__all__ = ["group"]


@click.group("key")
def group() -> None:
    """
    Keys that tag and seal real numbers.
    """


@group.command("new")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this new file (mode 0600) instead of printing it.",
)
@json_option
def new(file: Path | None, *, as_json: bool) -> None:
    r"""
    Make a new key ring.

    Without it no number in the database can be read: keep a copy in a safe place, apart from the
    backups of the database. An existing file is never overwritten.

    \b
    Examples:
      agi-router key new --file /etc/agi-router/key
      export AGI_ROUTER_KEY="$(agi-router key new)"
    """
    ring = KeyRing.generate()
    if file is not None:
        write_key_ring(file, ring)
        if as_json:
            echo_json({"file": str(file)})
        else:
            click.echo(f"wrote {file}; now set AGI_ROUTER_KEY_FILE={file}")
    elif as_json:
        echo_json({"key": ring.to_text()})
    else:
        click.echo(ring.to_text(), nl=False)

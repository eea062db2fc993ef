"""
SIPp: its scenario files, as far as phones here need them.

Source:
    SIPp 3.6 reference, "Create your own XML scenarios".
"""

from __future__ import annotations

__all__ = ["REPLY", "SippFile"]

REPLY = 10_000
"""
Milliseconds in which whatever has to come comes.
"""


class SippFile:
    """
    A SIPp scenario in the making.
    """

    def __init__(self, name: str) -> None:
        self._lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<!DOCTYPE scenario SYSTEM "sipp.dtd">',
            f'<scenario name="{name}">',
        ]
        self._labels = 0
        self._optional: list[tuple[str, str]] = []

    def add(self, line: str) -> None:
        """Write one element as it is."""
        self._lines.append(line)

    def new_label(self) -> str:
        """A name for a place; :meth:`label` sets it."""
        self._labels += 1
        return f"l{self._labels}"

    def label(self, name: str) -> None:
        """Make this place one to go on at."""
        self.add(f'<label id="{name}"/>')

    def pause(self, milliseconds: int) -> None:
        """Do nothing for a time."""
        self.add(f'<pause milliseconds="{milliseconds}"/>')

    def send(self, message: str, *, retransmit: bool = False, then: str = "") -> None:
        """Send *message*; until it is answered if *retransmit*; go on at *then*."""
        again = ' retrans="500"' if retransmit else ""
        self.add(f"<send{again}{_next(then)}><![CDATA[\n\n{message}\n\n]]></send>")

    def hear(self, *codes: int, then: str = "") -> None:
        """Until what is expected next: take responses if they come, and go on at *then*."""
        self._optional += ((f'response="{code}"', then) for code in codes)

    def may_be_asked(self, method: str, then: str) -> None:
        """Until what is expected next: take a request if it comes, and go on at *then*."""
        self._optional.append((f'request="{method}"', then))

    def expect(
        self,
        *,
        response: int = 0,
        request: str = "",
        wait: int = REPLY,
        late: str = "",
        then: str = "",
        route: bool = False,
        action: str = "",
    ) -> None:
        """
        Wait for a response or a request.

        Args:
            response: Its status.
            request: Its method.
            wait: Milliseconds.
            late: Where to go on if it does not come; without, the scenario has failed.
            then: Where to go on if it comes.
            route: Whether it tells where later requests of the dialog go.
            action: What SIPp is to read off it.
        """
        what = f'response="{response}"' if response else f'request="{request}"'
        # SIPp heeds the time-out of the one it stands at, which is the first that may come.
        time_out = f' timeout="{wait}"' + (f' ontimeout="{late}"' if late else "")
        for optional, place in self._optional:
            self.add(f'<recv {optional} optional="true"{time_out}{_next(place)}/>')
        self._optional.clear()
        routing = ' rrs="true"' if route else ""
        end = f">{action}</recv>" if action else "/>"
        self.add(f"<recv {what}{time_out}{routing}{_next(then)}{end}")

    def encode(self) -> bytes:
        """The file."""
        return "\n".join((*self._lines, "</scenario>\n")).encode("utf-8", "surrogateescape")


def _next(label: str) -> str:
    return f' next="{label}"' if label else ""

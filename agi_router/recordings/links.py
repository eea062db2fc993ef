"""
An address by which one recording is heard for some hours, by whoever is given it.

It names the recording by its file, which is letters alone, the API key that has asked for it, and
when it is over. Its tag is made with the key's secret, so it is over with the key, too.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

__all__ = ["LINK_LIFE", "PATH", "RecordingLink"]

LINK_LIFE: Final = timedelta(hours=2)
"""How long an address is good."""

PATH: Final = "/v1/recordings/links"
"""Where it is served, before the name."""

_PURPOSE: Final = "agi_router recording link 1"
# A tag is letters, so that no part of it looks like a number.
_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingLink:
    """
    What an address says.

    Attributes:
        name: Of the recording's file.
        key: Id of the API key that has asked for it.
        until: When it is over, in seconds since 1970.
    """

    name: str
    key: str
    until: int

    @classmethod
    def new(cls, name: str, key: str, now: datetime) -> "RecordingLink":
        """
        One that begins now.
        """
        return cls(name=name, key=key, until=int((now + LINK_LIFE).timestamp()))

    def target(self, secret: bytes) -> str:
        """
        Path and query of the address.

        Args:
            secret: Of the API key.
        """
        said = {"key": self.key, "until": self.until, "tag": self._tag(secret)}
        return f"{PATH}/{self.name}?{urlencode(said)}"

    def is_tag(self, tag: str, secret: bytes) -> bool:
        """
        Whether a tag was made for this with the secret; it takes as long in any case.
        """
        return hmac.compare_digest(tag.encode(), self._tag(secret).encode())

    def is_over(self, now: datetime) -> bool:
        """
        Whether its time is over.
        """
        return now.timestamp() >= self.until

    def _tag(self, secret: bytes) -> str:
        text = "\n".join((_PURPOSE, self.name, self.key, str(self.until)))
        mac = hmac.new(secret, text.encode(), hashlib.sha256)
        return mac.hexdigest().translate(_LETTERS)

"""
The certificate by which the HTTP door ends TLS itself, where no proxy in front does.
"""

import logging
import ssl
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.x509 import load_der_x509_certificate

from agi_router.errors import SettingsError

__all__ = ["Certificate", "end_of_certificate"]

log = logging.getLogger(__name__)

_PROTOCOL: Final = "http/1.1"

_Stamp = tuple[int, int]


class Certificate:
    """
    A certificate and its key, read again when their files have changed.

    Connections that are up keep the one that they began with.

    Args:
        chain: File of the certificate and those it is signed with, in PEM.
        key: File of its key, in PEM, without a password.

    Raises:
        SettingsError: They cannot be read, or do not belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        try:
            self._seen = self._stamps()
            self._now = self._load()
            self.context = self._load()
            """What a server is given once and for all."""
        except OSError as error:
            raise SettingsError(
                "AGI_ROUTER_HTTP_CERTIFICATE and AGI_ROUTER_HTTP_CERTIFICATE_KEY: the two files"
                " cannot be read, or do not belong together: " + _why(error)
            ) from None
        self._why: str | None = None
        # Handed on by each handshake: what is in use is never written to while others read it.
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """
        Read the files if they have changed; while they are not in order, the one before stays.
        """
        try:
            found = self._stamps()
            if found == self._seen:
                return
            self._now = self._load()
        except OSError as error:
            # Of two files one is written first.
            why, self._why = self._why, _why(error)
            if why != self._why:
                log.warning("http.certificate_unreadable", extra={"why": self._why})
            return
        self._seen, self._why = found, None
        log.info("http.certificate_changed")

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        connection.context = self._now

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([_PROTOCOL])
        # Whoever has a password on the key is not to be asked for it by a daemon.
        context.load_cert_chain(self._chain, self._key, password=lambda: "")
        return context

    def _stamps(self) -> tuple[_Stamp, _Stamp]:
        chain, key = self._chain.stat(), self._key.stat()
        return (chain.st_ino, chain.st_mtime_ns), (key.st_ino, key.st_mtime_ns)


def end_of_certificate(connection: ssl.SSLSocket) -> datetime | None:
    """
    When the certificate that the other side shows is over, whoever has signed it.
    """
    shown = connection.getpeercert(binary_form=True)
    return None if shown is None else load_der_x509_certificate(shown).not_valid_after_utc


def _why(error: OSError) -> str:
    # One of TLS is an OSError, too, and says what is wrong by a word of OpenSSL's.
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or type(error).__name__).replace("_", " ").lower()

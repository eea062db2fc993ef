"""
Asks the services of tenants whether a call may be connected.

Rules for the editor:

1. A tenant names the address, so it is held to what webhooks are: https at a public address,
   unless the operator allows the host. The address that was checked is the one that is connected
   to.
2. A name is looked up in threads of its own: one that nobody answers keeps neither the router nor
   most other tenants waiting. Where it led is kept for some seconds.
3. Only so many services are kept in mind; the one that was not asked for the longest goes first.
"""

import asyncio
import functools
import ssl
import time
from collections import OrderedDict
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from agi_router.calls.check import Checked, Question, TenantService, Verdict
from agi_router.calls.verifier import PORTS, HttpVerifier
from agi_router.events.addresses import resolve
from agi_router.events.model import check_url
from agi_router.side_thread import SideThread

__all__ = ["TenantVerifiers"]

_KEPT = 256
_THREADS = 8
_ADDRESS_KEPT = 10.0


class TenantVerifiers:
    """
    The services of tenants.

    Args:
        timeout: Seconds that each has for one answer at most.
        allowed: Hosts that may have any address, and be reached without TLS.
    """

    def __init__(self, *, timeout: float, allowed: Collection[str]) -> None:
        self._timeout = timeout
        self._allowed = allowed
        self._tls = ssl.create_default_context()
        self._threads = [SideThread(f"names-{number}") for number in range(_THREADS)]
        self._verifiers: OrderedDict[tuple[int, str, float], HttpVerifier] = OrderedDict()

    def close(self) -> None:
        """
        Close the connections that are kept.
        """
        for verifier in self._verifiers.values():
            verifier.close()
        self._verifiers.clear()

    async def ask(
        self,
        service: TenantService,
        question: Question,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Checked:
        """
        Ask about one call.

        Args:
            service: Whom.
            question: The question.
            timeout: Seconds that are left for the whole decision.
        """
        try:
            check_url(service.url)
        except ValueError:
            # Whoever writes to the database could have it be anything.
            return Checked(id=question.id, verdict=Verdict.UNAVAILABLE, ms=0)
        verifier = self._verifier(service)
        return await verifier.ask(question, timeout=timeout, secrets=service.secrets)

    def _verifier(self, service: TenantService) -> HttpVerifier:
        limit = self._timeout if service.timeout is None else min(service.timeout, self._timeout)
        key = (service.tenant_id, service.url, limit)
        found = self._verifiers.get(key)
        if found is None:
            found = HttpVerifier(
                service.url,
                timeout=limit,
                opening=self._place(service).open,
                told={"tenant": service.tenant_id},
            )
            self._verifiers[key] = found
        self._verifiers.move_to_end(key)
        if len(self._verifiers) > _KEPT:
            self._verifiers.popitem(last=False)[1].close()
        return found

    def _place(self, service: TenantService) -> "_Place":
        thread = self._threads[service.tenant_id % _THREADS]
        return _Place(urlsplit(service.url), thread, self._tls, self._allowed)


class _Place:
    """
    Where a service is.
    """

    def __init__(
        self,
        parts: SplitResult,
        thread: SideThread,
        tls: ssl.SSLContext,
        allowed: Collection[str],
    ) -> None:
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._secure = parts.scheme == "https"
        self._tls = tls
        self._look_up = functools.partial(
            thread.do,
            functools.partial(
                resolve, self._host, self._port, secure=self._secure, allowed=allowed
            ),
        )
        self._looking: asyncio.Future[str] | None = None
        self._looked = -_ADDRESS_KEPT

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """
        Connect to it.

        Raises:
            WebhookInvalid: It may not be reached.
            OSError: It cannot be.
        """
        address = await self._address()
        if not self._secure:
            return await asyncio.open_connection(address, self._port)
        # The name is checked against the certificate; the address was checked before.
        return await asyncio.open_connection(
            address, self._port, ssl=self._tls, server_hostname=self._host
        )

    async def _address(self) -> str:
        """
        Where its name leads; one look at a time, for whoever waits.
        """
        now = time.monotonic()
        if self._looking is None or now - self._looked >= _ADDRESS_KEPT:
            self._looked = now
            self._looking = asyncio.ensure_future(self._look_up())
            self._looking.add_done_callback(self._found)
        return await asyncio.shield(self._looking)

    def _found(self, looking: "asyncio.Future[str]") -> None:
        """
        Look again at the next call where there was no answer; perhaps nobody waits for this one.
        """
        if looking.cancelled() or looking.exception() is not None:
            self._looking = None

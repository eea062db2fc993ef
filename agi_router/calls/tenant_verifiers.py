"""
Asks the services of tenants whether a call may be connected.

Rules for the editor:

1. A tenant names the address, so it is held to what webhooks are: https at a public address,
   unless the operator allows the host. The address that was checked is the one that is connected
   to.
2. A name is looked up in a thread of its own, one at a time for each tenant: one that nobody
   answers keeps neither the router nor another tenant waiting. Where it led is kept for some
   seconds.
3. Only so many services are kept in mind; the one that was not asked for the longest goes first.
"""

import asyncio
import contextlib
import functools
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from agi_router.calls.check import Checked, Question, TenantService, Verdict
from agi_router.calls.verifier import PORTS, HttpVerifier
from agi_router.events.addresses import resolve
from agi_router.events.model import check_url

__all__ = ["TenantVerifiers"]

_KEPT = 256
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
        self._lookups = _Lookups()
        # By tenant: what asks its service, as it was when it was asked last.
        self._verifiers: OrderedDict[int, tuple[str, float, HttpVerifier]] = OrderedDict()

    def close(self) -> None:
        """
        Close the connections that are kept.
        """
        for _, _, verifier in self._verifiers.values():
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
        found = self._verifiers.pop(service.tenant_id, None)
        if found is not None and found[:2] != (service.url, limit):
            found[2].close()
            found = None
        if found is None:
            found = service.url, limit, self._made(service, limit)
        self._verifiers[service.tenant_id] = found
        if len(self._verifiers) > _KEPT:
            self._verifiers.popitem(last=False)[1][2].close()
        return found[2]

    def _made(self, service: TenantService, limit: float) -> HttpVerifier:
        look_up = functools.partial(self._lookups.do, service.tenant_id)
        place = _Place(urlsplit(service.url), look_up, self._tls, self._allowed)
        return HttpVerifier(
            service.url, timeout=limit, opening=place.open, told={"tenant": service.tenant_id}
        )


class _Lookups:
    """
    Look-ups of names, each in a thread of its own, and of a tenant one at a time.
    """

    def __init__(self) -> None:
        self._under_way: set[int] = set()

    async def do(self, tenant_id: int, look_up: Callable[[], str]) -> str:
        """
        Look a name up for a tenant.

        Raises:
            WebhookInvalid: It may not be reached.
            OSError: It leads nowhere, or another look-up for this tenant has no answer yet.
        """
        if tenant_id in self._under_way:
            raise OSError("a name is looked up for this tenant still")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()

        def tell(method: Callable[[Any], None], told: object) -> None:
            self._under_way.discard(tenant_id)
            if not future.done():
                method(told)

        def work() -> None:
            told: tuple[Callable[[Any], None], object]
            try:
                told = future.set_result, look_up()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                told = future.set_exception, error
            # Nobody waits any more where the loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, *told)

        self._under_way.add(tenant_id)
        # A daemon: the process does not wait for it at its end.
        threading.Thread(target=work, name=f"names-{tenant_id}", daemon=True).start()
        return await future


class _Place:
    """
    Where a service is.
    """

    def __init__(
        self,
        parts: SplitResult,
        look_up: Callable[[Callable[[], str]], Awaitable[str]],
        tls: ssl.SSLContext,
        allowed: Collection[str],
    ) -> None:
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._secure = parts.scheme == "https"
        self._tls = tls
        self._look_up = functools.partial(
            look_up,
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

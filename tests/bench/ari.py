"""
The command `tests/bench/run ari`: our ARI client, REST over WebSocket, against the same over HTTP.

Both ask the same Asterisk for the same global variable, in turn. The peer is http.client of the
standard library on connections that are kept: no cheaper HTTP client is likely.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import base64
import http.client
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from agi_router.ari import AriClient
from agi_router.errors import AgiRouterError
from agi_router.settings import Settings
from testpbx import processes

from .cpu import Processes
from .errors import BenchError
from .pbx import pbx_up

ABOUT = """\
Round trips per second and CPU per round trip of the ARI client, REST over WebSocket, against the
same request over HTTP, interleaved on one Asterisk. See tests/bench/README.md.
"""
_VARIABLE = "AGI_ROUTER_DIALPLAN"
_CROWD = 16
_CLIENTS = ("websocket", "http")


@dataclass(frozen=True, slots=True)
class Sample:
    """
    Some round trips.

    Attributes:
        rate: Round trips per second.
        client: Microseconds of CPU of the client per round trip.
        asterisk: The same of Asterisk.
    """

    rate: float
    client: float
    asterisk: float


class Bench:
    """
    One run on an Asterisk that is up.

    Args:
        settings: How to reach it.
        pid: Its process.
        trips: Round trips per round.
    """

    def __init__(self, settings: Settings, pid: int, *, trips: int) -> None:
        self._settings = settings
        self._password = settings.load_ari_password()
        self._pid = pid
        self._trips = trips

    def measure(self, client: str, *, crowd: int) -> Sample:
        """
        One round.

        Args:
            client: websocket or http.
            crowd: How many requests are under way at once.
        """
        return self._websocket(crowd) if client == "websocket" else self._http(crowd)

    def _websocket(self, crowd: int) -> Sample:
        async def run() -> Sample:
            async with AriClient(
                url=self._settings.ari_url,
                user=self._settings.ari_user,
                password=self._password,
                app="bench",
            ) as ari:

                async def ask() -> None:
                    for _ in range(self._trips // crowd):
                        if not await ari.get_variable(_VARIABLE):
                            raise BenchError(f"Asterisk has no {_VARIABLE}")

                watch = self._watch()
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(crowd):
                        tasks.create_task(ask())
                return watch(crowd)

        return asyncio.run(run())

    def _http(self, crowd: int) -> Sample:
        address = urlsplit(self._settings.ari_url)
        login = f"{self._settings.ari_user}:{self._password}"
        headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        assert address.hostname is not None

        connections = [
            http.client.HTTPConnection(address.hostname, address.port, timeout=10)
            for _ in range(crowd)
        ]
        for connection in connections:
            connection.connect()

        def ask(connection: http.client.HTTPConnection) -> None:
            for _ in range(self._trips // crowd):
                connection.request(
                    "GET", f"/ari/asterisk/variable?variable={_VARIABLE}", headers=headers
                )
                response = connection.getresponse()
                if not json.loads(response.read())["value"]:
                    raise BenchError(f"Asterisk has no {_VARIABLE}")

        try:
            with ThreadPoolExecutor(crowd) as threads:
                watch = self._watch()
                list(threads.map(ask, connections))
                return watch(crowd)
        finally:
            for connection in connections:
                connection.close()

    def _watch(self) -> Callable[[int], Sample]:
        """Begin to measure; whoever calls the result gets what has been since."""
        asterisk = Processes().cpu(self._pid)
        client, began = time.process_time(), time.perf_counter()

        def stop(crowd: int) -> Sample:
            seconds = time.perf_counter() - began
            used = time.process_time() - client
            trips = self._trips // crowd * crowd
            return Sample(
                rate=trips / seconds,
                client=1e6 * used / trips,
                asterisk=1e6 * (Processes().cpu(self._pid) - asterisk) / trips,
            )

        return stop


def summary(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    """Medians of both clients, and the median of the ratios of each round."""
    result: dict[str, Any] = {
        client: {
            "trips_per_second": round(median(one.rate for one in rounds)),
            "client_us": round(median(one.client for one in rounds), 1),
            "asterisk_us": round(median(one.asterisk for one in rounds), 1),
        }
        for client, rounds in samples.items()
    }
    ours, peer = (samples[client] for client in _CLIENTS)
    pairs = list(zip(ours, peer, strict=True))
    result["rate_vs_http"] = round(median(one.rate / two.rate for one, two in pairs), 3)
    result["cpu_vs_http"] = round(
        median((one.client + one.asterisk) / (two.client + two.asterisk) for one, two in pairs), 3
    )
    return result


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/bench/run ari", description=ABOUT)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2,000 round trips")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5")
    parser.add_argument("--trips", type=int, metavar="N", help="per round, default 20,000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    rounds = args.rounds or (2 if args.quick else 5)
    trips = args.trips or (2_000 if args.quick else 20_000)
    if rounds < 1 or trips < _CROWD:
        parser.error(f"at least one round, and {_CROWD} round trips")
    result: dict[str, Any] = {}
    try:
        with pbx_up(router=False) as pbx:
            pid = processes.running(Path(pbx["logs"]).parent / "asterisk.pid")
            bench = Bench(Settings.from_env(pbx["env"]), pid, trips=trips)
            for crowd in (1, _CROWD):
                for client in _CLIENTS:
                    bench.measure(client, crowd=crowd)
                samples: dict[str, list[Sample]] = {client: [] for client in _CLIENTS}
                for _ in range(rounds):
                    for client in _CLIENTS:
                        samples[client].append(bench.measure(client, crowd=crowd))
                result[f"at_once_{crowd}"] = summary(samples)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        "| at once | client | trips/s | client, µs CPU | Asterisk, µs CPU | ÷ HTTP, rate | CPU |"
    )
    print("| --: | --- | --: | --: | --: | --: | --: |")
    for name, one in result.items():
        for client in _CLIENTS:
            ratios = (
                f"{one['rate_vs_http']:.2f} | {one['cpu_vs_http']:.2f}"
                if client == "websocket"
                else "1.00 | 1.00"
            )
            figures = " | ".join(f"{value:,}" for value in one[client].values())
            print(f"| {name.rpartition('_')[2]} | {client} | {figures} | {ratios} |")
    print(f"\nrounds {rounds} · round trips {trips}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`/metrics` for Prometheus and `/healthz` for whoever restarts us. Loopback unless told otherwise.

Counters are read when asked for, from the very numbers that `node.info` shows; nothing is counted
twice. Labels are reasons, stages and quantiles: never a conference, a leg or an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control.director import Director
from control.messages import NodeStatus

PATIENCE_TICKS: Final = 25
"""A mixer that has not ticked for so many intervals is not well."""


class HttpError(Exception):
    """The HTTP port cannot be opened."""


class NodeCollector(Collector):
    """`NodeStatus` as Prometheus metrics, `mrfp_*`."""

    def __init__(self, status: Callable[[], NodeStatus], faults: Callable[[], int]) -> None:
        self._status = status
        self._faults = faults

    def describe(self) -> Iterator[Metric]:
        """Nothing: so that registering asks nothing of the mixer."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metrics, as of now."""
        status = self._status()
        yield GaugeMetricFamily("mrfp_legs", "Legs in all conferences.", status.legs)
        yield GaugeMetricFamily("mrfp_conferences", "Conferences.", status.conferences)
        yield GaugeMetricFamily("mrfp_bridged_legs", "Group-keyed legs on keys of their own.", status.bridged)
        yield GaugeMetricFamily("mrfp_group_keys", "Cohorts with an active group key.", status.group_keys)
        yield GaugeMetricFamily("mrfp_plays", "Prompts that play.", status.plays)
        yield GaugeMetricFamily("mrfp_records", "Recordings that run.", status.records)
        yield GaugeMetricFamily("mrfp_draining", "1 while no new legs are taken.", int(status.draining))
        yield GaugeMetricFamily("mrfp_receive_buffer_bytes", "Socket receive buffer granted.", status.granted_rcvbuf)
        for name, text, value in (
            ("mrfp_ticks", "Mixing intervals since the start.", status.frame),
            ("mrfp_late_ticks", "Ticks that began late.", status.late_ticks),
            ("mrfp_skipped_ticks", "Ticks given up; audio had a gap.", status.skipped_ticks),
            ("mrfp_datagrams_received", "Datagrams received.", status.received),
            ("mrfp_datagrams_accepted", "Datagrams used or passed over.", status.accepted),
            ("mrfp_datagrams_passed", "Datagrams of legs that go on being silent, not decrypted.", status.passed),
            ("mrfp_decodes", "Packets of codecs with memory decoded, repaired or invented.", status.decodes),
            ("mrfp_encode_failures", "Packets that a codec library refused to encode.", status.encode_failures),
            ("mrfp_encodes", "Frames encoded.", status.encodes),
            ("mrfp_encrypts", "Packets encrypted: one a tick, stream and key.", status.encrypts),
            ("mrfp_common_encodes", "Frames encoded for all listeners together.", status.common_encodes),
            ("mrfp_common_encrypts", "Packets encrypted for all listeners together.", status.common_encrypts),
            ("mrfp_packets_sent", "Packets sent.", status.packets_sent),
            ("mrfp_packets_unsent", "Packets that the kernel did not take.", status.unsent),
            ("mrfp_dtls_handshakes", "DTLS handshakes that gave a leg its keys.", status.handshakes),
            ("mrfp_dtls_handshakes_failed", "DTLS handshakes that did not.", status.handshakes_failed),
            ("mrfp_record_lost_seconds", "Silence in recordings instead of sound.", status.record_lost_ms / 1000),
            ("mrfp_faults", "Errors of our own in the media path.", status.faults),
            ("mrfp_control_faults", "Control requests that ended in an error of our own.", self._faults()),
        ):
            yield CounterMetricFamily(name, text, value)
        yield from _labelled(status)


class HttpServer:
    """The two pages of one daemon."""

    def __init__(self, collector: Collector, ailment: Callable[[], Awaitable[str]]) -> None:
        """`ailment` says what is wrong with the daemon, in a few words; nothing if it is well."""
        self._ailment = ailment
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collector)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, tcp_port: int) -> int:
        """Open the port, and return it. Raises `HttpError`."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, tcp_port).start()
        except OSError as error:
            await runner.cleanup()
            raise HttpError(f"cannot serve HTTP at {host}:{tcp_port}: {error.strerror or error}") from None
        self._runner = runner
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _request: web.Request) -> web.Response:
        ailment = await self._ailment()
        return web.Response(status=503 if ailment else 200, text=f"{ailment or 'ok'}\n")


def of_mixer(director: Director, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> HttpServer:
    """The pages of a mixer. `pause` waits for so many seconds; tests have one that does not."""

    async def ailment() -> str:
        if director.status().draining:
            return "draining"
        return "" if await ticking(director, pause) else "the mixer does not tick"

    return HttpServer(NodeCollector(director.status, lambda: director.faults), ailment)


async def ticking(director: Director, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> bool:
    """True as soon as the mixer's clock moves; False if it does not within `PATIENCE_TICKS`."""
    before = director.status()
    for _ in range(PATIENCE_TICKS):
        await pause(before.tick_ms / 1000)
        if director.status().frame != before.frame:
            return True
    return False


def _labelled(status: NodeStatus) -> Iterator[Metric]:
    build = GaugeMetricFamily("mrfp_build_info", "1, with the version.", labels=["version"])
    build.add_metric([status.version], 1)
    yield build
    drops = CounterMetricFamily("mrfp_datagrams_dropped", "Datagrams not used.", labels=["reason"])
    for reason, count in status.drops.items():
        drops.add_metric([reason], count)
    yield drops
    stages = GaugeMetricFamily("mrfp_stage_seconds", "Mean time a tick, by step.", labels=["stage"])
    for stage, mean_us in status.stages_us.items():
        stages.add_metric([stage], mean_us / 1e6)
    yield stages
    late = GaugeMetricFamily("mrfp_tick_lateness_seconds", "How late ticks began.", labels=["quantile"])
    for quantile, value in (("0.5", "p50"), ("0.99", "p99"), ("1", "max")):
        late.add_metric([quantile], getattr(status.lateness_ms, value) / 1000)
    yield late

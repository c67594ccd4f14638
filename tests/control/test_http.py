"""`/metrics` and `/healthz`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from control.director import Director
from control.http import HttpError, of_mixer
from tests.control.fakes import FakeMixer


class Pages:
    """The pages of a fake mixer that ticks once every pause, or not at all."""

    def __init__(self) -> None:
        self.mixer = FakeMixer()
        self.ticks = True
        self.director = Director(self.mixer)
        self.server = of_mixer(self.director, self._pause)
        self.port = 0

    async def _pause(self, _seconds: float) -> None:
        self.mixer.frame += self.ticks

    async def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    pages = Pages()
    pages.port = await pages.server.start("127.0.0.1", 0)
    yield pages
    await pages.server.stop()


async def test_metrics(pages: Pages) -> None:
    pages.mixer.frame = 17
    status, text = await pages.get("/metrics")
    assert status == 200
    for line in (
        "mrfp_ticks_total 17.0",
        "mrfp_datagrams_received_total 1000.0",
        'mrfp_datagrams_dropped_total{reason="auth_failed"} 7.0',
        "mrfp_encodes_total 50.0",
        "mrfp_encrypts_total 60.0",
        "mrfp_packets_sent_total 2000.0",
        "mrfp_late_ticks_total 1.0",
        "mrfp_legs 0.0",
        'mrfp_stage_seconds{stage="decrypt"} 1.25e-05',
        'mrfp_tick_lateness_seconds{quantile="0.99"} 0.0009',
        'mrfp_build_info{version="0.1.0"} 1.0',
    ):
        assert line in text.splitlines()


async def test_healthy_while_it_ticks(pages: Pages) -> None:
    assert await pages.get("/healthz") == (200, "ok\n")
    pages.ticks = False
    assert await pages.get("/healthz") == (503, "the mixer does not tick\n")


async def test_not_healthy_while_it_drains(pages: Pages) -> None:
    await pages.director.drain()
    assert await pages.get("/healthz") == (503, "draining\n")
    assert "mrfp_draining 1.0" in (await pages.get("/metrics"))[1]


async def test_a_port_that_is_taken(pages: Pages) -> None:
    with pytest.raises(HttpError, match="cannot serve HTTP at"):
        await of_mixer(pages.director).start("127.0.0.1", pages.port)

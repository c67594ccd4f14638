"""The driver in the world: a real mixer behind its control socket, a real KMS behind its own, members on UDP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from control.client import MixerClient
from control.errors import ControlError
from control.kms import daemon as kms_daemon
from control.kms.client import KmsClient
from control.kms.settings import KmsSettings, ListenSettings, StateSettings
from control.member import Member
from control.rekey.conductor import Conductor, Joiner
from control.rekey.courier import Courier
from control.rekey.driver import Driver, KeySource, KmsKeys, Renew
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from control.server import ControlServer
from mixer import port
from mixer.config import MixerConfig
from mixer.secret import Secret
from mixer.service import Service
from mixer.suites import SuiteName
from tests import naive
from tests.reference.srtp import Context, Refused

PATIENCE_S = 20.0
SUITE: Final[SuiteName] = "AES_CM_128_HMAC_SHA1_80"


class Endpoint:
    """A member with two sockets: one for media, one for key messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.psk = Secret(secrets.token_bytes(16))
        self.member = Member(name, self.psk, focus="focus", conference="c")
        self.heard: list[str] = []
        """MKIs of the packets that it could read, in order."""
        self.refused = 0
        self.arrived = asyncio.Condition()
        self._streams: dict[int, Any] = {}
        self._contexts: dict[bytes, Context] = {}
        self._media: asyncio.DatagramTransport
        self._keys: asyncio.DatagramTransport

    async def open(self, stack: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        self._media, _ = await loop.create_datagram_endpoint(lambda: Ear(self._hear), ("127.0.0.1", 0))
        self._keys, _ = await loop.create_datagram_endpoint(lambda: Ear(self._told), ("127.0.0.1", 0))
        stack.callback(self._media.close)
        stack.callback(self._keys.close)

    def joiner(self) -> Joiner:
        """Keys of its own, by the signalling."""
        mki = (0x8000_0000 | secrets.randbits(31)).to_bytes(4)
        own, rx = Secret(secrets.token_bytes(30)), Secret(secrets.token_bytes(30))
        self.member.own(mki, own, SUITE)
        self._streams.clear()
        self._contexts.clear()
        host, number = self._media.get_extra_info("sockname")
        leg = port.LegAdd(
            conference="c",
            leg=self.name,
            rx=port.Key(secret=rx),
            tx=port.Key(secret=own, mki=mki.hex()),
            remote=f"{host}:{number}",
        )
        return Joiner(leg, self.psk)

    @property
    def address(self) -> tuple[str, int]:
        host, number = self._keys.get_extra_info("sockname")
        return host, number

    def _told(self, octets: bytes, addr: tuple[str, int]) -> None:
        answer = self.member.receive(octets, now=asyncio.get_running_loop().time())
        if answer is not None:
            self._keys.sendto(answer, addr)

    def _hear(self, octets: bytes, addr: tuple[str, int]) -> None:
        if naive.kind_of(octets) != "rtp":
            return
        mki = octets[-14:-10]
        key = self.member.key(mki)
        if key is None:
            self.refused += 1
            return
        context = self._contexts.setdefault(mki, Context(key.suite, key.secret.reveal(), mki=mki))
        context.streams = self._streams
        try:
            context.unprotect(octets)
        except Refused:
            self.refused += 1
            return
        self.member.used(mki, now=asyncio.get_running_loop().time())
        self.heard.append(mki.hex())
        asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        async with self.arrived:
            self.arrived.notify_all()

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait for something that packets bring."""
        async with asyncio.timeout(PATIENCE_S), self.arrived:
            await self.arrived.wait_for(what)

    def grouped(self) -> bool:
        """It hears under a group key."""
        return bool(self.heard) and self.heard[-1] < "80000000"


class Ear(asyncio.DatagramProtocol):
    def __init__(self, hear: Callable[[bytes, Any], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._hear(data, addr)


class World:
    """A mixer and a KMS that can be stopped and started, and a driver between them."""

    def __init__(self, home: Path, stack: AsyncExitStack) -> None:
        self.home, self._stack = home, stack
        self.service: Service
        self.server: ControlServer
        self.endpoints: dict[str, Endpoint] = {}
        self.driver: Driver
        self.signal: Renew = self.signal_at_once
        self.draining = False
        """A mixer that starts takes no conference."""

    async def start_mixer(self) -> None:
        self.service = Service(
            MixerConfig(host="127.0.0.1", port=0, ledger=str(self.home / "keys.ledger"), max_legs=64)
        )
        await self.service.start()
        if self.draining:
            await self.service.drain()
        await self.open_door()

    async def open_door(self) -> None:
        self.server = ControlServer(self.service)
        await self.server.listen_unix(self.home / "mixer.sock")

    async def stop_mixer(self) -> None:
        await self.server.stop()
        await self.service.stop()

    async def start_driver(self, keys: KeySource | None, **rekey: Any) -> None:
        mixer = MixerClient(f"unix:{self.home / 'mixer.sock'}")
        await mixer.connect()
        await mixer.call(port.ConferenceCreate(conference="c", keying="group", style="mki"))
        settings = msgspec.convert({"mode": "group", "cohort_target": 0, "t_leave_min": 0.05} | rekey, RekeySettings)
        conductor = Conductor(Policy(settings), Keychain("c", SUITE), identity="focus")
        kms = KmsClient(f"unix:{self.home / 'kms.sock'}", timeout_s=5.0)
        self.driver = Driver(conductor, mixer, keys or KmsKeys(kms), renew=self.renew)
        await self.driver.open("127.0.0.1")
        running = asyncio.create_task(self.driver.run())

        async def end() -> None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await mixer.close()
            await kms.close()

        self._stack.push_async_callback(end)

    async def renew(self, names: Iterable[str]) -> list[Joiner]:
        return await self.signal(names)

    async def signal_at_once(self, names: Iterable[str]) -> list[Joiner]:
        return [self.endpoints[name].joiner() for name in names]

    async def join(self, name: str) -> Endpoint:
        endpoint = self.endpoints[name] = Endpoint(name)
        await endpoint.open(self._stack)
        self.driver.join(endpoint.joiner(), endpoint.address)
        return endpoint

    def leave(self, name: str) -> Endpoint:
        self.driver.leave(name)
        return self.endpoints.pop(name)

    async def grouped(self) -> None:
        for endpoint in self.endpoints.values():
            await endpoint.until(endpoint.grouped)


@asynccontextmanager
async def world(home: Path, keys: KeySource | None = None, **rekey: Any) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        settings = KmsSettings(
            listen=ListenSettings(socket=str(home / "kms.sock")), state=StateSettings(directory=str(home / "kms"))
        )
        await stack.enter_async_context(kms_daemon.opened(settings))
        made = World(home, stack)
        await made.start_mixer()
        stack.push_async_callback(made.stop_mixer)
        await made.start_driver(keys, **rekey)
        yield made


async def test_join_rekey_and_leave(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        ann, bob, _ = [await one.join(name) for name in ("ann", "bob", "cat")]
        await one.grouped()
        first = ann.heard[-1]
        gone = one.leave("cat")
        await ann.until(lambda: ann.heard[-1][:6] > first[:6] and ann.grouped())
        await bob.until(lambda: bob.heard[-1] == ann.heard[-1])
        assert not ann.refused
        assert not bob.refused
        assert gone.member.epoch < int(ann.heard[-1], 16), "who left was told nothing more"
        counts = one.driver.conductor.counts
        assert counts.bad_acks == 0
        assert counts.refusals == 0
        dan = await one.join("dan")
        await dan.until(dan.grouped)
        await ann.until(lambda: ann.heard[-1] == dan.heard[-1])
        assert int(dan.heard[-1], 16) & 0xFF == 1, "a ratchet step"
        assert not ann.refused


async def test_the_connection_breaks_and_the_conference_goes_on(tmp_path: Path) -> None:
    """The mixer lives on; the driver finds it again, destroys the keys it can't account for, and makes new ones."""
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        bob = await one.join("bob")
        await one.grouped()
        before = ann.heard[-1]
        boot = one.service.engine.boot_id
        await one.server.stop()
        heard = len(ann.heard)
        await ann.until(lambda: len(ann.heard) > heard + 5)
        await one.open_door()
        await ann.until(lambda: ann.grouped() and ann.heard[-1] > before)
        await bob.until(lambda: bob.heard[-1] == ann.heard[-1])
        assert one.service.engine.boot_id == boot
        assert not ann.refused
        assert not bob.refused


async def test_the_mixer_restarts(tmp_path: Path) -> None:
    """Another life: the conference is made anew, legs come back with fresh keys, and no old key is pushed again."""
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        bob = await one.join("bob")
        await one.grouped()
        before = ann.heard[-1]
        await one.stop_mixer()
        await one.start_mixer()
        await ann.until(lambda: ann.grouped() and ann.heard[-1] > before)
        await bob.until(lambda: bob.grouped() and bob.heard[-1] > before)
        assert one.driver.conductor.counts.refusals == 0


async def test_a_kms_that_refuses_leaves_everybody_on_own_keys(tmp_path: Path) -> None:
    class Refusing:
        async def make(self, *_: object) -> Secret:
            raise ControlError(2001, "not you")

        async def admit(self, *_: object) -> None:
            raise ControlError(2001, "not you")

        async def expel(self, *_: object) -> None:
            raise ControlError(2001, "not you")

        async def close(self, *_: object) -> None:
            raise ControlError(2001, "not you")

    async with world(tmp_path, Refusing()) as one:
        ann = await one.join("ann")
        await ann.until(lambda: len(ann.heard) > 20)
        assert not ann.grouped()
        assert not ann.refused


async def test_the_courier_knows_whom_it_serves() -> None:
    heard: list[tuple[str, bytes]] = []
    courier = Courier(lambda member, octets: heard.append((member, octets)))
    address = await courier.open("127.0.0.1")
    arrived = asyncio.Event()
    got: list[bytes] = []

    def hear(octets: bytes, addr: Any) -> None:
        got.append(octets)
        arrived.set()

    loop = asyncio.get_running_loop()
    member, _ = await loop.create_datagram_endpoint(lambda: Ear(hear), ("127.0.0.1", 0))
    stranger, _ = await loop.create_datagram_endpoint(lambda: Ear(hear), ("127.0.0.1", 0))
    try:
        courier.send("ann", b"nobody there")
        assert courier.unsent == 1
        courier.know("ann", member.get_extra_info("sockname"))
        courier.send("ann", b"key")
        async with asyncio.timeout(PATIENCE_S):
            await arrived.wait()
        assert got == [b"key"]
        stranger.sendto(b"forged", address)
        member.sendto(b"ack", address)
        async with asyncio.timeout(PATIENCE_S):
            while not heard or not courier.strangers:
                await asyncio.sleep(0)
        assert heard == [("ann", b"ack")]
        courier.forget("ann")
        courier.send("ann", b"gone")
        assert courier.unsent == 2
    finally:
        member.close()
        stranger.close()
        courier.close()


@pytest.fixture(autouse=True)
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.rekey.driver.RETRY_S", 0.01)

"""The driver with a carrier of its owner's, and how it begins and ends: adopt, stop, close the conference."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
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
from control.rekey.conductor import Conductor, Joiner, NameTaken
from control.rekey.driver import Driver, KmsKeys
from control.rekey.keychain import Keychain
from control.rekey.policy import Policy
from control.rekey.settings import RekeySettings
from control.rekey.signals import Signal
from control.server import ControlServer
from mixer import port
from mixer.config import MixerConfig
from mixer.secret import Secret
from mixer.service import Service

PATIENCE_S: Final = 20.0


def joiner(name: str, psk: Secret | None = None, *, follows: bool = True) -> Joiner:
    keys = [port.Key(secret=Secret(secrets.token_bytes(30))) for _ in "rt"]
    leg = port.LegAdd(conference="c", leg=name, rx=keys[0], tx=keys[1])
    return Joiner(leg, psk, follows=follows)


class Sip:
    """A carrier that answers everything at once."""

    def __init__(self) -> None:
        self.driver: Driver
        self.members: dict[str, Member] = {}
        self.signals: list[Signal] = []
        self.messages: list[str] = []

    def send(self, member: str, octets: bytes) -> None:
        self.messages.append(member)
        answer = self.members[member].receive(octets, now=0.0)
        asyncio.get_running_loop().call_soon(self.driver.heard, member, answer or b"")

    def signal(self, signal: Signal) -> None:
        self.signals.append(signal)
        answer = self.driver.unsignalled if signal.member == "stubborn" else self.driver.signalled
        asyncio.get_running_loop().call_soon(answer, signal.member, signal.epoch)


class World:
    """A mixer and a KMS, and one focus after the other."""

    def __init__(self, home: Path, stack: AsyncExitStack, mixer: MixerClient) -> None:
        self.home, self._stack, self.mixer = home, stack, mixer
        self.running: asyncio.Task[None]

    async def focus(self, *, adopt: list[Joiner] | None = None) -> tuple[Driver, Sip]:
        client = MixerClient(f"unix:{self.home / 'mixer.sock'}")
        await client.connect()
        self._stack.push_async_callback(client.close)
        settings = msgspec.convert({"mode": "group", "t_leave_min": 0.05, "admission": "current"}, RekeySettings)
        conductor = Conductor(
            Policy(settings, style="ssrc"), Keychain("c", "AES_CM_128_HMAC_SHA1_80", style="ssrc"), identity="focus"
        )
        kms = KmsClient(f"unix:{self.home / 'kms.sock'}", timeout_s=5.0)
        self._stack.push_async_callback(kms.close)
        sip = Sip()
        driver = sip.driver = Driver(conductor, client, KmsKeys(kms), renew=self._nobody, carrier=sip)
        if adopt is not None:
            driver.adopt(adopt)
        self.running = asyncio.create_task(driver.run())
        self._stack.push_async_callback(self._end, self.running)
        return driver, sip

    @staticmethod
    async def _nobody(names: Any) -> list[Joiner]:
        return []

    @staticmethod
    async def _end(running: asyncio.Task[None]) -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def create(self) -> None:
        await self.mixer.call(port.ConferenceCreate(conference="c", keying="group", style="ssrc"))

    async def shown(self) -> port.ConferenceStatus:
        return await self.mixer.call(port.ConferenceShow(conference="c"))

    async def keyed(self, **keying: str) -> port.ConferenceStatus:
        """Until the mixer has these legs, keyed so: it follows what the policy wants."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                shown = await self.shown()
                if {leg.leg: leg.keying for leg in shown.legs} == keying:
                    return shown

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.running


async def until(driver: Driver, what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S), driver.changed:
        await driver.changed.wait_for(what)


@asynccontextmanager
async def world(home: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        settings = KmsSettings(
            listen=ListenSettings(socket=str(home / "kms.sock")), state=StateSettings(directory=str(home / "kms"))
        )
        await stack.enter_async_context(kms_daemon.opened(settings))
        service = Service(MixerConfig(host="127.0.0.1", port=0, ledger=str(home / "keys.ledger"), max_legs=64))
        await service.start()
        stack.push_async_callback(service.stop)
        server = ControlServer(service)
        await server.listen_unix(home / "mixer.sock")
        stack.push_async_callback(server.stop)
        mixer = await stack.enter_async_context(MixerClient(f"unix:{home / 'mixer.sock'}"))
        yield World(home, stack, mixer)


async def test_keys_go_by_the_carrier(tmp_path: Path) -> None:
    """By MIKEY to one, by the signalling to another, not at all to a third; a fourth is told the key in use."""
    async with world(tmp_path) as one:
        await one.create()
        driver, sip = await one.focus()
        policy = driver.conductor.policy
        psk = Secret(secrets.token_bytes(16))
        sip.members["ann"] = Member("ann", psk, focus="focus", conference="c")
        driver.join(joiner("ann", psk))
        driver.join(joiner("bob"))
        driver.join(joiner("bare", follows=False))
        assert driver.admit() is None
        await until(driver, lambda: policy.keying_of("ann") == policy.keying_of("bob") == "group")
        assert set(sip.messages) == {"ann"}
        assert {signal.member for signal in sip.signals} == {"bob"}
        current = driver.admit()
        assert current is not None
        assert current.key == sip.signals[-1].key
        driver.join(joiner("cat"), holding=current)
        await until(driver, lambda: policy.keying_of("cat") == "group")
        driver.leave("bob")
        await until(driver, lambda: (driver.admit() or current).epoch > current.epoch)
        await one.keyed(ann="group", cat="group", bare="unique")
        assert driver.conductor.counts.refusals == 0
        assert driver.courier.unsent == 0


async def test_who_comes_under_a_name_that_is_taken_disturbs_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.create()
        driver, _ = await one.focus()
        entering = asyncio.create_task(driver.enter(joiner("ann")))
        await asyncio.sleep(0)
        with pytest.raises(NameTaken):
            await driver.enter(joiner("ann"))
        async with asyncio.timeout(PATIENCE_S):
            assert (await entering).leg == "ann"
        assert [leg.leg for leg in (await one.shown()).legs] == ["ann"]


async def test_who_gives_up_on_entering_has_left(tmp_path: Path) -> None:
    """Else its leg would hear and speak, and be sent keys, with nobody to take it out."""
    async with world(tmp_path) as one:
        await one.create()
        driver, _ = await one.focus()
        entering = asyncio.create_task(driver.enter(joiner("ann", follows=False)))
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        await driver.enter(joiner("bob", follows=False))
        await one.keyed(bob="unique")
        assert await driver.enter(joiner("ann", follows=False))  # the name is free again


async def test_stop_leaves_the_conference_and_close_does_not(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.create()
        driver, _ = await one.focus()
        driver.join(joiner("ann"))
        await until(driver, lambda: driver.conductor.policy.keying_of("ann") == "group")
        driver.stop()
        await one.ended()
        assert [leg.leg for leg in (await one.shown()).legs] == ["ann"]
        driver, _ = await one.focus(adopt=[])
        await one.keyed()
        driver.join(joiner("bob"))
        await until(driver, lambda: driver.conductor.policy.keying_of("bob") == "group")
        driver.close_conference()
        await one.ended()
        assert (await one.mixer.call(port.ConferenceList())).conferences == []
        async with KmsClient(f"unix:{tmp_path / 'kms.sock'}") as kms:
            assert (await kms.info()).conferences == 0


async def test_a_focus_that_restarted_adopts_the_conference_of_its_former_life(tmp_path: Path) -> None:
    """Whom it knows stays, whom it does not is removed, and no key lives that it did not make."""
    async with world(tmp_path) as one:
        await one.create()
        driver, _ = await one.focus()
        ann, bare = joiner("ann"), joiner("bare", follows=False)
        for who in (ann, bare, joiner("lost")):
            driver.join(who)
        await until(driver, lambda: driver.conductor.policy.keying_of("lost") == "group")
        before = (await one.shown()).epoch
        driver.stop()
        await one.ended()
        driver, _ = await one.focus(adopt=[ann, bare])
        await until(driver, lambda: driver.conductor.policy.keying_of("ann") == "group")
        shown = await one.keyed(ann="group", bare="unique")
        assert shown.epoch > before
        assert driver.conductor.counts.refusals == 0


async def test_a_conference_to_adopt_that_is_not_there_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        driver, _ = await one.focus(adopt=[])
        driver.join(joiner("ann"))
        await until(driver, lambda: driver.conductor.policy.keying_of("ann") == "group")
        assert (await one.shown()).style == "ssrc"


async def test_who_refuses_keys_stays_on_its_own(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.create()
        driver, sip = await one.focus()
        driver.join(joiner("stubborn"))
        driver.join(joiner("ann"))
        await until(driver, lambda: driver.conductor.policy.keying_of("ann") == "group")
        assert driver.conductor.policy.keying_of("stubborn") == "own"
        assert len([signal for signal in sip.signals if signal.member == "stubborn"]) > 1, "it was asked again"


async def test_closing_what_is_gone_already_is_no_fault(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.create()
        driver, _ = await one.focus()
        driver.join(joiner("ann"))
        await until(driver, lambda: driver.conductor.policy.keying_of("ann") == "group")
        await one.mixer.call(port.ConferenceDestroy(conference="c"))
        driver.close_conference()
        await one.ended()
        with pytest.raises(ControlError, match="no conference"):
            await one.shown()

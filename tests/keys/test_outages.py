"""What the driver gets over: a KMS or a mixer that is away, refuses, forgets, or hangs, and people who come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from control.client import MixerClient
from control.errors import ControlError
from control.kms import daemon as kms_daemon
from control.kms.client import Disconnected, KmsClient
from control.kms.settings import KmsSettings, ListenSettings, StateSettings
from control.rekey.conductor import Joiner, NameTaken
from control.rekey.courier import Courier
from control.rekey.driver import KmsKeys
from control.rekey.keysource import EpochsMade
from mixer import port
from mixer.secret import Secret
from tests.control.conftest import until
from tests.keys.test_driver import PATIENCE_S, SUITE, World, world

MEMBERS = ["ann", "bob"]


def kms_settings(home: Path) -> KmsSettings:
    return KmsSettings(
        listen=ListenSettings(socket=str(home / "kms.sock")), state=StateSettings(directory=str(home / "kms"))
    )


class Kms:
    """A KMS that can be stopped and started, and connections of one client that can be cut."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._life = AsyncExitStack()
        self.daemon: Any = None
        self.client = KmsClient(f"unix:{home / 'kms.sock'}", timeout_s=5.0)
        self.keys = KmsKeys(self.client)

    async def start(self) -> None:
        self.daemon = await self._life.enter_async_context(kms_daemon.opened(kms_settings(self._home)))

    async def stop(self) -> None:
        await self._life.aclose()

    async def make(self, epoch: int) -> Secret:
        return await self.keys.make("c", 0, epoch, SUITE)

    async def audit(self) -> list[tuple[str, str]]:
        """(operation, member) of all that was done."""
        async with KmsClient(f"unix:{self._home / 'kms.sock'}") as auditor:
            records = (await auditor.audit(limit=1000)).records
        return [(record.op, record.member) for record in records if record.outcome == "ok"]

    async def refuses(self, member: str) -> bool:
        async with KmsClient(f"unix:{self._home / 'kms.sock'}") as client:
            try:
                await client.expel("c", member)
            except ControlError:
                return True
            await client.admit("c", member)
            return False


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Kms]:
    kms = Kms(home)
    await kms.start()
    try:
        yield kms
    finally:
        await kms.client.close()
        await kms.stop()


# -- the KMS --------------------------------------------------------------------------------------


async def test_a_connection_to_the_kms_that_broke_is_made_again(tmp_path: Path) -> None:
    """The KMS lives on and knows the conference; that it is registered already is no reason to go without keys."""
    async with opened(tmp_path) as kms:
        await kms.make(0x100)
        await kms.client.close()
        with pytest.raises(Disconnected):
            await kms.make(0x200)
        assert len(await kms.make(0x300)) == 32


async def test_a_focus_that_restarted_takes_its_conference_over(tmp_path: Path) -> None:
    """And whoever the KMS held for a member, and is not any more, is none."""
    async with opened(tmp_path) as kms:
        for member in MEMBERS:
            await kms.keys.admit("c", member)
        await kms.make(0x100)
        await kms.client.close()
        kms.keys = KmsKeys(kms.client)
        await kms.keys.admit("c", "ann")
        assert len(await kms.make(0x200)) == 32
        assert await kms.refuses("bob")
        assert not await kms.refuses("ann")


async def test_a_kms_that_restarted_is_told_who_is_a_member(tmp_path: Path) -> None:
    async with opened(tmp_path) as kms:
        for member in [*MEMBERS, "cat"]:
            await kms.keys.admit("c", member)
        await kms.keys.expel("c", "cat")
        await kms.stop()
        await kms.start()
        with pytest.raises(Disconnected):
            await kms.make(0x100)
        await kms.make(0x200)
        assert not await kms.refuses("ann")
        assert not await kms.refuses("bob")
        assert await kms.refuses("cat")


async def test_a_large_conference_is_told_in_several_lines(tmp_path: Path) -> None:
    async with opened(tmp_path) as kms:
        names = [f"{number:064b}".replace("0", '"').replace("1", "\\") for number in range(1000)]
        await kms.stop()
        for name in names:
            with pytest.raises(Disconnected):
                await kms.keys.admit("c", name)
        await kms.start()
        await kms.make(0x100)
        assert {member for op, member in await kms.audit() if op == "member.admit"} >= set(names[-500:])


async def test_who_left_while_the_kms_was_away_is_expelled_before_the_next_key_is_made(tmp_path: Path) -> None:
    """Else it could fetch it: it is a member until the KMS knows better (I4)."""
    async with opened(tmp_path) as kms:
        await kms.keys.admit("c", "bob")
        await kms.make(0x100)
        await kms.client.close()
        with pytest.raises(Disconnected):
            await kms.keys.expel("c", "bob")
        await kms.make(0x200)
        done = await kms.audit()
        assert ("member.expel", "bob") in done
        assert done.index(("member.expel", "bob")) < [op for op, _ in done].index("epoch.create", 4)


async def test_one_who_came_again_meanwhile_is_admitted_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as kms:
        await kms.keys.admit("c", "bob")
        await kms.client.close()
        for change in (kms.keys.expel, kms.keys.admit):
            try:
                await change("c", "bob")
            except Disconnected:
                continue
        await kms.make(0x100)
        ops = [op for op, member in await kms.audit() if member == "bob"]
        assert ops == ["member.admit", "member.expel", "member.admit"]


async def test_a_refusal_leaks_no_connection(tmp_path: Path) -> None:
    """A conference of somebody else: asked for again and again, and each time over the same connection."""
    async with opened(tmp_path) as kms:
        connects = 0
        connect = kms.client.connect

        async def counted() -> None:
            nonlocal connects
            connects += 1
            await connect()

        kms.client.connect = counted  # type: ignore[method-assign]
        for _ in range(5):
            with pytest.raises(ControlError):
                await kms.keys.make("no good name", 0, 0x100, SUITE)
        assert connects == 1


async def test_two_calls_that_lose_one_connection_leave_the_next_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as kms:
        await kms.make(0x100)
        both = [asyncio.create_task(kms.make(0x200)), asyncio.create_task(kms.keys.admit("c", "ann"))]
        await asyncio.sleep(0)
        await kms.client.close()
        outcome = await asyncio.gather(*both, kms.make(0x300), return_exceptions=True)
        assert not [one for one in outcome if isinstance(one, Exception) and not isinstance(one, Disconnected)]
        assert len(await kms.make(0x400)) == 32


async def test_an_unspeakable_name_stops_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as kms:
        await kms.make(0x100)
        for change in (kms.keys.admit, kms.keys.expel):
            await change("c", "with space")
        assert len(await kms.make(0x200)) == 32


async def test_epochs_that_the_kms_has_made_are_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as kms:
        await kms.make(0x4200)
        with pytest.raises(EpochsMade) as caught:
            await kms.make(0x100)
        assert caught.value.highest == 0x4200


async def test_a_focus_that_begins_again_with_one_goes_on_above_what_the_kms_has_made(tmp_path: Path) -> None:
    """The focus and the mixer have both restarted; the KMS makes no epoch twice. One attempt more, not thousands."""
    async with world(tmp_path) as one:
        async with KmsClient(f"unix:{tmp_path / 'kms.sock'}") as other:
            await other.register("c")
            await other.create_epoch("c", epoch=0x123400)
            await other.close_conference("c")
        ann = await one.join("ann")
        bob = await one.join("bob")
        await one.grouped()
        assert min(int(ann.heard[-1], 16), int(bob.heard[-1], 16)) >= 0x123500
        assert one.driver.conductor.policy.facts(0.0).counts.rekeys <= 3


# -- the mixer --------------------------------------------------------------------------------------


class Slow:
    """A signalling that takes its time."""

    def __init__(self, one: World) -> None:
        self._one = one
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def renew(self, names: Iterable[str]) -> list[Joiner]:
        joiners = [self._one.endpoints[name].joiner() for name in names]
        self.asked.set()
        await self.go.wait()
        return joiners


async def test_who_leaves_while_all_are_signalled_anew_stays_away(tmp_path: Path) -> None:
    """Or it would be in the conference again, with fresh keys of its own and the group's to come."""
    async with world(tmp_path) as one:
        slow = Slow(one)
        one.signal = slow.renew
        for name in ("ann", "bob"):
            await one.join(name)
        await one.grouped()
        await one.stop_mixer()
        await one.start_mixer()
        async with asyncio.timeout(PATIENCE_S):
            await slow.asked.wait()
        gone = one.leave("bob")
        cat = await one.join("cat")
        told = gone.member.epoch
        slow.go.set()
        ann = one.endpoints["ann"]
        await cat.until(cat.grouped)
        await ann.until(lambda: ann.heard[-1] == cat.heard[-1])
        assert not one.service.engine.has_leg("bob")
        assert gone.member.epoch == told
        assert one.driver.conductor.counts.refusals == 0


async def test_one_who_leaves_and_comes_again_while_the_mixer_cannot_be_reached(tmp_path: Path) -> None:
    """The mixer lives on with the leg of the first visit: with its keys, and its address."""
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        first = await one.join("bob")
        await one.grouped()
        await one.server.stop()
        one.leave("bob")
        second = await one.join("bob")
        await one.open_door()
        await second.until(second.grouped)
        await ann.until(lambda: ann.heard[-1] == second.heard[-1])
        before = len(first.heard), first.refused
        heard = len(second.heard)
        await second.until(lambda: len(second.heard) > heard + 10)
        assert (len(first.heard), first.refused) == before, "the first visit is over"


async def test_a_conference_that_somebody_else_destroyed_is_made_again(tmp_path: Path) -> None:
    async with world(tmp_path, epoch_max_age=0.3) as one:
        ann = await one.join("ann")
        await one.grouped()
        async with MixerClient(f"unix:{tmp_path / 'mixer.sock'}") as operator:
            await operator.call(port.ConferenceDestroy(conference="c"))
        heard = len(ann.heard)
        await ann.until(lambda: len(ann.heard) > heard + 10 and ann.grouped())


async def test_a_conference_that_was_destroyed_while_the_connection_was_broken(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        await one.grouped()
        await one.server.stop()
        one.service.engine.apply(port.ConferenceDestroy(conference="c"))
        heard = len(ann.heard)
        await one.open_door()
        await ann.until(lambda: len(ann.heard) > heard + 10 and ann.grouped())


async def test_a_recovery_that_is_interrupted_is_begun_again(tmp_path: Path) -> None:
    """The conference has been made already, with nobody in it: that it exists is no reason to give up."""
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        await one.grouped()
        renew, failures = one.signal_at_once, 1

        async def once(names: Iterable[str]) -> list[Joiner]:
            nonlocal failures
            if failures:
                failures -= 1
                raise Disconnected("in the middle of it")
            return await renew(names)

        one.signal = once
        await one.stop_mixer()
        await one.start_mixer()
        heard = len(ann.heard)
        await ann.until(lambda: len(ann.heard) > heard + 10 and ann.grouped())


async def test_a_mixer_that_drains_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came back, and takes no conference; later it comes back once more, and does."""
    creates = 0
    call: Any = MixerClient.call

    async def counted(self: MixerClient, command: Any) -> Any:
        nonlocal creates
        creates += isinstance(command, port.ConferenceCreate)
        return await call(self, command)

    async with world(tmp_path) as one:
        ann = await one.join("ann")
        await one.grouped()
        monkeypatch.setattr(MixerClient, "call", counted)
        await one.stop_mixer()
        one.draining = True
        await one.start_mixer()
        await until(lambda: creates > 2)
        await one.stop_mixer()
        one.draining = False
        await one.start_mixer()
        heard = len(ann.heard)
        await ann.until(lambda: len(ann.heard) > heard + 10 and ann.grouped())


async def test_a_reply_that_does_not_come_holds_up_neither_a_leave_nor_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call: Any = MixerClient.call
    never = asyncio.Event()

    async def hanging(self: MixerClient, command: Any) -> Any:
        reply = await call(self, command)
        if isinstance(command, port.LegAdd) and command.leg == "cat":
            await never.wait()
        return reply

    async with world(tmp_path) as one:
        await one.join("ann")
        await one.join("bob")
        await one.grouped()
        monkeypatch.setattr(MixerClient, "call", hanging)
        await one.join("cat")
        await until(lambda: one.service.engine.has_leg("cat"))
        one.leave("bob")
        await until(lambda: not one.service.engine.has_leg("bob"))
        never.set()
        await one.grouped()


async def test_a_name_that_is_taken_keeps_its_address(tmp_path: Path) -> None:
    """A second ann: the first goes on being told keys, at her own address and under her own PSK."""
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        await one.join("bob")
        await one.grouped()
        with pytest.raises(NameTaken):
            one.driver.join(Joiner(ann.joiner().leg, Secret(bytes(range(16)))), ("127.0.0.1", 9))
        epoch = ann.member.epoch
        one.leave("bob")
        await until(lambda: ann.member.epoch > epoch)


async def test_a_driver_that_ends_keeps_no_key(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        ann = await one.join("ann")
        await one.grouped()
        keychain, epoch = one.driver.conductor.keychain, ann.member.epoch & ~0xFF
        assert any(keychain.holds(0, epoch | step) for step in range(4))
    assert not any(keychain.holds(0, epoch | step) for step in range(4))


# -- the key channel ----------------------------------------------------------------------------------


async def test_an_address_that_a_newer_member_has_taken_over_stays_its(tmp_path: Path) -> None:
    """A phone that crashed comes back under another name before anybody notices; then the first name times out."""
    heard: list[str] = []
    courier = Courier(lambda member, octets: heard.append(member))
    address = "192.0.2.1", 5000
    courier.know("ann", address)
    courier.know("ann-again", address)
    courier.forget("ann")
    courier.datagram_received(b"ack", address)
    assert heard == ["ann-again"]
    assert courier.strangers == 0
    courier.forget("ann-again")
    courier.datagram_received(b"ack", address)
    assert courier.strangers == 1

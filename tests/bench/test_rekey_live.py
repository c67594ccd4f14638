"""Rekeying with media, small; and the judge, which must not be lenient."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from bench.plan import FIRST_ADDRESS
from bench.processes import BenchError
from bench.rekey import live as bench_live
from bench.rekey.focus import Rekey
from bench.rekey.judging import Capture, Happened, LiveVerdict, judge
from bench.rekey.live import Run, complaints, run
from bench.rekey.liveplan import CONFERENCE, FOCUS, Live
from bench.rekey.replay import Message
from bench.srtp import PacketSession
from control.mikey.psk import Sender
from control.rekey.keychain import Keychain
from mixer.port import StreamPosition
from mixer.secret import Secret

MS = 1_000_000
EPOCHS = (0x100, 0x200)


@pytest.mark.parametrize(
    "options",
    [{"cohort": 0}, {"cohort": 8, "bridge_max": 100, "loss": 0.05, "gap_s": 1.2}],
    ids=["one group", "cohorts, bridge, loss"],
)
async def test_a_small_conference_is_rekeyed_without_a_lost_packet(options: dict[str, float]) -> None:
    live = msgspec.convert({"members": 16, "leaves": 1, "joins": 1, "gap_s": 0.6, "seed": "s"} | options, Live)
    done = await run(live)
    assert complaints(done) == []
    assert done.verdict.group > 1000
    assert [one.members for one in done.rekeys] == ([15] if not live.cohort else [done.rekeys[0].members])
    assert "| 16 |" in bench_live.markdown([done])


def test_a_conference_too_small_to_be_left_is_refused() -> None:
    with pytest.raises(BenchError, match="members"):
        Live(members=5, leaves=3).check()


# -- the judge ------------------------------------------------------------------------------------


class Scene:
    """Five members, one group key and then another; one leaves when the second begins. Packets every 20 ms."""

    def __init__(self) -> None:
        self.live = Live(members=5, leaves=1, joins=0, gap_s=0.5, seed="judge")
        self.begin = 1_000_000 * MS
        self.left = self.begin + 1000 * MS
        self.messages: list[Message] = []
        self.packets: list[tuple[int, int, bytes]] = []
        """(leg, ns, octets)"""
        self.chain = Keychain(CONFERENCE, self.live.suite)
        self.senders = [
            Sender(
                self.live.psk(leg),
                identity=FOCUS.encode(),
                peer=self.live.name(leg).encode(),
                csb_id=self.chain.csb_id,
                rand=self.chain.rand,
            )
            for leg in range(5)
        ]
        for number, epoch in enumerate(EPOCHS):
            self.chain.put(0, epoch, Secret(bytes(range(number, number + 32))))
            self._push(
                epoch, number + 1, self.begin - 100 * MS if not number else self.left + 50 * MS, range(5 - number)
            )
        self._send()

    def _push(self, epoch: int, timestamp: int, ns: int, legs: range) -> None:
        for leg in legs:
            push = self.chain.push(0, epoch, [StreamPosition(ssrc=77, roc=0, seq=0, payload_type=0)], ratchets=True)
            self.messages.append(Message(leg, ns + leg, self.senders[leg].push(push, timestamp=timestamp)))

    def _send(self) -> None:
        """The last leg leaves after a second; the second key is used from 100 ms after that."""
        sessions = {}
        for epoch in EPOCHS:
            key = self.chain.key(0, epoch)
            mki = bytes.fromhex(key.mki)
            sessions[epoch] = PacketSession(self.live.suite, key.secret.reveal(), ssrc=77, mki=mki)
        for number in range(100):
            ns = self.begin + 20 * MS * number + MS
            epoch = EPOCHS[ns > self.left + 100 * MS]
            rtp = b"\x80\0" + number.to_bytes(2) + (160 * number).to_bytes(4) + (77).to_bytes(4) + b"\xff" * 160
            octets = sessions[epoch].protect(rtp)
            self.packets += [(leg, ns, octets) for leg in range(5) if leg < 4 or ns < self.left]

    def judge(self) -> LiveVerdict:
        octets = np.zeros((len(self.packets), 256), np.uint8)
        for row, (_, _, packet) in enumerate(self.packets):
            octets[row, : len(packet)] = np.frombuffer(packet, np.uint8)
        capture = Capture(
            octets=octets,
            length=np.array([len(packet) for _, _, packet in self.packets], np.int32),
            destination=np.array([FIRST_ADDRESS + leg for leg, _, _ in self.packets], np.int64),
            arrival_ns=np.array([ns for _, ns, _ in self.packets], np.int64),
            messages=self.messages,
            said_ns=np.zeros((self.live.plan().ticks, 1), np.int64),
            late_ms=np.zeros(1),
            overflowed=False,
        )
        end = self.begin + 100 * 20 * MS
        return judge(self.live, capture, Happened((self.begin, end), [(4, self.left, self.left + 3 * MS)], []))

    def alter(self, leg: int, number: int, change: Callable[[bytes], bytes]) -> None:
        """Change the `number`-th packet of a leg."""
        rows = [row for row, (of, _, _) in enumerate(self.packets) if of == leg]
        of, ns, octets = self.packets[rows[number]]
        self.packets[rows[number]] = of, ns, change(octets)


def test_all_is_well_if_all_is_well() -> None:
    found = Scene().judge()
    assert (found.packets, found.group, found.own) == (450, 450, 0)
    assert (found.unreadable, found.forged, found.lost, found.duplicates, found.disordered) == (0, 0, 0, 0, 0)
    assert [(one.epoch, one.members) for one in found.epochs] == [(EPOCHS[0], 5), (EPOCHS[1], 4)]
    (leaver,) = found.leavers
    # Packets leave 1 ms after the full 20: five of them before the second key.
    assert (leaver.packets, leaver.packets_removed, leaver.ms, leaver.sent_to_it) == (5, 4, 81.0, 0)


def test_a_packet_that_did_not_come_is_lost() -> None:
    scene = Scene()
    del scene.packets[40]
    assert scene.judge().lost == 1


def test_a_packet_that_came_twice_is_seen() -> None:
    scene = Scene()
    scene.packets.insert(41, scene.packets[40])
    assert scene.judge().duplicates == 1


def test_an_altered_copy_is_forged_and_its_audio_lost() -> None:
    scene = Scene()
    scene.alter(2, 30, lambda octets: octets[:50] + bytes([octets[50] ^ 1]) + octets[51:])
    found = scene.judge()
    assert (found.forged, found.lost) == (1, 1)


def test_an_altered_original_is_no_original() -> None:
    """If the first copy is the wrong one, all others differ from it: nothing of that packet is believed."""
    scene = Scene()
    scene.alter(0, 30, lambda octets: octets[:50] + bytes([octets[50] ^ 1]) + octets[51:])
    assert scene.judge().forged == 5


def test_a_member_without_the_key_cannot_read() -> None:
    scene = Scene()
    scene.messages = [message for message in scene.messages if message.leg != 1 or message.ns < scene.begin]
    found = scene.judge()
    assert found.unreadable == 45
    assert found.lost > 0


def test_a_key_that_comes_after_its_packets_is_too_late() -> None:
    scene = Scene()
    scene.messages = [
        Message(one.leg, one.ns + 100 * MS, one.octets) if one.leg == 1 and one.ns > scene.begin else one
        for one in scene.messages
    ]
    assert scene.judge().unreadable >= 1


def test_a_forged_key_message_gives_no_key() -> None:
    scene = Scene()
    scene.messages = [
        Message(one.leg, one.ns, one.octets[:-1] + bytes([one.octets[-1] ^ 1])) if one.leg == 1 else one
        for one in scene.messages
    ]
    assert scene.judge().unreadable == 100


def test_packets_to_one_who_was_removed_are_counted() -> None:
    scene = Scene()
    late = [(4, ns, octets) for leg, ns, octets in scene.packets if leg == 0 and ns > scene.left]
    scene.packets += late[:3]
    assert scene.judge().leavers[0].sent_to_it == 2, "the first may have been under way"


# -- what is said of a run --------------------------------------------------------------------------


def a_run(**changes: object) -> Run:
    """A run in which all was well."""
    scene = Scene()
    found = msgspec.structs.replace(scene.judge(), **({"problems": []} | changes))
    rekey = Rekey(
        epoch=0x200, members=4, messages=4, last_ack_ms=50.0, switched_ms=90.0, heard_ms=101.0, focus_cpu_ms=1.0
    )
    return Run(live=scene.live, rekeys=[rekey], joins_ms=[], setup_ms=1.0, late_ticks=0, verdict=found)


@pytest.mark.parametrize("name", ["lost", "unreadable", "forged", "duplicates", "disordered", "stray"])
def test_a_single_packet_is_wrong(name: str) -> None:
    assert complaints(a_run()) == []
    assert complaints(a_run(**{name: 1})) == [f"1 packets {name}"]
    assert complaints(a_run(problems=["leg 1 hears itself"])) == ["leg 1 hears itself"]


def test_what_a_leaver_may_not_hear_is_wrong() -> None:
    bridged = a_run()
    bridged = msgspec.structs.replace(bridged, live=msgspec.structs.replace(bridged.live, bridge_max=100))
    assert len(complaints(bridged)) == 1, "five packets, and a bridge allows one"
    (leaver,) = bridged.verdict.leavers
    told = a_run(leavers=[msgspec.structs.replace(leaver, sent_to_it=1)])
    assert len(complaints(told)) == 1


def test_a_member_that_did_not_acknowledge_is_wrong() -> None:
    one = a_run()
    fewer = msgspec.structs.replace(one, rekeys=[msgspec.structs.replace(one.rekeys[0], members=3)])
    assert len(complaints(fewer)) == 1
    none = msgspec.structs.replace(one, rekeys=[msgspec.structs.replace(one.rekeys[0], members=0)])
    assert len(complaints(none)) == 2


@pytest.mark.parametrize("wrong", [0, 1])
def test_wrong_is_an_exit_code(wrong: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def played(live: Live) -> Run:
        return a_run(lost=wrong)

    monkeypatch.setattr(bench_live, "run", played)
    monkeypatch.setattr(sys, "argv", ["live", "--cohort", "0", "--json"])
    assert bench_live.main() == wrong
    out, err = capsys.readouterr()
    assert msgspec.json.decode(out, type=list[Run])
    assert ("WRONG" in err) == bool(wrong)

"""After a disturbance the delay is soon what it was, unheard; jitter that lasts gets the delay that it needs.

The network may hold packets back; or the mixer itself may stand still, and what it did not read meanwhile is no jitter.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer.playout import Playout
from tests.mixer import steady
from tests.mixer.journey import Packet, Samples, cut, late, speech, tone

TICK = 20
MS = 9000
AT = 3000
"""When the disturbance begins."""
CATCH_UP = 5
"""Ticks that are run at once after a stall; more are given up."""
BLEND = 15
HERTZ = {8000: (440.0, 1000.0), 16000: (440.0, 1000.0), 48000: (440.0, 1000.0)}

rates = pytest.mark.parametrize("rate", [8000, 16000, 48000])


@dataclass
class Ears:
    """The playout buffers of several legs under a shell that may stand still."""

    sounds: list[Samples]
    rate: int = 8000
    delay_max_ms: int = 200
    first: NDArray[np.bool_] | None = None
    refused: int = 0
    at: list[int] = field(default_factory=list)
    """When each tick was due."""
    waiting: list[NDArray[np.int64]] = field(default_factory=list)
    """Milliseconds of each leg after each tick."""
    played: list[NDArray[np.int16]] = field(default_factory=list)
    invented: list[int] = field(default_factory=list)
    """Samples of all legs up to each tick."""

    def __post_init__(self) -> None:
        self.rows = np.arange(len(self.sounds))
        self.playout = Playout(len(self.rows), self.rate, TICK)
        for row in self.rows.tolist():
            self.playout.open(row, 20, self.delay_max_ms)
        self._origin, self._frame = 0, 0

    def hear(self, packets: list[list[Packet]], stalls: dict[int, int] | None = None) -> Ears:
        """Play it all; `stalls` are times at which the shell stands still, and for how long, ms."""
        come = [sorted(own, key=lambda packet: packet.arrival) for own in packets]
        stalls, now = stalls or {}, 0
        while (deadline := self._origin + (self._frame + 1) * TICK) < MS:
            stood = [at + long for at, long in stalls.items() if at <= deadline < at + long]
            now = max([now, deadline, *stood])
            behind = (now - deadline) // TICK
            if behind > CATCH_UP:
                self._origin += (behind - CATCH_UP) * TICK
                self.playout.skipped(behind - CATCH_UP)
                behind = CATCH_UP
            while some := [row for row in self.rows.tolist() if come[row] and come[row][0].arrival <= now]:
                self._place(some, [come[row].pop(0) for row in some])
            for _ in range(behind + 1):
                self._tick()
        return self

    def _place(self, rows: list[int], packets: list[Packet]) -> None:
        due = np.array([-(-(packet.arrival - self._origin) // TICK) - 1 - self._frame for packet in packets])
        early = (np.maximum(due, 0) + np.minimum(due + 1, 0)).astype(np.int64)
        sound, stamp = np.stack([packet.sound for packet in packets]), [packet.timestamp for packet in packets]
        self.refused += int((~self.playout.place(np.array(rows), sound, np.array(stamp), early)).sum())

    def _tick(self) -> None:
        rows, frames = self.playout.take(self.first)
        whole = np.zeros((len(self.rows), self.playout.samples), np.int16)
        whole[rows] = frames
        self._frame += 1
        self.at.append(self._origin + self._frame * TICK)
        self.played.append(whole)
        self.waiting.append(self.playout.waiting(self.rows))
        self.invented.append(int(self.playout.concealed.sum()))

    def delay(self, from_ms: int, to_ms: int) -> int:
        """The longest of any leg between two times."""
        return max(int(w.max()) for at, w in zip(self.at, self.waiting, strict=True) if from_ms <= at < to_ms)

    def sound(self, leg: int, from_ms: int) -> Samples:
        """What was played of a leg from then on."""
        return np.concatenate(
            [frame[leg] for at, frame in zip(self.at, self.played, strict=True) if at > from_ms], dtype=np.int16
        )


def calm(sounds: list[Samples], rate: int = 8000) -> list[list[Packet]]:
    """Packets of 20 ms, each in time."""
    return [cut(sound, rate, [20] * (MS // 20)) for sound in sounds]


def held(packets: list[Packet], long: int) -> list[Packet]:
    """Nothing arrives for a while, and then all at once."""
    return [p._replace(arrival=AT + long) if AT < p.arrival <= AT + long else p for p in packets]


def slow(packets: list[Packet], by: int, long: int = 1000) -> list[Packet]:
    """All is late, for a while."""
    return [p._replace(arrival=p.arrival + by) if AT < p.arrival <= AT + long else p for p in packets]


def tones(rate: int = 8000) -> list[Samples]:
    return [tone(hertz, rate, MS) for hertz in HERTZ[rate]]


def pauses() -> list[Samples]:
    """Who says nothing: digital silence, and the hiss of a good microphone."""
    hiss = np.random.default_rng(2).integers(-20, 21, MS * 8)
    return [np.zeros(MS * 8, np.int16), np.asarray(hiss, np.int16)]


def noise() -> list[Samples]:
    """In the telephone band, as loud as speech: nothing in it resembles anything else."""
    white = np.fft.rfft(np.random.default_rng(3).normal(size=MS * 8))
    hertz = np.fft.rfftfreq(MS * 8, 1 / 8000)
    sound = np.fft.irfft(np.where((hertz > 300) & (hertz < 3400), white, 0), MS * 8)
    return [np.rint(2000 * sound / sound.std()).astype(np.int16)]


def voices() -> list[Samples]:
    said = [speech(name) for name in ("anna", "boris", "clara", "david")]
    return [np.tile(one, -(-MS * 8 // len(one)))[: MS * 8] for one in said]


def check_tones(ears: Ears, rate: int, from_ms: int) -> None:
    """Neither a click nor a gap."""
    for leg, hertz in enumerate(HERTZ[rate]):
        sound = ears.sound(leg, from_ms)
        assert steady.residue(sound, rate, hertz, 8000.0).max() < -40.0
        assert steady.level(sound, rate, 8000.0).min() > -1.0


NETWORK = {
    "a stall of 200 ms": lambda own: held(own, 200),
    "a stall of 100 ms": lambda own: held(own, 100),
    "a second 60 ms late": lambda own: slow(own, 60),
    "a second 100 ms late": lambda own: slow(own, 100),
}
LASTS = {name: 1100 if "second" in name else int(name.split()[3]) for name in NETWORK}
networks = pytest.mark.parametrize("name", NETWORK)


@networks
def test_after_a_network_was_slow_who_pauses_is_soon_in_time(name: str) -> None:
    ears = Ears(pauses()).hear([NETWORK[name](own) for own in calm(pauses())])
    before, over = ears.delay(1000, AT), AT + LASTS[name]
    assert ears.delay(AT, over + 100) >= before + 40, "it was disturbed"
    assert ears.delay(over + 1000, MS) <= before + TICK


@rates
@networks
def test_after_a_network_was_slow_who_sounds_is_in_time_two_seconds_later(rate: int, name: str) -> None:
    ears = Ears(tones(rate), rate).hear([NETWORK[name](own) for own in calm(tones(rate), rate)])
    before, over = ears.delay(1000, AT), AT + LASTS[name]
    assert ears.delay(over + 2000, MS) <= before + TICK
    assert ears.refused == 0
    check_tones(ears, rate, over + 200)


@networks
@pytest.mark.parametrize("sounds", [voices, noise])
def test_after_a_network_was_slow_speech_and_noise_are_in_time(name: str, sounds: object) -> None:
    assert callable(sounds)
    ears = Ears(sounds()).hear([NETWORK[name](own) for own in calm(sounds())])
    before, over = ears.delay(1000, AT), AT + LASTS[name]
    assert ears.delay(over + 2000, MS) <= before + TICK
    assert ears.refused == 0


@pytest.mark.parametrize("stall", [40, 90, 120])
def test_the_mixer_stands_still_for_less_than_it_catches_up_and_no_delay_changes(stall: int) -> None:
    undisturbed = Ears(tones()).hear(calm(tones()))
    ears = Ears(tones()).hear(calm(tones()), {AT + 5: stall})
    assert (np.concatenate(ears.played, axis=1) == np.concatenate(undisturbed.played, axis=1)).all()
    assert ears.waiting[-1].tolist() == undisturbed.waiting[-1].tolist()
    assert (ears.playout.delay == undisturbed.playout.delay).all(), "nor is it called jitter"


@pytest.mark.parametrize("stall", [200, 260])
def test_the_mixer_stands_still_for_longer_and_who_pauses_is_in_time_at_once(stall: int) -> None:
    ears = Ears(pauses()).hear(calm(pauses()), {AT + 5: stall})
    before = ears.delay(1000, AT)
    assert ears.delay(AT + stall, AT + stall + 40) > before + TICK, "it was disturbed"
    assert ears.delay(AT + stall + 400, MS) <= before + TICK


@rates
@pytest.mark.parametrize("stall", [200, 260])
def test_the_mixer_stands_still_for_longer_and_nothing_of_a_tone_is_lost(rate: int, stall: int) -> None:
    ears = Ears(tones(rate), rate).hear(calm(tones(rate), rate), {AT + 5: stall})
    assert ears.delay(AT + stall + 1500, MS) <= ears.delay(1000, AT) + TICK
    assert (ears.refused, ears.playout.concealed.max()) == (0, 0)
    check_tones(ears, rate, 1000)


def test_legs_that_join_while_the_mixer_stands_still_are_in_time() -> None:
    packets = [[p for p in own if p.arrival > AT] for own in calm(tones())]
    ears = Ears(tones()).hear(packets, {AT + 5: 90})
    assert ears.delay(AT, MS) <= 20 + 90 + TICK
    assert ears.delay(AT + 200, MS) <= 20
    assert ears.refused == 0


def test_it_stands_still_again_and_again_and_the_delay_is_bounded() -> None:
    ears = Ears(voices()).hear(calm(voices()), dict.fromkeys(range(1000, 6000, 500), 200))
    assert ears.delay(0, MS) <= ears.delay_max_ms + (CATCH_UP + 1) * TICK
    assert ears.delay(8500, MS) <= 20 + TICK


def test_no_more_than_a_sixth_of_what_is_said_is_left_out() -> None:
    """A tone tells how fast it is played: so many of its samples in each half second."""
    ears = Ears(tones()).hear([held(own, 200) for own in calm(tones())])
    delays = {at: int(w[0]) for at, w in zip(ears.at, ears.waiting, strict=True)}
    shorter = [delays[at] - delays[at + 500] for at in range(AT + 300, MS - 600, 20)]
    assert 50 < max(shorter) <= 500 * 0.15 + 2 * BLEND


def test_of_many_those_who_are_mixed_come_first() -> None:
    sounds = [np.roll(noise()[0], 977 * leg) for leg in range(300)]
    first = np.zeros(300, bool)
    first[200:203] = True
    ears = Ears(sounds, first=first).hear([held(own, 200) for own in calm(sounds)])
    due = ears.at.index(AT + 200 + 2000)
    assert ears.waiting[due][first].max() <= 40
    assert ears.waiting[due].max() > 40, "there are too many to be done at once"


@pytest.mark.parametrize("seed", range(3))
def test_jitter_that_lasts_gets_the_delay_that_it_needs(seed: int) -> None:
    chance = random.Random(seed)
    packets = [late(own, [chance.uniform(0, 100) for _ in own]) for own in calm(tones())]
    ears = Ears(tones()).hear(packets)
    check_tones(ears, 8000, 1000)
    assert ears.refused <= 12


@pytest.mark.parametrize("every", [500, 1000])
def test_what_happens_again_and_again_is_expected(every: int) -> None:
    """The network holds everything back for 80 ms: the first times it is heard, then hardly."""
    packets = [
        [p._replace(arrival=p.arrival - p.arrival % every + 80) if p.arrival % every < 80 else p for p in own]
        for own in calm(voices())
    ]
    ears = Ears(voices())
    ears.hear(packets)
    invented = ears.invented
    learnt = (invented[-1] - invented[len(invented) // 2]) / 8 / len(ears.rows) / (MS / 2 / every)
    assert learnt < 8, "ms of each time"

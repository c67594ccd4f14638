"""Who has a seat: against plain loops, and each rule of the table by itself."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from mixer.config import MixerConfig
from mixer.port import LegAdd
from mixer.state import State
from mixer.talkers import Talkers
from tests.seating import Seating

Levels = Mapping[str, float]


class Hall:
    """Conferences of legs that have nothing but a loudness."""

    def __init__(self, seats: Mapping[str, int], tick_ms: int = 20) -> None:
        self.state = State(MixerConfig(tick_ms=tick_ms, max_legs=64))  # type: ignore[arg-type]
        self.talkers = Talkers(self.state)
        self.tick_ms = tick_ms
        for name, count in seats.items():
            row = self.state.conferences.add(name, 8000, "unique", "ssrc", 0).row
            self.state.conferences.max_talkers[row] = count
        self.mixed: list[dict[str, str]] = []
        """Tick by tick: who is mixed, and how it is faded."""

    def join(self, name: str, conference: str = "c") -> None:
        home = self.state.conferences.named(conference).row
        row = self.state.legs.add(LegAdd(conference=conference, leg=name), home, None, self.state.frame).row
        self.state.conferences.at(home).legs.add(row)
        self.state.legs.speaks[row] = True

    def row(self, name: str) -> int:
        return self.state.legs.named(name).row

    def tick(self, rms: Levels) -> dict[str, str]:
        rows = np.array([self.row(name) for name in rms], np.int64)
        self.talkers.hear(rows, np.array(list(rms.values()), np.float32))
        seating = self.talkers.choose()
        self.state.frame += 1
        how = zip(seating.leg.tolist(), seating.enters.tolist(), seating.leaves.tolist(), strict=True)
        self.mixed.append(
            {self.state.legs.at(leg).name: "out" if out else "in" if come else "" for leg, come, out in how}
        )
        return self.mixed[-1]

    def run(self, ms: int, rms: Levels | Callable[[int], Levels]) -> list[dict[str, str]]:
        """Many ticks; returns what was mixed in them."""
        for number in range(ms // self.tick_ms):
            self.tick(rms(number * self.tick_ms) if callable(rms) else rms)
        return self.mixed[-(ms // self.tick_ms) :]


def hall(seats: int, *names: str, tick_ms: int = 20) -> Hall:
    place = Hall({"c": seats}, tick_ms)
    for name in names:
        place.join(name)
    return place


def words(level: float, word_ms: int = 200, pause_ms: int = 150, noise: float = 3.0) -> Callable[[int], float]:
    """Loudness of somebody who speaks, at a moment."""
    return lambda ms: level if ms % (word_ms + pause_ms) < word_ms else noise


@pytest.mark.parametrize("tick_ms", [10, 20])
@pytest.mark.parametrize("seed", range(8))
def test_as_the_naive_seating(tick_ms: int, seed: int) -> None:
    chance = random.Random(seed)
    seats = {name: chance.randrange(1, 5) for name in "xyz"}
    place, plain = Hall(seats, tick_ms), {name: Seating(count, tick_ms) for name, count in seats.items()}
    homes = {f"{name}{number}": name for name in "xyz" for number in range(chance.randrange(1, 9))}
    for leg, home in homes.items():
        place.join(leg, home)
    place.tick({})
    for seating in plain.values():
        seating.tick({})
        for leg, home in homes.items():
            plain[home].know(leg)
    level = dict.fromkeys(homes, 0.0)
    for _ in range(400):
        for leg in homes:
            if chance.random() < 0.1:
                level[leg] = chance.choice([0.0, 10.0, 100.0, 1000.0, 10_000.0])
        rms = {leg: level[leg] * chance.uniform(0.5, 1.5) for leg in homes if chance.random() < 0.95}
        mixed = place.tick(rms)
        for home, seating in plain.items():
            expected = seating.tick({leg: value for leg, value in rms.items() if homes[leg] == home})
            mine = {leg: how for leg, how in mixed.items() if homes[leg] == home}
            assert list(mine.items()) == list(expected.items())


def test_who_begins_is_mixed_in_that_very_tick_and_not_faded() -> None:
    place = hall(3, "ann", "bob")
    place.run(500, {"ann": 5.0, "bob": 5.0})
    assert place.mixed[-1] == {}
    assert place.tick({"ann": 17.0, "bob": 5.0}) == {"ann": ""}


def test_a_seat_is_kept_through_pauses() -> None:
    """Bob is as loud, and waits in vain while ann goes on after pauses of 300 ms."""
    place = hall(1, "ann", "bob")
    ann, bob = words(2000.0, 400, 300), words(2000.0, 350, 130)
    for mixed in place.run(6000, lambda ms: {"ann": ann(ms), "bob": bob(ms + 100) if ms > 200 else 0.0}):
        assert list(mixed) == ["ann"]


def test_who_has_stopped_gives_its_seat_away() -> None:
    place = hall(1, "ann", "bob")
    place.run(500, {"ann": 2000.0})
    before = place.run(380, {"ann": 3.0, "bob": 1500.0})
    assert all(list(mixed) == ["ann"] for mixed in before)
    after = place.run(200, {"ann": 3.0, "bob": 1500.0})
    assert "bob" in after[2]
    assert list(after[-1]) == ["bob"]


@pytest.mark.parametrize("apart_db", [0.0, 1.5, 3.0])
def test_two_who_are_about_equally_loud_do_not_take_turns(apart_db: float) -> None:
    place = hall(1, "ann", "bob")
    chance = random.Random(1)
    place.run(200, {"ann": 1000.0})
    louder = 1000.0 * 10 ** (apart_db / 20)
    place.run(10_000, lambda ms: {"ann": 1000 * chance.uniform(0.8, 1.2), "bob": louder * chance.uniform(0.8, 1.2)})
    assert turns(place) <= 1


def turns(place: Hall) -> int:
    """How often the only seat changed hands."""
    holders = [next((name for name, how in mixed.items() if how != "out"), "") for mixed in place.mixed]
    return sum(a != b for a, b in itertools.pairwise(holders) if a)


def test_who_is_clearly_louder_takes_the_place_and_both_are_faded() -> None:
    place = hall(1, "ann", "bob")
    place.run(500, {"ann": 1000.0})
    mixed = place.run(300, {"ann": 1000.0, "bob": 2000.0})
    change = next(n for n, tick in enumerate(mixed) if "bob" in tick)
    assert 1 <= change <= 5, "not at a click, and soon"
    assert mixed[change] == {"bob": "in", "ann": "out"}
    assert mixed[-1] == {"bob": ""}


def test_a_click_takes_no_seat() -> None:
    place = hall(1, "ann", "bob")
    place.run(500, {"ann": 1000.0})
    place.tick({"ann": 1000.0, "bob": 2500.0})
    assert all("bob" not in mixed for mixed in place.run(500, {"ann": 1000.0, "bob": 3.0}))


def test_steady_noise_keeps_no_seat_from_a_speaker() -> None:
    """A fan, 6 dB louder than the one who speaks, after it has been heard for a few seconds."""
    place, chance = hall(1, "fan", "ann"), random.Random(2)
    ann = words(500.0)
    place.run(4000, lambda ms: {"fan": 1000 * chance.uniform(0.85, 1.15)})
    assert list(place.mixed[-1]) == ["fan"], "alone, it is heard"
    place.run(1000, lambda ms: {"fan": 1000 * chance.uniform(0.85, 1.15), "ann": ann(ms)})
    later = place.run(6000, lambda ms: {"fan": 1000 * chance.uniform(0.85, 1.15), "ann": ann(ms)})
    assert all("ann" in mixed and "fan" not in mixed for mixed in later)


def test_a_speaker_amid_noise_is_no_noise() -> None:
    place = hall(1, "ann", "fan")
    ann = words(2000.0, noise=300.0)
    place.run(6000, lambda ms: {"ann": ann(ms), "fan": 1000.0})
    assert all("ann" in mixed for mixed in place.mixed[150:])


def test_who_says_that_it_is_silent_gets_no_seat() -> None:
    place = hall(2, "ann", "bob")
    place.state.legs.claimed_silent[place.row("ann")] = True
    assert all(list(mixed) == ["bob"] for mixed in place.run(300, {"ann": 9000.0, "bob": 100.0}))


def test_who_is_muted_is_faded_out_and_back_in() -> None:
    place = hall(2, "ann")
    place.run(200, {"ann": 1000.0})
    place.state.legs.muted[place.row("ann")] = True
    assert place.tick({"ann": 1000.0}) == {"ann": "out"}
    assert place.tick({}) == {}
    place.state.legs.muted[place.row("ann")] = False
    assert place.tick({"ann": 1000.0}) == {"ann": "in"}


def test_fewer_seats_take_effect_at_once() -> None:
    place = hall(3, "ann", "bob", "cid")
    rms = {"ann": 1000.0, "bob": 3000.0, "cid": 2000.0}
    place.run(300, rms)
    place.state.conferences.max_talkers[place.state.conferences.named("c").row] = 1
    assert place.tick(rms) == {"bob": "", "cid": "out", "ann": "out"}
    assert place.tick(rms) == {"bob": ""}


def test_a_row_that_is_used_again_starts_anew() -> None:
    place = hall(1, "ann", "bob")
    place.run(300, {"ann": 9000.0})
    row = place.row("ann")
    place.state.legs.remove(place.state.legs.named("ann"), place.state.frame)
    assert place.tick({"bob": 100.0}) == {"bob": ""}, "the seat of who is gone is free"
    place.state.frame += 10_000
    while "new" not in place.state.legs or place.row("new") != row:
        if "new" in place.state.legs:
            place.state.legs.remove(place.state.legs.named("new"), place.state.frame)
        place.join("new")
    assert place.tick({"new": 100.0}) == {"new": ""}

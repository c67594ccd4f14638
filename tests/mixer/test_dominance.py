"""Who leads: longer and louder, told once, and not by turns."""

from __future__ import annotations

import random
from collections.abc import Callable

from mixer.dominance import LOOK_MS, Dominance
from mixer.port import DominantSpeaker
from tests.mixer.test_talkers import Hall, hall, words

Saying = Callable[[int], dict[str, float]]


def told(place: Hall, ms: int, saying: Saying) -> list[tuple[int, str]]:
    """When whom the mixer named, ms."""
    dominance, named = Dominance(place.state), []
    for now in range(0, ms, place.tick_ms):
        place.tick(saying(now))
        if place.state.frame % (LOOK_MS // place.tick_ms) == 0:
            dominance.look()
        for event in place.state.events:
            assert isinstance(event, DominantSpeaker)
            named.append((now, event.leg))
        place.state.events.clear()
    return named


def test_who_speaks_alone_is_named_soon_and_once() -> None:
    ann = words(2000.0)
    named = told(hall(3, "ann", "bob"), 10_000, lambda ms: {"ann": ann(ms), "bob": 3.0})
    assert [leg for _, leg in named] == ["ann"]
    assert named[0][0] < 500


def test_the_lead_passes_to_who_speaks_next_and_not_by_a_word_between() -> None:
    ann, bob = words(2000.0), words(2000.0)

    def saying(ms: int) -> dict[str, float]:
        interjects = 1000 <= ms < 1200
        return {"ann": ann(ms) if ms < 3000 else 3.0, "bob": bob(ms) if ms >= 3000 or interjects else 3.0}

    named = told(hall(3, "ann", "bob"), 6000, saying)
    assert [leg for _, leg in named] == ["ann", "bob"]
    assert 3400 <= named[1][0] <= 5000


def test_of_two_who_speak_at_once_the_louder_leads() -> None:
    ann, bob = words(1000.0), words(4000.0, 230, 120)
    named = told(hall(3, "ann", "bob"), 6000, lambda ms: {"ann": ann(ms), "bob": bob(ms) if ms > 1000 else 3.0})
    assert [leg for _, leg in named] == ["ann", "bob"]


def test_two_who_are_alike_do_not_take_turns() -> None:
    chance = random.Random(3)
    ann, bob = words(2000.0), words(2000.0, 210, 140)

    def saying(ms: int) -> dict[str, float]:
        return {"ann": ann(ms) * chance.uniform(0.8, 1.2), "bob": bob(ms) * chance.uniform(0.8, 1.2)}

    assert len(told(hall(3, "ann", "bob"), 20_000, saying)) == 1


def test_the_lead_outlasts_silence() -> None:
    ann = words(2000.0)
    named = told(hall(3, "ann"), 9000, lambda ms: {"ann": 3.0 if 3000 < ms < 6000 else ann(ms)})
    assert [leg for _, leg in named] == ["ann"]


def test_noise_does_not_lead_for_long() -> None:
    ann, chance = words(1000.0), random.Random(4)

    def saying(ms: int) -> dict[str, float]:
        return {"fan": 2000 * chance.uniform(0.85, 1.15), "ann": ann(ms) if ms > 3000 else 3.0}

    named = told(hall(3, "ann", "fan"), 8000, saying)
    assert named[-1][1] == "ann"


def test_each_conference_has_one_of_its_own() -> None:
    place = Hall({"c": 2, "d": 2})
    for name, home in (("ann", "c"), ("bob", "c"), ("cid", "d"), ("dan", "d")):
        place.join(name, home)
    loud, soft = words(3000.0), words(500.0)

    def saying(ms: int) -> dict[str, float]:
        return {"ann": loud(ms), "bob": soft(ms), "cid": soft(ms), "dan": 3.0}

    assert {leg for _, leg in told(place, 3000, saying)} == {"ann", "cid"}


def test_another_leads_when_the_first_has_gone() -> None:
    place = hall(3, "ann", "bob")
    loud, soft = words(3000.0), words(900.0)
    assert [leg for _, leg in told(place, 2000, lambda ms: {"ann": loud(ms), "bob": soft(ms)})] == ["ann"]
    place.state.conferences.named("c").legs.discard(place.row("ann"))
    place.state.legs.remove(place.state.legs.named("ann"), place.state.frame)
    assert [leg for _, leg in told(place, 1000, lambda ms: {"bob": soft(ms)})] == ["bob"]

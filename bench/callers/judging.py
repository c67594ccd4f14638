"""Whether callers hear each other, and nobody itself. Knows: what each of them said. Must never know: keys or SIP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bench.callers.caller import Caller
from bench.callers.hearing import levels_db
from bench.callers.voices import voices
from bench.content import HEARD_LIMIT_DB, SELF_LIMIT_DB, decibels

NOISY: Final = {"opus": -25.0, "AMR": -25.0, "AMR-WB": -25.0}
"""What a codec adds to the tones of others may be so loud where its own tone would be, in dB."""


def everybody_hears_everybody(
    callers: Sequence[Caller], since_ns: int = 0, *, unheard: Sequence[Caller] = ()
) -> list[str]:
    """What is wrong with what they heard since then. Nobody may hear itself, or anybody of `unheard`."""
    problems = []
    for caller in callers:
        levels = hears(caller, [*callers, *unheard], since_ns)
        limit = NOISY.get(caller.options.codec, SELF_LIMIT_DB)
        problems += untrue(caller.name, levels, [one.name for one in unheard], limit)
    return problems


def hears(caller: Caller, talkers: Iterable[Caller], since_ns: int = 0) -> dict[str, float]:
    """How loud each talker is in what a caller heard, in dB against what it said; the caller itself included.

    Tones are judged since then, speech from the beginning.
    """
    whistlers = [talker for talker in talkers if talker.options.hz]
    speakers = [talker for talker in talkers if len(talker.options.said)]
    tones = levels_db(caller.heard(since_ns), [one.options.hz for one in whistlers], caller.options.rate)
    found = {one.name: round(tones[one.options.hz] - decibels(one.options.level), 1) for one in whistlers}
    return found | (voices(caller, speakers) if speakers else {})


def untrue(
    name: str, levels: dict[str, float], unheard: Sequence[str] = (), limit_db: float = SELF_LIMIT_DB
) -> list[str]:
    """What is wrong with what one caller heard; `limit_db` is for itself, and for those whom nobody should hear."""
    problems = []
    for other, level in levels.items():
        if other == name and level > limit_db:
            problems.append(f"{name} hears itself, only {-level:.0f} dB down")
        elif other in unheard and level > limit_db:
            problems.append(f"{name} hears {other}, whom nobody should")
        elif other != name and other not in unheard and level < HEARD_LIMIT_DB:
            problems.append(f"{name} does not hear {other} ({level:.0f} dB)")
    return problems

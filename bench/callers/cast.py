"""Who calls: the callers of a run, made from what the command was told.

Knows: names, tones, voices and habits. Must never know: what they will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.callers.caller import Caller
from bench.callers.habits import Habits
from bench.callers.lines import Lines, Transport
from bench.phone import read_wav
from control.sip.agent import Credentials, SipSettings
from mixer.secret import Secret
from mixer.suites import SuiteName

TONES: Final = (433, 541, 659, 787, 919, 1061, 1213, 1373, 1543, 1723, 1907, 2099)
"""Hz. Primes: no tone is near a harmonic of another."""
_FORBIDDEN: Final = {"clear_media": 2357, "wrong_key": 2593}
"""Hz. Tones of those whom nobody must hear."""
LOUD: Final = 0.6
"""Amplitude of all tones together: a mix of them need not be limited."""
SPEECH: Final = Path(__file__).resolve().parent.parent / "speech"
PAUSE_S: Final = 1.0
STAGGER_S: Final = 4.5
"""A voice begins so long after the one before: under the length of a sentence, so that they overlap."""


@dataclass(frozen=True, kw_only=True)
class Casting:
    """What is asked for."""

    callers: int = 10
    talkers: int = 6
    """The first so many talk, the others listen: a mixer mixes the loudest only."""
    speech: bool = False
    dtls: int = 0
    """The last so many are keyed by DTLS."""
    churners: int = 0
    misbehave: tuple[str, ...] = ()
    """One caller more for each of these habits."""
    transport: Transport = "udp"
    tls: SipSettings | None = None
    """For TLS: the agent needs to know whom to trust."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    codec: str = "PCMU"
    """What they speak; speech is judged in G.711 only."""
    mki: bool = False
    psks: Mapping[str, Secret] = field(default_factory=dict)
    """By SIP URI: these callers take keys by MIKEY."""
    passwords: Mapping[str, str] = field(default_factory=dict)
    """By name."""
    domain: str = "127.0.0.1"


@dataclass
class Cast:
    """The callers, by part."""

    lines: Lines
    good: list[Caller] = field(default_factory=list)
    churners: list[Caller] = field(default_factory=list)
    bad: list[Caller] = field(default_factory=list)

    @property
    def all(self) -> list[Caller]:
        return [*self.good, *self.churners, *self.bad]

    async def close(self) -> None:
        """Hang up everybody."""
        for caller in self.all:
            await caller.close()
        await self.lines.close()


async def cast(casting: Casting) -> Cast:
    """Open them all."""
    players = Cast(await Lines.open(casting.transport, settings=casting.tls))
    for number in range(casting.callers):
        security = "dtls" if number >= casting.callers - casting.dtls else "sdes"
        players.good.append(
            await _open(casting, f"caller-{number + 1:02}", players.lines, security=security, **_said(casting, number))
        )
    for number in range(casting.churners):
        players.churners.append(await _open(casting, f"churner-{number + 1:02}", players.lines))
    for kind in casting.misbehave:
        lines = None if kind == "never_acks" else players.lines
        said = {"hz": _FORBIDDEN[kind], "level": 0.1} if kind in _FORBIDDEN else {}
        players.bad.append(await _open(casting, kind.replace("_", "-"), lines, habits=Habits.named(kind), **said))
    return players


async def _open(casting: Casting, name: str, lines: Lines | None, **options: Any) -> Caller:
    uri = f"sip:{name}@{casting.domain}"
    password = casting.passwords.get(name)
    return await Caller.open(
        name,
        lines=lines,
        transport=casting.transport,
        suites=(casting.suite,),
        codec=casting.codec,
        mki=casting.mki,
        psk=casting.psks.get(uri),
        credentials=Credentials(name, password) if password is not None else None,
        domain=casting.domain,
        **options,
    )


def _said(casting: Casting, number: int) -> dict[str, Any]:
    """What the caller of this number says."""
    talkers = min(casting.talkers, casting.callers)
    if number >= talkers:
        return {}
    if not casting.speech:
        return {"hz": TONES[number % len(TONES)], "level": LOUD / talkers}
    recordings = sorted(SPEECH.glob("*.wav"))
    if number >= len(recordings):
        return {}
    speech, rate = read_wav(recordings[number])
    pause = np.zeros(round((PAUSE_S + number * STAGGER_S) * rate), np.float32)
    return {"said": np.concatenate([pause, speech]), "over_and_over": False}


def speech_s(players: Cast) -> float:
    """How long the longest of them speaks."""
    return max((len(one.options.said) / one.options.rate for one in players.good), default=0.0)

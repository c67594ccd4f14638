"""Who is heard when callers speak, not whistle: each voice is looked up in the mix by correlation.

Knows: recorded speech, and `bench.content`. Must never know: calls, or keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bench import content
from bench.callers.caller import Caller
from bench.codec import Samples
from bench.coders import coder

_WINDOW_S: Final = 0.2
_REACH_S: Final = 0.06
"""How far a jitter buffer may move a voice from where most of it is."""


def voices(caller: Caller, talkers: Sequence[Caller]) -> dict[str, float]:
    """How loud each talker is in what a caller heard, in dB against what it said; the caller itself included."""
    mix, window = caller.heard(), round(_WINDOW_S * caller.options.rate)
    spoken = {talker.name: _as_sent(talker) for talker in talkers if len(talker.options.said)}
    found = {name: _find(mix, said, window) for name, said in spoken.items() if name != caller.name}
    levels = {name: round(where.gain_db, 1) for name, where in found.items()}
    if caller.name in spoken and len(mix) >= window:
        rest = content.without(mix, [(spoken[name], where) for name, where in found.items()], window)
        levels[caller.name] = round(_own_db(caller, rest, spoken[caller.name]), 1)
    return levels


def _as_sent(caller: Caller) -> Samples:
    voice = coder(caller.options.codec, caller.options.rate)
    packets = voice.packets(caller.options.said)
    return voice.sound([np.frombuffer(packet, np.uint8) for packet in packets])


def _find(mix: Samples, said: Samples, window: int) -> content.Found:
    """First where most of it is, then window by window around there: a voice resembles itself one pitch further."""
    reach = round(window * _REACH_S / _WINDOW_S)
    size = 1 << int(np.ceil(np.log2(len(mix) + len(said) + 1)))
    product = np.fft.irfft(np.fft.rfft(mix, size) * np.conj(np.fft.rfft(said, size)), size)
    lag = int(np.argmax(product))
    lag -= size if lag > size // 2 else 0
    earliest = np.arange(len(mix) // window) * window - lag - reach
    return content.find(mix, said, window=window, earliest=earliest, reach=2 * reach)


def _own_db(caller: Caller, rest: Samples, said: Samples) -> float:
    """How loud a caller hears itself, up to a second after it spoke."""
    media, rate = caller.call.media, caller.options.rate
    if not media.said_ns or not media.ear.heard_ns:
        return -120.0
    first = round((media.said_ns[0] - media.ear.heard_ns[0]) / 1e9 * rate) - rate // 10
    return content.strongest_db(rest, said, (first, first + rate * 11 // 10))

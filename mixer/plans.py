"""Plans: which legs are served together. Made anew only when somebody came, went, moved or changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.legs import Mode
from mixer.state import State

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Plan:
    """The legs that are served together: one rate of mix, one ptime. Kept until membership changes.

    Attributes:
        rate: Hz of the mix.
        leg, stream: int64[n], who listens, and to which common stream.
        sound: int64[n], the stream whose encoded packet that one copies.
        group: bool[n], hears its stream under the group key.
        minus: bool[n], its minus mix is under the group key too, on an SSRC of its own (style `ssrc`).
        joined: bool[n], what is under its own key is on the common stream's SSRC and sequence (style `mki`).
        streams: int64[s], the distinct streams; sounds: int64[t], the distinct sounds.
        resampled: one of them is sampled at another rate than the mix.
        address: uint8[n, SOCKADDR]; local: int32[n].
    """

    rate: int
    ptime: int
    leg: Rows
    stream: Rows
    sound: Rows
    group: NDArray[np.bool_]
    minus: NDArray[np.bool_]
    joined: NDArray[np.bool_]
    streams: Rows
    sounds: Rows
    resampled: bool
    address: NDArray[np.uint8]
    local: NDArray[np.int32]


def make_plans(state: State) -> list[Plan]:
    """Group all legs that are to be sent to by rate of mix and ptime. A leg that is bridged and has no key of its
    own is sent nothing."""
    legs, top = state.legs, state.legs.top
    ready = np.flatnonzero(legs.used[:top] & legs.listens[:top] & legs.located[:top])
    ready = ready[~alone(state, ready) | (legs.tx_session[ready] >= 0)]
    rate = state.conferences.rate[legs.conference[ready]]
    kind = rate * 1000 + state.streams.ptime[legs.stream[ready]]
    return [_plan(state, ready[kind == k], int(k) // 1000, int(k) % 1000) for k in np.unique(kind)]


def alone(state: State, leg: Rows) -> NDArray[np.bool_]:
    """Which legs of a group mode hear under their own keys now: they are bridged, or there is no group key."""
    legs = state.legs
    without = legs.bridged[leg] | (state.streams.session[legs.stream[leg]] < 0)
    result: NDArray[np.bool_] = (legs.mode[leg] >= Mode.GROUP_SSRC) & without
    return result


def _plan(state: State, leg: Rows, rate: int, ptime: int) -> Plan:
    mode, stream = state.legs.mode[leg], state.legs.stream[leg]
    sound = state.streams.lead[stream]
    group = (mode >= Mode.GROUP_SSRC) & ~alone(state, leg)
    return Plan(
        rate=rate,
        ptime=ptime,
        leg=leg,
        stream=stream,
        sound=sound,
        group=group,
        minus=group & (mode == Mode.GROUP_SSRC),
        joined=mode == Mode.GROUP_MKI,
        streams=np.unique(stream),
        sounds=np.unique(sound),
        resampled=bool((state.streams.rate[stream] != rate).any()),
        address=state.legs.address[leg],
        local=state.legs.local[leg],
    )

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
        group: bool[n], hears the common stream under the group key.
        mki: bool[n], its minus mix continues the common stream.
        streams: int64[s], the distinct streams.
        resampled: one of them has another clock than the mix.
        address: uint8[n, SOCKADDR]; local: int32[n].
    """

    rate: int
    ptime: int
    leg: Rows
    stream: Rows
    group: NDArray[np.bool_]
    mki: NDArray[np.bool_]
    streams: Rows
    resampled: bool
    address: NDArray[np.uint8]
    local: NDArray[np.int32]


def make_plans(state: State) -> list[Plan]:
    """Group all legs that are to be sent to by rate of mix and ptime."""
    legs, top = state.legs, state.legs.top
    ready = np.flatnonzero(legs.used[:top] & legs.listens[:top] & legs.located[:top])
    rate = state.conferences.rate[legs.conference[ready]]
    kind = rate * 1000 + state.streams.ptime[legs.stream[ready]]
    return [_plan(state, ready[kind == k], int(k) // 1000, int(k) % 1000) for k in np.unique(kind)]


def _plan(state: State, leg: Rows, rate: int, ptime: int) -> Plan:
    mode, stream = state.legs.mode[leg], state.legs.stream[leg]
    return Plan(
        rate=rate,
        ptime=ptime,
        leg=leg,
        stream=stream,
        group=mode >= Mode.GROUP_SSRC,
        mki=mode == Mode.GROUP_MKI,
        streams=np.unique(stream),
        resampled=bool((state.streams.clock[stream] != rate).any()),
        address=state.legs.address[leg],
        local=state.legs.local[leg],
    )

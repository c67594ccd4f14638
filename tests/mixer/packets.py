"""Packets as Hypothesis draws them, and matrices of packets as the mixer takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixer.batch import STRIDE
from tests.naive import Rtp

word = st.integers(0, 0xFFFF_FFFF)


def matrix(packets: Sequence[bytes], rubbish: int = 0xA5) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Rows as in a batch, with what an earlier datagram left behind each packet."""
    octets = np.full((len(packets), STRIDE), rubbish, np.uint8)
    for row, packet in enumerate(packets):
        octets[row, : min(len(packet), STRIDE)] = np.frombuffer(packet[:STRIDE], np.uint8)
    return octets, np.array([len(packet) for packet in packets], np.int32)


@st.composite
def rtp(draw: st.DrawFn) -> Rtp:
    """Any well-formed packet."""
    profile = draw(st.sampled_from([0, 0, 0xBEDE, 0xBEDE, 0x1000]))
    extension = draw(st.binary(max_size=40)) if profile else b""
    return Rtp(
        payload_type=draw(st.sampled_from([0, 8, 96, 111])),
        seq=draw(st.integers(0, 0xFFFF)),
        timestamp=draw(word),
        ssrc=draw(word),
        payload=draw(st.binary(max_size=60)),
        marker=draw(st.booleans()),
        csrcs=tuple(draw(st.lists(word, max_size=15))),
        profile=profile,
        extension=extension.ljust(-(-len(extension) // 4) * 4, b"\0"),
        padding=draw(st.sampled_from([0, 0, 1, 4, 200])),
    )


@st.composite
def mutated(draw: st.DrawFn, packet: bytes) -> bytes:
    """A packet with some octets changed, some cut or some added."""
    octets = bytearray(packet)
    for _ in range(draw(st.integers(0, 4))):
        if octets:
            octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.integers(0, len(octets)))
    return bytes(octets[:cut] if draw(st.booleans()) else octets) + draw(st.binary(max_size=6))


@st.composite
def datagram(draw: st.DrawFn) -> bytes:
    """A packet, a damaged packet, or noise."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=80))
    if kind == 1:
        return bytes([draw(st.integers(0, 255)), draw(st.integers(0, 255))]) + draw(st.binary(max_size=40))
    packet = draw(rtp()).pack()
    return packet if kind == 2 else draw(mutated(packet))

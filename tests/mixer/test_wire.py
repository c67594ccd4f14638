"""The RTP header as columns, against a parser of one packet at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer import wire
from mixer.batch import STRIDE
from mixer.drops import LABELS, Drop
from tests import naive
from tests.mixer.packets import datagram, matrix, rtp
from tests.naive import Rtp

PLAIN = Rtp(0, 1, 2, 3, b"payload")


def fates(packets: list[bytes]) -> list[str]:
    """What becomes of clear packets, by the steps of `wire` in their order."""
    octets, length = matrix(packets)
    fate, rtcp = wire.classify(octets, length, np.zeros(len(packets), bool))
    header, bad = wire.header_lengths(octets, length)
    fate = np.where((fate == 0) & ~rtcp, bad, fate)
    alive = np.flatnonzero((fate == 0) & ~rtcp)
    fate[alive] = wire.payload_ends(octets[alive], length[alive], header[alive])[1]
    return ["rtcp" if fate[n] == 0 and rtcp[n] else LABELS[fate[n]] for n in range(len(packets))]


def expected(packet: bytes) -> str:
    kind = naive.kind_of(packet)
    if kind != "rtp":
        return kind
    try:
        naive.parse_rtp(packet)
    except naive.Malformed as reason:
        return str(reason)
    return "accepted"


@given(st.lists(datagram(), min_size=1, max_size=12))
def test_every_packet_gets_the_fate_of_the_naive_parser(packets: list[bytes]) -> None:
    assert fates(packets) == [expected(packet) for packet in packets]


@given(st.lists(rtp(), min_size=1, max_size=8))
def test_fields_and_payload_are_those_of_the_naive_parser(packets: list[Rtp]) -> None:
    octets, length = matrix([packet.pack() for packet in packets])
    header, bad = wire.header_lengths(octets, length)
    end, worse = wire.payload_ends(octets, length, header)
    assert not bad.any()
    assert not worse.any()
    view = wire.header_view(octets)
    for n, packet in enumerate(packets):
        assert (view["seq"][n], view["timestamp"][n], view["ssrc"][n]) == (packet.seq, packet.timestamp, packet.ssrc)
        assert octets[n, header[n] : end[n]].tobytes() == packet.payload
        assert naive.parse_rtp(packet.pack()) == packet


@given(st.lists(rtp(), min_size=1, max_size=8), st.integers(1, 14))
def test_claimed_levels_are_those_of_the_naive_parser(packets: list[Rtp], identifier: int) -> None:
    octets, length = matrix([packet.pack() for packet in packets])
    header, _ = wire.header_lengths(octets, length)
    level = wire.claimed_levels(octets, header, np.full(len(packets), identifier, np.uint8))
    for n, packet in enumerate(packets):
        found = first_element(packet, identifier)
        assert level[n] == (-1 if found is None else found & 0x7F)


def first_element(packet: Rtp, identifier: int) -> int | None:
    """The first octet of the first element of that id; an element may run out of its extension."""
    at = 0
    while packet.profile == 0xBEDE and at < len(packet.extension):
        octet = packet.extension[at]
        if octet >> 4 == identifier:
            rest = packet.extension[at + 1 : at + 2] or packet.pack()[header_of(packet) :][:1] or b"\xa5"
            return rest[0]
        if octet >> 4 == 15:
            return None
        at += 1 if octet == 0 else 2 + (octet & 15)
    return None


def header_of(packet: Rtp) -> int:
    return naive.header_length(packet.pack())


def test_level_is_found_behind_padding_and_other_elements() -> None:
    extension = bytes([0, 0x31, 9, 9, 0x10, 0x80 | 42, 0, 0])
    octets, length = matrix([Rtp(0, 1, 2, 3, b"x", csrcs=(7, 8), profile=0xBEDE, extension=extension).pack()])
    header, _ = wire.header_lengths(octets, length)
    assert wire.claimed_levels(octets, header, np.array([1], np.uint8)).tolist() == [42]
    assert wire.claimed_levels(octets, header, np.array([3], np.uint8)).tolist() == [9]
    assert wire.claimed_levels(octets, header, np.array([2], np.uint8)).tolist() == [-1]
    assert wire.claimed_levels(octets, header, np.array([0], np.uint8)).tolist() == [-1]


MALFORMED = {
    "empty": (b"", Drop.TRUNCATED),
    "one octet": (b"\x80", Drop.TRUNCATED),
    "eleven octets": (PLAIN.pack()[:11], Drop.TRUNCATED),
    "seven octets of RTCP": (bytes([0x80, 200, 0, 1, 0, 0, 0]), Drop.TRUNCATED),
    "CSRCs missing": (bytes([0x8F]) + PLAIN.pack()[1:], Drop.TRUNCATED),
    "extension word missing": (bytes([0x90]) + PLAIN.pack()[1:12] + b"\xbe\xde", Drop.BAD_EXTENSION),
    "extension too long": (bytes([0x90]) + PLAIN.pack()[1:12] + b"\xbe\xde\xff\xff" + bytes(40), Drop.BAD_EXTENSION),
    "version 0": (bytes([0x00]) + PLAIN.pack()[1:], Drop.STUN),
    "version 1": (bytes([0x50]) + PLAIN.pack()[1:], Drop.NOT_MEDIA),
    "version 3": (bytes([0xC0]) + PLAIN.pack()[1:], Drop.BAD_VERSION),
    "padding of nothing": (bytes([0xA0]) + PLAIN.pack()[1:] + b"\0", Drop.BAD_PADDING),
    "padding longer than payload": (bytes([0xA0]) + PLAIN.pack()[1:] + b"\xc8", Drop.BAD_PADDING),
    "STUN": (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), Drop.STUN),
    "TURN channel": (b"\x40\x00\x00\x04" + bytes(12), Drop.STUN),
    "ZRTP": (b"\x10\x00\x00\x00ZRTP" + bytes(20), Drop.ZRTP),
    "DTLS": (b"\x16\xfe\xfd" + bytes(20), Drop.DTLS),
    "nothing known": (b"\x05" + bytes(20), Drop.NOT_MEDIA),
    "oversized": (PLAIN.pack() + bytes(STRIDE), Drop.OVERSIZED),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    packet, drop = MALFORMED[name]
    assert fates([PLAIN.pack(), packet, PLAIN.pack()]) == ["accepted", LABELS[drop], "accepted"]


def test_rtcp_is_told_by_its_type_or_by_its_port() -> None:
    octets, length = matrix([bytes([0x80, kind]) + bytes(10) for kind in (191, 192, 223, 224, 0)])
    _, rtcp = wire.classify(octets, length, np.array([False] * 4 + [True]))
    assert rtcp.tolist() == [False, True, True, False, True]


@given(st.integers(1, 9), st.data())
def test_windows_are_slices(width: int, data: st.DataObject) -> None:
    flat = np.arange(40, dtype=np.int16).reshape(4, 10)
    start = data.draw(st.lists(st.integers(0, 40 - width), min_size=1, max_size=5))
    assert wire.windows(flat, width)[np.array(start)].tolist() == [list(range(at, at + width)) for at in start]

"""RTCP compounds: built for a parser of our own, read from a builder of our own, and never a raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer import rtcp
from mixer.drops import Drop
from tests import naive
from tests.mixer.packets import mutated, word
from tests.naive import Block

block = st.builds(
    Block,
    ssrc=word,
    fraction=st.integers(0, 255),
    lost=st.integers(-(1 << 23), (1 << 23) - 1),
    highest=word,
    jitter=word,
    lsr=word,
    dlsr=word,
)
sender = st.tuples(st.integers(0, (1 << 64) - 1), word, word, word)


def as_report(block: Block) -> rtcp.Report:
    return rtcp.Report(block.ssrc, block.fraction, block.lost, block.highest, block.jitter, block.lsr, block.dlsr)


@given(word, block, sender, st.booleans(), st.booleans(), st.booleans())
def test_what_is_built_can_be_read(
    ssrc: int, block: Block, sent: tuple[int, int, int, int], speaks: bool, hears: bool, leaves: bool
) -> None:
    octets = rtcp.build(
        ssrc, "mixer@test", as_report(block) if hears else None, sent=sent if speaks else None, goodbye=leaves
    )
    found = naive.parse_rtcp(octets)
    first = naive.SENDER_REPORT if speaks else naive.RECEIVER_REPORT
    assert found.kinds == [first, naive.SDES] + [naive.BYE] * leaves
    assert found.ssrc == ssrc
    assert found.sender == (sent if speaks else None)
    assert found.blocks == [block] * hears
    assert found.cnames == {ssrc: "mixer@test"}
    assert found.byes == [ssrc] * leaves
    assert len(octets) % 4 == 0


@given(word, st.lists(block, max_size=5), st.none() | sender, st.lists(word, min_size=1, max_size=3))
def test_what_others_build_is_read(
    ssrc: int, blocks: list[Block], sent: tuple[int, int, int, int] | None, leaving: list[int]
) -> None:
    found = rtcp.parse(naive.pack_report(ssrc, blocks, sent) + naive.pack_bye(*leaving))
    assert isinstance(found, rtcp.Compound)
    assert found.ssrc == ssrc
    assert found.sender_ntp == (sent[0] if sent else None)
    assert found.reports == [as_report(block) for block in blocks]
    assert found.goodbye == leaving


WELL_FORMED = (
    naive.pack_report(5, [Block(6)], (1, 2, 3, 4))
    + bytes([0x81, 202, 0, 3]) + (5).to_bytes(4) + b"\x01\x03abc\0\0\0"
    + naive.pack_bye(5)
    + bytes([0x81, 205, 0, 3]) + bytes(12)
    + bytes([0x80, 204, 0, 2]) + bytes(8)
)  # fmt: skip


@given(mutated(WELL_FORMED) | st.binary(max_size=120))
def test_never_raises(octets: bytes) -> None:
    found = rtcp.parse(octets)
    assert isinstance(found, rtcp.Compound) or found == Drop.BAD_RTCP


@given(st.sampled_from([200, 201, 202, 203, 204, 205, 206, 207]), st.integers(0, 63), st.binary(max_size=60))
def test_never_raises_on_any_body(kind: int, flags: int, body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    octets = bytes([0x80 | flags, kind]) + (len(body) // 4).to_bytes(2) + body
    found = rtcp.parse(octets)
    assert isinstance(found, rtcp.Compound) or found == Drop.BAD_RTCP


@pytest.mark.parametrize(
    "octets", [b"", b"\x80", bytes(8), bytes([0x80, 201, 0, 9]) + bytes(4), bytes([0x40, 201, 0, 1]) + bytes(4)]
)
def test_malformed(octets: bytes) -> None:
    assert rtcp.parse(octets) == Drop.BAD_RTCP


def test_ntp_counts_from_1900() -> None:
    assert rtcp.ntp(0.0) == 2_208_988_800 << 32
    assert rtcp.ntp(0.5) & 0xFFFF_FFFF == 1 << 31
    assert rtcp.middle(0x1122_3344_5566_7788) == 0x3344_5566

"""The payloads of RFC 4867, against its pictures and a writer of bits that nobody can doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixer.codecs import HEAD, CodecError
from mixer.codecs.amr_payload import (
    MAX_FRAMES,
    NB_SIZES,
    NO_DATA,
    SPEECH_LOST,
    WB_SIZES,
    Frame,
    Sizes,
    parse,
    requested_mode,
    requested_modes,
    speech_modes,
    survey,
    write,
)

TYPES = [(sizes, kind) for sizes in (NB_SIZES, WB_SIZES) for kind, size in enumerate(sizes) if size >= 0]
each_codec = pytest.mark.parametrize("sizes", [NB_SIZES, WB_SIZES], ids=["AMR", "AMR-WB"])
each_way = pytest.mark.parametrize("octet_aligned", [False, True], ids=["efficient", "aligned"])
each_type = pytest.mark.parametrize(("sizes", "kind"), TYPES)


def octets(bits: str) -> bytes:
    padded = bits + "0" * (-len(bits) % 8)
    return bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))


def noise(count: int, seed: int = 1) -> str:
    return "".join(map(str, np.random.default_rng(seed).integers(0, 2, count)))


def frame(sizes: Sizes, kind: int, *, good: bool = True, seed: int = 1) -> Frame:
    return Frame(kind, good, octets(noise(sizes[kind], seed)))


def naive_write(frames: Sequence[Frame], sizes: Sizes, octet_aligned: bool, request: int) -> bytes:
    fields = [f"{request:04b}"]
    for at, one in enumerate(frames):
        fields.append(f"{int(at + 1 < len(frames))}{one.kind:04b}{int(one.good)}")
    fields += ["".join(f"{octet:08b}" for octet in one.speech)[: sizes[one.kind]] for one in frames]
    return b"".join(map(octets, fields)) if octet_aligned else octets("".join(fields))


def look(payload: bytes, sizes: Sizes, octet_aligned: bool) -> tuple[int, bool]:
    """`survey` of one payload; what is beyond its end is as bad as can be."""
    head = np.frombuffer((payload + b"\xff" * HEAD)[:HEAD], np.uint8).reshape(1, HEAD)
    frames, speech = survey(head, np.array([len(payload)]), sizes, octet_aligned)
    return int(frames[0]), bool(speech[0])


def test_a_single_frame_lies_as_in_section_4_3_5_1() -> None:
    """AMR at 7.4 kbit/s: CMR 15, F 0, FT 4, Q 1, 148 bits, 2 of padding."""
    speech = noise(148)
    payload = octets("1111" + "0" + "0100" + "1" + speech + "00")
    assert parse(payload, NB_SIZES, False) == [Frame(4, True, octets(speech))]
    assert write([Frame(4, True, octets(speech))], NB_SIZES, False) == payload
    assert requested_mode(payload, NB_SIZES) is None


def test_several_frames_lie_as_in_section_4_3_5_2() -> None:
    """AMR-WB: CMR 1; 6.60 kbit/s, SID, NO_DATA and 8.85 kbit/s, then 7 bits of padding."""
    first, sid, second = noise(132, 1), noise(40, 2), noise(177, 3)
    table = "1" + "0000" + "1" + "1" + "1001" + "1" + "1" + "1111" + "1" + "0" + "0001" + "1"
    payload = octets("0001" + table + first + sid + second + "0000000")
    frames = [
        Frame(0, True, octets(first)),
        Frame(9, True, octets(sid)),
        Frame(NO_DATA, True, b""),
        Frame(1, True, octets(second)),
    ]
    assert parse(payload, WB_SIZES, False) == frames
    assert write(frames, WB_SIZES, False, request=1) == payload
    assert requested_mode(payload, WB_SIZES) == 1
    assert look(payload, WB_SIZES, False) == (4, True)


def test_octet_aligned_frames_lie_as_in_section_4_4_5_1() -> None:
    """AMR at 7.95 kbit/s: CMR 6 and 4 bits; F, FT 5, Q and 2 bits; 159 bits and 1."""
    first, second = noise(159, 1), noise(159, 2)
    payload = octets(
        "0110" + "0000" + "1" + "0101" + "1" + "00" + "0" + "0101" + "0" + "00" + first + "0" + second + "0"
    )
    frames = [Frame(5, True, octets(first)), Frame(5, False, octets(second))]
    assert parse(payload, NB_SIZES, True) == frames
    assert write(frames, NB_SIZES, True, request=6) == payload
    assert requested_mode(payload, NB_SIZES) == 6


@each_way
@each_type
def test_each_type_is_read_as_it_was_written(sizes: Sizes, kind: int, octet_aligned: bool) -> None:
    for count in range(1, MAX_FRAMES + 1):
        frames = [frame(sizes, kind, good=bool(at % 2), seed=at) for at in range(count)]
        payload = naive_write(frames, sizes, octet_aligned, 15)
        assert write(frames, sizes, octet_aligned) == payload
        assert parse(payload, sizes, octet_aligned) == frames
        assert look(payload, sizes, octet_aligned) == (count, kind not in {speech_modes(sizes), NO_DATA})


@each_type
def test_one_way_is_written_anew_as_the_other_and_back(sizes: Sizes, kind: int) -> None:
    frames = [frame(sizes, kind), frame(sizes, 0), frame(sizes, kind, seed=2)]
    efficient = write(frames, sizes, False, request=2)
    aligned = write(parse(efficient, sizes, False), sizes, True, request=2)
    assert parse(aligned, sizes, True) == frames
    assert write(parse(aligned, sizes, True), sizes, False, request=2) == efficient


@each_codec
@each_way
def test_bits_that_mean_nothing_are_ignored(sizes: Sizes, octet_aligned: bool) -> None:
    frames = [frame(sizes, 1)]
    payload = bytearray(write(frames, sizes, octet_aligned))
    payload[-1] |= (1 << (-(sizes[1] + (0 if octet_aligned else 10)) % 8)) - 1
    if octet_aligned:
        payload[0] |= 0x0F
        payload[1] |= 0x03
    assert bytes(payload) != write(frames, sizes, octet_aligned)
    assert parse(bytes(payload), sizes, octet_aligned) == frames


@each_codec
@each_way
def test_another_length_than_its_table_says_is_refused(sizes: Sizes, octet_aligned: bool) -> None:
    payload = write([frame(sizes, 7), frame(sizes, NO_DATA)], sizes, octet_aligned)
    for wrong in (*(payload[:end] for end in range(len(payload))), payload + b"\0"):
        assert look(wrong, sizes, octet_aligned)[0] == 0
        with pytest.raises(CodecError):
            parse(wrong, sizes, octet_aligned)


@each_codec
@each_way
def test_reserved_types_are_refused_among_good_ones(sizes: Sizes, octet_aligned: bool) -> None:
    reserved = [kind for kind, size in enumerate(sizes) if size < 0]
    assert reserved
    for kind in reserved:
        loose = tuple(max(size, 0) for size in sizes)
        payload = write([frame(sizes, 0), Frame(kind, True, b"")], loose, octet_aligned)
        assert look(payload, sizes, octet_aligned)[0] == 0
        with pytest.raises(CodecError, match=f"type {kind} "):
            parse(payload, sizes, octet_aligned)


@each_codec
@each_way
def test_more_than_120_ms_are_refused(sizes: Sizes, octet_aligned: bool) -> None:
    payload = write([frame(sizes, 0)] * (MAX_FRAMES + 1), sizes, octet_aligned)
    assert look(payload, sizes, octet_aligned)[0] == 0
    with pytest.raises(CodecError, match="no end"):
        parse(payload, sizes, octet_aligned)


def test_a_lost_frame_is_of_amr_wb_only_and_is_no_silence() -> None:
    payload = write([Frame(SPEECH_LOST, True, b"")], WB_SIZES, True)
    assert look(payload, WB_SIZES, True) == (1, True)
    assert look(payload, NB_SIZES, True)[0] == 0


@each_codec
def test_requests_for_what_is_no_mode_are_ignored(sizes: Sizes) -> None:
    modes = speech_modes(sizes)
    payloads = [write([frame(sizes, 0)], sizes, False, request=request) for request in range(16)]
    assert [requested_mode(payload, sizes) for payload in payloads] == [*range(modes), *[None] * (16 - modes)]
    head = np.frombuffer(b"".join((payload + bytes(HEAD))[:HEAD] for payload in payloads), np.uint8).reshape(16, HEAD)
    length = np.array([len(payload) for payload in payloads])
    assert requested_modes(head, length, sizes).tolist() == [*range(modes), *[-1] * (16 - modes)]
    assert requested_mode(b"", sizes) is None
    assert (requested_modes(head, np.zeros_like(length), sizes) == -1).all()


def test_no_payloads_are_none() -> None:
    for octet_aligned in (False, True):
        frames, speech = survey(np.empty((0, HEAD), np.uint8), np.empty(0, np.int64), NB_SIZES, octet_aligned)
        assert frames.shape == speech.shape == (0,)


@st.composite
def nearly_right(draw: st.DrawFn) -> bytes:
    """A payload of one of the codecs in one of the ways, of which a few octets are then others, fewer or more."""
    sizes = draw(st.sampled_from([NB_SIZES, WB_SIZES]))
    kinds = [kind for kind, size in enumerate(sizes) if size >= 0]
    frames = [frame(sizes, kind) for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=8))]
    payload = bytearray(write(frames, sizes, draw(st.booleans())))
    for at in draw(st.lists(st.integers(0, len(payload) - 1), max_size=2)):
        payload[at] = draw(st.integers(0, 255))
    return bytes(payload[: len(payload) - draw(st.integers(0, 2))]) + bytes(draw(st.integers(0, 2)))


@given(st.one_of(st.binary(max_size=64), nearly_right()))
@example(b"")
def test_reading_and_looking_agree_on_anything(payload: bytes) -> None:
    for sizes in (NB_SIZES, WB_SIZES):
        for octet_aligned in (False, True):
            count, speech = look(payload, sizes, octet_aligned)
            try:
                frames = parse(payload, sizes, octet_aligned)
            except CodecError:
                assert count == 0
                continue
            assert count == len(frames)
            assert speech == any(one.kind not in {speech_modes(sizes), NO_DATA} for one in frames)
            again = write(frames, sizes, octet_aligned)
            assert parse(again, sizes, octet_aligned) == frames
            assert len(again) == len(payload)

"""The blocks of telephone events, against plain reading of them, one at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixer.codecs import HEAD, events

Row = tuple[int, int, bool, int, int, int]


def parse(payloads: list[bytes], filler: int = 0xEE) -> list[Row]:
    """By the code under test: (packet, event, end, volume, duration, offset) each."""
    head = np.full((len(payloads), HEAD), filler, np.uint8)
    for row, payload in zip(head, payloads, strict=True):
        row[: len(payload[:HEAD])] = np.frombuffer(payload[:HEAD], np.uint8)
    found = events.parse(head, np.array([len(payload) for payload in payloads], np.int64))
    columns = (found.packet, found.event, found.end, found.volume, found.duration, found.offset)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def naive(payloads: list[bytes]) -> list[Row]:
    """By hand (RFC 4733 section 2.3)."""
    rows: list[Row] = []
    for packet, payload in enumerate(payloads):
        if len(payload) % 4:
            continue
        offset = 0
        for at in range(0, min(len(payload), HEAD), 4):
            event, flags = payload[at], payload[at + 1]
            duration = int.from_bytes(payload[at + 2 : at + 4], "big")
            if event <= 16 and duration:
                rows.append((packet, event, flags >= 128, flags % 64, duration, offset))
            offset += duration
    return rows


blocks = st.builds(
    lambda event, flags, duration: bytes([event, flags]) + duration.to_bytes(2, "big"),
    st.one_of(st.integers(0, 17), st.integers(0, 255)),
    st.integers(0, 255),
    st.one_of(st.just(0), st.integers(0, 0xFFFF)),
)
anything = st.one_of(st.lists(blocks, max_size=6).map(b"".join), st.binary(max_size=30))


@given(st.lists(anything, max_size=6))
def test_reads_as_by_hand_whatever_comes(payloads: list[bytes]) -> None:
    assert parse(payloads) == parse(payloads, 0x01) == naive(payloads)


def test_reads_every_field() -> None:
    assert parse([bytes.fromhex("0b8a0320")]) == [(0, 11, True, 10, 800, 0)]
    assert events.KEYS[11] == "#"


def test_the_reserved_bit_is_ignored() -> None:
    assert parse([bytes.fromhex("014a00a0")]) == [(0, 1, False, 10, 160, 0)]


def test_what_is_no_key_is_left_out_and_its_neighbours_are_not() -> None:
    good = bytes.fromhex("050a00a0")
    for bad in (b"", b"\x05", good[:3], good + b"\0", bytes.fromhex("110a00a0"), bytes.fromhex("050a0000")):
        assert [row[0] for row in parse([good, bad, good])] == [0, 2]


def test_a_second_block_begins_where_the_first_ends() -> None:
    payload = events.block(1, 800, 10, end=True) + events.block(2, 400, 10, end=False)
    assert parse([payload]) == [(0, 1, True, 10, 800, 0), (0, 2, False, 10, 400, 800)]


@given(st.integers(0, 16), st.integers(1, 0xFFFF), st.integers(0, 63), st.booleans())
def test_what_is_written_is_read(event: int, duration: int, volume: int, end: bool) -> None:
    assert parse([events.block(event, duration, volume, end=end)]) == [(0, event, end, volume, duration, 0)]


def test_keys_have_the_codes_of_the_standard() -> None:
    codes = {**{str(digit): digit for digit in range(10)}, "*": 10, "#": 11, "A": 12, "B": 13, "C": 14, "D": 15}
    assert {key: code for code, key in enumerate(events.KEYS)} == {**codes, "flash": 16}

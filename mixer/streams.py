"""Common streams: one row for each (conference, format). Every leg of that format hears the same octets.

A format is everything that must be equal for two legs to share a packet: codec, clock, payload type,
ptime and the header extension. Under a group key the row also has a session: one encrypt for all.
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

import numpy as np

PAST: Final = 144
"""Samples of the past that any resampler needs (24 at 8 kHz, from 48 kHz)."""

SEQUENCE_SPAN: Final = 1 << 16


class Format(NamedTuple):
    """What legs must have in common to share a stream."""

    conference: int
    codec: int
    clock: int
    payload_type: int
    ptime: int
    level_out: int
    """RFC 6465 extension id, 0 for none."""


def first_index() -> int:
    """A random sequence number below 2^15 (RFC 4568 section 6.4): losing the first packets can't cost the ROC."""
    return secrets.randbelow(1 << 15)


class Streams:
    """Common streams. int64[rows] unless said otherwise."""

    def __init__(self, rows: int) -> None:
        self._free = list(range(rows - 1, -1, -1))
        self._rows: dict[Format, int] = {}
        self._formats: dict[int, Format] = {}
        self.conference = np.zeros(rows, np.int64)
        self.codec = np.zeros(rows, np.int64)
        self.clock = np.zeros(rows, np.int64)
        self.payload_type = np.zeros(rows, np.int64)
        self.ptime = np.zeros(rows, np.int64)
        self.level_out = np.zeros(rows, np.int64)
        self.members = np.zeros(rows, np.int64)
        self.ssrc = np.zeros(rows, np.int64)
        self.index = np.zeros(rows, np.int64)
        """ROC << 16 | SEQ of the next packet."""
        self.first = np.zeros(rows, np.int64)
        """Its index at the beginning of the SSRC."""
        self.timestamp = np.zeros(rows, np.int64)
        """RTP timestamp of the engine's time 0."""
        self.session = np.full(rows, -1, np.int64)
        """Under the group key; -1 without one."""
        self.sent = np.zeros(rows, np.int64)
        """Packets under the group key and this SSRC."""
        self.under_key = np.zeros(rows, np.int64)
        """Packets under the active group key, over all SSRCs of the stream."""
        self.next_report = np.zeros(rows, np.int64)
        self.past = np.zeros((rows, PAST), np.float32)
        """Samples before this tick, for resampling."""

    def find(self, form: Format) -> int:
        """The stream of a format, -1 if there is none yet."""
        return self._rows.get(form, -1)

    def open(self, form: Format, ssrc: int) -> int:
        """Start a stream."""
        row = self._free.pop()
        self._rows[form] = row
        self._formats[row] = form
        self.conference[row], self.codec[row], self.clock[row] = form.conference, form.codec, form.clock
        self.payload_type[row], self.ptime[row], self.level_out[row] = (
            form.payload_type,
            form.ptime,
            form.level_out,
        )
        self.members[row] = self.under_key[row] = self.next_report[row] = 0
        self.timestamp[row] = secrets.randbits(32)
        self.session[row] = -1
        self.past[row] = 0
        self.restart(row, ssrc)
        return row

    def restart(self, row: int, ssrc: int) -> None:
        """Go on under another SSRC, at ROC 0."""
        self.ssrc[row], self.first[row], self.sent[row] = ssrc, first_index(), 0
        self.index[row] = self.first[row]

    def close(self, row: int) -> None:
        del self._rows[self._formats.pop(row)]
        self.members[row], self.session[row] = 0, -1
        self._free.append(row)

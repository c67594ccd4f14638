"""Common streams: one row for each (format, cohort). Every leg of both hears the same octets.

A format is everything that must be equal for two legs to share an encoded packet: conference, codec and its settings,
clock, payload types, ptime and the header extension. A cohort is the legs that share a group key. Under a group key
the row also has a session: one encrypt for all. Of the streams of one format one leads: its packet is
encoded, and the others are sent copies of it.
"""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

import numpy as np

from mixer.port import Amr, Opus

PAST: Final = 216
"""Samples of the past that any resampler needs (36 at 8 kHz, from 48 kHz)."""

SEQUENCE_SPAN: Final = 1 << 16


class Format(NamedTuple):
    """What legs must have in common to share an encoded packet."""

    conference: int
    codec: int
    clock: int
    payload_type: int
    ptime: int
    level_out: int
    """RFC 6465 extension id, 0 for none."""
    settings: Opus | Amr | None = None
    """How to encode, for codecs that can be told."""
    noise_type: int = -1
    """Payload type of comfort noise, -1 for none."""


def first_index() -> int:
    """A random sequence number below 2^15 (RFC 4568 section 6.4): losing the first packets can't cost the ROC."""
    return secrets.randbelow(1 << 15)


class Streams:
    """Common streams. int64[rows] unless said otherwise."""

    def __init__(self, rows: int) -> None:
        self._free = list(range(rows - 1, -1, -1))
        self._rows: dict[Format, dict[int, int]] = {}
        """By format and cohort."""
        self._formats: dict[int, Format] = {}
        self.top = 0
        """Rows in use are below this."""
        self.cohort = np.zeros(rows, np.int64)
        self.lead = np.zeros(rows, np.int64)
        """The stream whose encoded packet this one copies: itself, or another of its format."""
        self.conference = np.zeros(rows, np.int64)
        self.codec = np.zeros(rows, np.int64)
        self.clock = np.zeros(rows, np.int64)
        """Of its RTP timestamps, Hz."""
        self.rate = np.zeros(rows, np.int64)
        """Of the samples that are encoded, Hz."""
        self.noise_type = np.full(rows, -1, np.int64)
        self.stereo = np.zeros(rows, np.int64)
        """1 if two channels are encoded."""
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
        """Packet times under the active group key, over all SSRCs of the stream, its legs' own ones among them."""
        self.limit = np.zeros(rows, np.int64)
        """Packets after which no tick may begin under the active group key: it could send one too many."""
        self.expiry = np.zeros(rows, np.int64)
        """Frame from which nothing more is sent under it."""
        self.reported = np.zeros(rows, np.int64)
        """SRTCP index that the last key of this SSRC reached; without a key the next goes on there."""
        self.next_report = np.zeros(rows, np.int64)
        self.past = np.zeros((rows, PAST), np.float32)
        """Samples before this tick, for resampling."""
        self.encoded = np.zeros(rows, np.int64)
        """Packets encoded for it, while it leads,"""
        self.octets = np.zeros(rows, np.int64)
        """and octets of payload in them."""

    def find(self, form: Format, cohort: int) -> int:
        """The stream of a format and cohort, -1 if there is none yet."""
        return self._rows.get(form, {}).get(cohort, -1)

    def form(self, row: int) -> Format:
        """The format of a stream: the same object for all of one format, until the last of them ends."""
        return self._formats[row]

    def has(self, form: Format) -> bool:
        """True while there is a stream of that format."""
        return form in self._rows

    def open(self, form: Format, cohort: int, ssrc: int, rate: int) -> int:
        """Start a stream that is encoded from samples of `rate` Hz."""
        row = self._free.pop()
        self.top = max(self.top, row + 1)
        alike = self._rows.setdefault(form, {})
        self._formats[row] = self._formats[next(iter(alike.values()))] if alike else form
        alike[cohort] = row
        self.cohort[row] = cohort
        self.lead[row] = self.lead[next(iter(alike.values()))] if len(alike) > 1 else row
        self.conference[row], self.codec[row], self.clock[row] = form.conference, form.codec, form.clock
        self.payload_type[row], self.noise_type[row] = form.payload_type, form.noise_type
        self.ptime[row], self.level_out[row] = form.ptime, form.level_out
        self.rate[row] = rate
        self.stereo[row] = isinstance(form.settings, Opus) and form.settings.stereo
        self.members[row] = self.under_key[row] = self.next_report[row] = 0
        self.encoded[row] = self.octets[row] = 0
        self.timestamp[row] = secrets.randbits(32)
        self.session[row] = -1
        self.past[row] = 0
        self.restart(row, ssrc)
        return row

    def restart(self, row: int, ssrc: int) -> None:
        """Go on under another SSRC, at ROC 0."""
        self.ssrc[row], self.first[row], self.sent[row], self.reported[row] = ssrc, first_index(), 0, 0
        self.index[row] = self.first[row]

    def close(self, row: int) -> None:
        """End a stream. If it led its format, another does so from now on."""
        form = self._formats.pop(row)
        alike = self._rows[form]
        del alike[int(self.cohort[row])]
        if not alike:
            del self._rows[form]
        elif self.lead[row] == row:
            others = list(alike.values())
            self.past[others[0]] = self.past[row]
            self.lead[others] = others[0]
        self.members[row], self.session[row] = 0, -1
        self._free.append(row)

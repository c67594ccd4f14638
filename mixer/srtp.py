"""SRTP over batches. Per packet, Python does one thing: it walks three lists side by side into `srtp_protect` or
`srtp_unprotect` of libsrtp.

Rules kept here, because nobody above can be trusted with them:

* One libsrtp session per (key, SSRC): libsrtp finds a stream by linear search.
* Keystream (I1): a session protects strictly increasing 48-bit indices. Anything else raises
  `KeystreamReuse` before libsrtp is called; `allow_repeat_tx` is never set.
* The MKI is spliced outside libsrtp: before the tag for HMAC suites (RFC 3711 section 3.1), behind it
  for AEAD (RFC 7714 section 8.2). It is not authenticated, so it only selects; it never changes state.
* Decryption is in place and destroys the packet if it fails: whoever wants to try a key hands a copy.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import libsrtp
from mixer.batch import STRIDE
from mixer.drops import Drop
from mixer.libsrtp import LIB, SrtpError
from mixer.pointers import Pointers
from mixer.secret import Secret
from mixer.suites import Suite
from mixer.wire import windows

SRTCP_INDEX: Final = 4
"""Octets of E flag and SRTCP index in front of MKI and tag (RFC 3711 section 3.4)."""
RTP_HEADER: Final = 12
_EMPTY_REPORT: Final = bytes.fromhex("80c90001")
"""A receiver report that says nothing, without its SSRC."""

_FATE: Final = np.full(256, Drop.AUTH_FAILED, np.uint8)
_FATE[0] = Drop.ACCEPTED
_FATE[9] = Drop.REPLAYED  # srtp_err_status_replay_fail
_FATE[10] = Drop.REPLAYED  # srtp_err_status_replay_old
_FATE[21] = Drop.TRUNCATED  # srtp_err_status_parse_err


class KeystreamReuse(SrtpError):
    """A packet index was about to be protected twice under one key: a bug, stopped in time."""


class Sessions:
    """A table of libsrtp sessions, one row each; columns describe their packets.

    Attributes:
        last: int64[rows], the highest 48-bit index protected, -1 before the first (senders only).
        tag, rtcp_tag, mki_length: int64[rows], octets.
        mki: uint8[rows, 4], the MKI, left-aligned.
        aead: bool[rows].
    """

    def __init__(self, rows: int = 64) -> None:
        self._free: list[int] = list(range(rows - 1, -1, -1))
        self._context = np.full(rows, None, object)
        self._ssrc = np.zeros(rows, np.int64)
        self._rtcp_count = np.zeros(rows, np.int64)
        self.last = np.full(rows, -1, np.int64)
        self.tag = np.zeros(rows, np.int64)
        self.rtcp_tag = np.zeros(rows, np.int64)
        self.mki_length = np.zeros(rows, np.int64)
        self.mki = np.zeros((rows, 4), np.uint8)
        self.aead = np.zeros(rows, bool)
        self._scratch = np.zeros((1, STRIDE), np.uint8)
        self._scratch_length = np.zeros(1, np.int32)
        self._one = Pointers(self._scratch, self._scratch_length)
        (self._data,), (self._size,) = self._one.of(np.zeros(1, np.int64))
        self._address = np.zeros(rows, np.int64)
        self._rank = np.zeros(rows, np.uint16)
        self._rank_stale = False

    # -- life ---------------------------------------------------------------------------------

    def open(
        self, suite: Suite, secret: Secret, mki: bytes = b"", *, ssrc: int = 0, roc: int = 0, others: bool = False
    ) -> int:
        """Make a session and return its row.

        Args:
            ssrc: the one SSRC it is for; 0 accepts any inbound SSRC (receivers only).
            roc: rollover counter of the first packet; needs `ssrc`.
            others: accept any other inbound SSRC, too, at ROC 0 (receivers only).

        Raises:
            SrtpError: if libsrtp refuses the policy.
        """
        context = libsrtp.create(suite, secret, ssrc=ssrc, roc=roc, others=others)
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._context[row] = context
        self._address[row] = libsrtp.address(context)
        self._rank_stale = True
        self._ssrc[row] = ssrc
        self.last[row], self._rtcp_count[row] = -1, 0
        self.tag[row], self.rtcp_tag[row], self.aead[row] = suite.tag, suite.rtcp_tag, suite.aead
        self.mki_length[row] = len(mki)
        self.mki[row] = np.frombuffer(mki.ljust(4, b"\0"), np.uint8)
        return row

    def close(self, row: int) -> None:
        """Destroy a session; libsrtp wipes the keys it derived."""
        if row >= 0 and self._context[row] is not None:
            LIB.srtp_dealloc(self._context[row])
            self._context[row] = None
            self._free.append(row)

    def close_all(self) -> None:
        """Destroy every session. To be called before the interpreter ends."""
        for row in range(len(self._context)):
            self.close(row)

    @property
    def count(self) -> int:
        return len(self._context) - len(self._free)

    def _grow(self) -> None:
        old = len(self._context)
        for name in (
            "_context",
            "_address",
            "_rank",
            "_ssrc",
            "_rtcp_count",
            "last",
            "tag",
            "rtcp_tag",
            "mki_length",
            "mki",
            "aead",
        ):
            column = getattr(self, name)
            bigger = np.full((2 * old, *column.shape[1:]), None if column.dtype == object else 0, column.dtype)
            bigger[:old] = column
            setattr(self, name, bigger)
        self._free.extend(range(2 * old - 1, old - 1, -1))

    def in_memory_order(self, session: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions that put sessions (int64[n]) in the order in which they lie in memory, equal ones as they stand.

        A session is a dozen scattered blocks, all out of the cache by its next packet. Visited in this order the
        hardware sees them coming: libsrtp takes half the time for thousands of sessions.
        """
        if self._rank_stale:
            self._rank[np.argsort(self._address)] = np.minimum(np.arange(len(self._address)), 0xFFFF)
            self._rank_stale = False
        return np.argsort(self._rank[session], kind="stable")

    # -- sending ------------------------------------------------------------------------------

    def protect(
        self, packets: Pointers, rows: NDArray[np.int64], session: NDArray[np.int64], index: NDArray[np.int64]
    ) -> None:
        """Encrypt rows in place; lengths grow by tag and MKI.

        Args:
            packets: the matrix that the rows are of.
            session: int64[n], a row of this table for each packet, each at most once.
            index: int64[n], ROC << 16 | SEQ, above everything the session has protected.

        Raises:
            KeystreamReuse: if an index is not above the session's last.
            SrtpError: if libsrtp refuses a packet.
        """
        before = self.last[session]
        if (index <= before).any():
            raise KeystreamReuse("an SRTP index came twice under one key; no packet of this batch was protected")
        self.last[session] = index
        # libsrtp infers the ROC from the sequence number, up to 2^15 ahead of the last packet.
        for far in np.flatnonzero((index - before >= 1 << 15) & (index >= 1 << 16)):
            self.set_roc(int(session[far]), int(index[far]) >> 16)
        data, size = packets.of(rows)
        status = list(map(LIB.srtp_protect, self._context[session].tolist(), data, size))
        if any(status):
            raise SrtpError(f"libsrtp could not protect a packet: status {max(status)}")
        if self.mki_length[session].any():
            self._insert_mki(packets, rows, session)

    def continue_rtcp(self, session: int, index: int) -> None:
        """Let a new session's SRTCP index go on where another key of the same SSRC stopped.

        RFC 3711 section 3.2.1 forbids to begin anew after a rekeying; libsrtp can only count. One report in
        five seconds makes this 720 steps for a conference that has lasted an hour: a millisecond.
        """
        report = np.frombuffer(_EMPTY_REPORT + int(self._ssrc[session]).to_bytes(4), np.uint8)
        context, head = self._context[session], self._scratch[0, : len(report)]
        for _ in range(index - int(self._rtcp_count[session])):
            head[:], self._scratch_length[0] = report, len(report)
            if LIB.srtp_protect_rtcp(context, self._data, self._size):
                raise SrtpError("libsrtp could not continue an SRTCP index")
        self._rtcp_count[session] = max(index, self._rtcp_count[session])

    def rtcp_index(self, session: int) -> int:
        """The last SRTCP index that a session protected, 0 before the first."""
        return int(self._rtcp_count[session])

    def protect_rtcp(self, session: int, packet: bytes) -> bytes:
        """Encrypt one RTCP compound; libsrtp counts the SRTCP index, which never repeats."""
        self._load(packet)
        status = LIB.srtp_protect_rtcp(self._context[session], self._data, self._size)
        if status:
            raise SrtpError(f"libsrtp could not protect an RTCP packet: status {status}")
        self._rtcp_count[session] += 1
        octets = self._scratch[0, : self._scratch_length[0]].tobytes()
        mki = self.mki[session, : self.mki_length[session]].tobytes()
        # The index word of SRTCP stands before the MKI; an AEAD tag before the index word.
        cut = len(octets) - (0 if self.aead[session] else int(self.rtcp_tag[session]))
        return octets[:cut] + mki + octets[cut:]

    def _insert_mki(self, packets: Pointers, rows: NDArray[np.int64], session: NDArray[np.int64]) -> None:
        for width, tag in self._shapes(session):
            some = (self.mki_length[session] == width) & (self._tail(session) == tag)
            at = rows[some] * STRIDE + packets.length[rows[some]] - tag
            if tag:
                moved = windows(packets.octets, tag)
                moved[at + width] = moved[at]
            windows(packets.octets, width)[at] = self.mki[session[some], :width]
            packets.length[rows[some]] += width

    def _tail(self, session: NDArray[np.int64]) -> NDArray[np.int64]:
        """Octets that follow the MKI in an SRTP packet."""
        return np.where(self.aead[session], 0, self.tag[session])

    def _shapes(self, session: NDArray[np.int64]) -> list[tuple[int, int]]:
        """The distinct (MKI length, octets behind it) among sessions that have an MKI."""
        both = np.unique(self.mki_length[session] * 64 + self._tail(session))
        return [(int(v) // 64, int(v) % 64) for v in both if v >= 64]

    def roc(self, session: int, ssrc: int) -> int:
        """The rollover counter at which a received stream stands; 0 if the session has heard nothing of it."""
        return libsrtp.roc(self._context[session], ssrc)

    def set_roc(self, session: int, roc: int) -> None:
        """Take the next packet of the SSRC that a session is for to be of this rollover counter. For a receiver
        that has opened packets of it already, this is no business of anybody's.

        Raises:
            SrtpError: if the session is not for one SSRC.
        """
        libsrtp.set_roc(self._context[session], int(self._ssrc[session]), roc)

    # -- receiving ----------------------------------------------------------------------------

    def unprotect(self, packets: Pointers, rows: NDArray[np.int64], session: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Authenticate and decrypt rows in place; lengths shrink by tag and MKI.

        Returns:
            uint8[n] of `Drop`: ACCEPTED, or why not. Refused rows are destroyed.
        """
        fate = np.zeros(len(rows), np.uint8)
        if self.mki_length[session].any():
            fate = self._remove_mki(packets, rows, session)
            alive = np.flatnonzero(fate == 0)
            fate[alive] = self._unprotect_plain(packets, rows[alive], session[alive])
            return fate
        return self._unprotect_plain(packets, rows, session)

    def _unprotect_plain(
        self, packets: Pointers, rows: NDArray[np.int64], session: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        data, size = packets.of(rows)
        status = list(map(LIB.srtp_unprotect, self._context[session].tolist(), data, size))
        return _FATE[np.array(status, np.intp)] if any(status) else np.zeros(len(rows), np.uint8)

    def _remove_mki(self, packets: Pointers, rows: NDArray[np.int64], session: NDArray[np.int64]) -> NDArray[np.uint8]:
        fate = np.zeros(len(rows), np.uint8)
        for width, tag in self._shapes(session):
            some = np.flatnonzero((self.mki_length[session] == width) & (self._tail(session) == tag))
            short = packets.length[rows[some]] < 12 + width + tag
            fate[some[short]] = Drop.TRUNCATED
            some = some[~short]
            at = rows[some] * STRIDE + packets.length[rows[some]] - tag - width
            right = (windows(packets.octets, width)[at] == self.mki[session[some], :width]).all(axis=1)
            fate[some[~right]] = Drop.UNKNOWN_MKI
            some, at = some[right], at[right]
            if tag:
                moved = windows(packets.octets, tag)
                moved[at] = moved[at + width]
            packets.length[rows[some]] -= width
        return fate

    def try_unprotect(self, session: int, packet: bytes) -> tuple[Drop, bytes]:
        """Try a key on a copy: the fate of the packet, and its clear text if ACCEPTED."""
        width = int(self.mki_length[session])
        if width:
            cut = len(packet) - (0 if self.aead[session] else int(self.tag[session])) - width
            if cut < RTP_HEADER:
                return Drop.TRUNCATED, b""
            if packet[cut : cut + width] != self.mki[session, :width].tobytes():
                return Drop.UNKNOWN_MKI, b""
            packet = packet[:cut] + packet[cut + width :]
        self._load(packet)
        fate = Drop(int(_FATE[LIB.srtp_unprotect(self._context[session], self._data, self._size)]))
        return fate, self._scratch[0, : self._scratch_length[0]].tobytes() if fate == Drop.ACCEPTED else b""

    def unprotect_rtcp(self, session: int, packet: bytes) -> tuple[Drop, bytes]:
        """Authenticate and decrypt one SRTCP compound: its fate, and the clear text if ACCEPTED."""
        width = int(self.mki_length[session])
        behind = 0 if self.aead[session] else int(self.rtcp_tag[session])
        cut = len(packet) - behind - width
        if cut < 8 + SRTCP_INDEX:
            return Drop.TRUNCATED, b""
        if packet[cut : cut + width] != self.mki[session, :width].tobytes():
            return Drop.UNKNOWN_MKI, b""
        self._load(packet[:cut] + packet[cut + width :])
        status = LIB.srtp_unprotect_rtcp(self._context[session], self._data, self._size)
        return Drop(int(_FATE[status])), self._scratch[0, : self._scratch_length[0]].tobytes()

    def _load(self, packet: bytes) -> None:
        self._scratch[0, : len(packet)] = np.frombuffer(packet, np.uint8)
        self._scratch_length[0] = len(packet)

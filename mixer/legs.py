"""The leg table: one row a leg, one column a fact, and a record for what only control reads.

The columns are the state of the packet path; whoever's step changes a column is named beside it.
A row is free when `used` is False; all other columns are then meaningless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixer.batch import SOCKADDR
from mixer.denoise import Denoiser
from mixer.epochs import KeyLine
from mixer.port import LegAdd, PortError, Refusal
from mixer.rows import Rows
from mixer.secret import Secret
from mixer.suites import Suite

Kind = TypeVar("Kind", bound=np.generic)


class Mode(IntEnum):
    """How what a leg hears is protected."""

    CLEAR = 0
    UNIQUE = 1
    """Its own key, SSRC and sequence, whatever it hears."""
    GROUP_SSRC = 2
    """The common stream under the group key; its minus stream under the group key and an SSRC of its own. While it
    is bridged, a stream of its own under its own key."""
    GROUP_MKI = 3
    """The common stream under the group key; its minus mix, and everything while it is bridged, on the same SSRC
    and sequence under its own key, told apart by the MKI."""


class Former(NamedTuple):
    """A session whose key was superseded, and the frame from which it opens nothing any more."""

    session: int
    until: int


class Waiting(NamedTuple):
    """A session for a prepared key, where its stream stands: the SSRC, 0 for any, and the ROC."""

    session: int
    ssrc: int
    roc: int


@dataclass(slots=True)
class Leg:
    """What is known of a leg beside its columns."""

    name: str
    row: int
    wish: LegAdd
    """The command that added it, keys taken out."""
    suite: Suite | None
    """Of what it hears under its own key, or of what it sends."""
    tx: KeyLine = field(default_factory=KeyLine)
    """Own keys of what it hears. The secret of the active one is in its session only."""
    rx: KeyLine = field(default_factory=KeyLine)
    """The same of what it sends; under a group uplink key, those of the conference that it has been told."""
    waiting: dict[int, Waiting] = field(default_factory=dict)
    """Sessions opened for prepared `rx` keys, by epoch."""
    former: Former | None = None
    """The `rx` session before the present one."""
    stood: int = 0
    """ROC of what it sends when its `awaited` session took over."""
    late_key: tuple[Suite, Secret, bytes, int] | None = None
    """Uplink key whose stream joins at a ROC and whose SSRC is not known yet."""
    sender_report: tuple[int, int] | None = None
    """Middle NTP bits of its last sender report, and when that arrived (ns)."""
    rtt_ms: float = 0.0
    remote_lost: int = 0
    remote_jitter: int = 0
    told: tuple[int, int] | None = None
    """SSRC and extended highest sequence number of ours that its last report of news had."""
    told_sent: int = 0
    """What it had been sent then, packets."""
    stale_reports: int = 0
    """Its reports since that had no news."""
    denoiser: Denoiser | None = None
    said_goodbye: bool = False
    secured: bool = False
    """A DTLS leg that has its keys. Before, it neither speaks nor hears."""
    rtcp_source: NDArray[np.uint8] | None = None
    """Where a handshake of its own for RTCP showed that to be."""


class Legs:
    """All legs of an engine. int64[legs] unless said otherwise."""

    def __init__(self, rows: int, tick_ms: int) -> None:
        self.rows = rows
        self._free = Rows(rows, tick_ms)
        self._by_name: dict[str, Leg] = {}
        self._by_row: dict[int, Leg] = {}
        self.top = 0
        """Rows in use are below this."""

        self._starts: list[tuple[NDArray[Any], int]] = []
        """Every column, and what it begins with."""
        self.used = self._column(np.bool_)
        self.conference = self._column(np.int64)
        self._what_it_sends()
        self._how_it_is_decoded()
        self._where_it_is()
        self._what_it_hears()
        self._how_it_sounds()

    def _what_it_sends(self) -> None:
        self.codec = self._column(np.int64)
        self.clock = self._column(np.int64)
        """Of its RTP timestamps, Hz."""
        self.rate = self._column(np.int64)
        """Of the samples in its playout buffer, Hz."""
        self.payload_type = self._column(np.int64)
        self.noise_type = self._column(np.int64, -1)
        """Payload type of comfort noise, -1 for none."""
        self.event_type = self._column(np.int64, -1)
        """Payload type of telephone events, -1 for none."""
        self.asked = self._column(np.int64, -1)
        """The mode that it asks to be sent (RFC 4867), -1 for none."""
        self.corrupt = self._column(np.int64)
        """Payloads that its decoder refused."""
        self.speaks = self._column(np.bool_)
        self.muted = self._column(np.bool_)
        """By itself (`alone`), or because control said so."""
        self.gain = self._column(np.float32, 1)
        self.rx_session = self._column(np.int64, -1)
        self.changing_key = self._column(np.bool_)
        """Other keys than its session's may open what it sends (`grace`)."""
        self.awaited = self._column(np.bool_)
        """Its session was activated by control, and has opened nothing yet."""
        self.group_uplink = self._column(np.bool_)
        self.declared = self._column(np.bool_)
        self.ssrc = self._column(np.int64)
        """SSRC it sends with, 0 if not known yet."""
        self.level_in = self._column(np.uint8)
        self.tried = self._column(np.int64)
        """Frame in which it began to be decoded."""
        self.doubted = self._column(np.int64)
        """Frame until which its claims are doubted (`chances`)."""
        self.claimed_silent = self._column(np.bool_)
        """Its last packet said so (RFC 6464)."""
        self.claim = self._column(np.int64, -1)
        """Level of its last packet by its own account (RFC 6464), 127 for silence, -1 for none."""
        self.heard = self._column(np.int64)
        """Frame of its last authentic packet."""
        self.moves = self._column(np.int64)
        """How often its SSRC or address changed."""
        self.moved = self._column(np.int64)
        """Frame of the last such change."""
        self.latched = self._column(np.bool_)
        """An authentic packet has come."""
        self.auth_failures = self._column(np.int64)
        # DTLS without rtcp-mux: keys of their own for RTCP (RFC 5764 section 4.1), -1 before that handshake.
        self.rtcp_apart = self._column(np.bool_)
        self.rtcp_rx_session = self._column(np.int64, -1)
        self.rtcp_tx_session = self._column(np.int64, -1)

    def _how_it_is_decoded(self) -> None:
        # Codecs with memory (`decoding`); timestamps in samples of `rate`, modulo 2^32.
        self.stamp = self._column(np.int64)
        """Its newest RTP timestamp, extended beyond 32 bits, in units of `clock`."""
        self.spoken = self._column(np.int64)
        """Packets with speech since its last one of DTX."""
        self.awake = self._column(np.bool_)
        """It spoke lately: what it sends is decoded."""
        self.dozes = self._column(np.int64)
        """Timestamp until which it stays awake."""
        self.running = self._column(np.bool_)
        """Its decoder stands at `decoded`."""
        self.decoded = self._column(np.int64)
        """Timestamp behind the last sample decoded."""
        self.invented = self._column(np.int64)
        """Samples concealed in a row up to there."""

    def _where_it_is(self) -> None:
        self.located = self._column(np.bool_)
        self.address = self._column(np.uint8, width=SOCKADDR)
        self.rtcp_address = self._column(np.uint8, width=SOCKADDR)
        self.local = self._column(np.int32)
        self.rtcp_local = self._column(np.int32)

    def _what_it_hears(self) -> None:
        self.mode = self._column(np.int64)
        self.cohort = self._column(np.int64)
        self.listens = self._column(np.bool_)
        self.stereo = self._column(np.bool_)
        """It hears two channels."""
        self.stream = self._column(np.int64)
        """Row of the common stream of its format."""
        self.alone = self._column(np.bool_)
        """It hears nothing of its conference."""
        self.bridged = self._column(np.bool_)
        """Group modes: it hears under its own key, or nothing."""
        # Under its own key: `tx_session`; in style `mki` on the SSRC and sequence of the common stream.
        self.tx_session = self._column(np.int64, -1)
        self.own_ssrc = self._column(np.int64)
        self.own_index = self._column(np.int64)
        self.own_sent = self._column(np.int64)
        self.fresh = self._column(np.bool_)
        """The next packet on `own_ssrc` begins something new for the receiver."""
        # Style `ssrc`: its minus mix under the group key.
        self.minus_session = self._column(np.int64, -1)
        self.minus_ssrc = self._column(np.int64)
        self.minus_index = self._column(np.int64)
        self.minus_sent = self._column(np.int64)
        self.hopped = self._column(np.bool_)
        """Its last packet was its own minus mix."""
        self.unsettled = self._column(np.bool_)
        """It can't be handed from an encoder of its own to the common one now: one is not at rest (`encoding`)."""
        self.apart = self._column(np.int64)
        """Frame in which it last had something of its own to hear."""
        self.sent = self._column(np.int64)
        self.next_report = self._column(np.int64)
        self.timeout = self._column(np.int64)
        self.timed_out = self._column(np.bool_)

    def _how_it_sounds(self) -> None:
        self.level = self._column(np.int64, 127)
        self.sounded = self._column(np.int64)
        """Frame in which `level` was measured."""
        self.talking = self._column(np.bool_)
        self.talked = self._column(np.int64)
        """Frame in which it was last heard in the mix."""
        self.position = self._column(np.float32)
        """Where it is for stereo listeners, -1 left to 1 right."""
        self.denoised = self._column(np.bool_)
        """Its noise is suppressed: `Leg.denoiser`."""
        self.agc = self._column(np.bool_)
        self.agc_gain = self._column(np.float32, 1)
        self.speech_power = self._column(np.float32)
        """Mean power while it speaks, before `agc_gain`; 0 if not known yet."""
        # `talkers` says what these are.
        self.loudness = self._column(np.float32)
        self.presence = self._column(np.float32)
        self.floor_before = self._column(np.float32, -1)
        self.floor_since = self._column(np.float32, -1)
        """The least it has said in the last whole second, and since. Negative: not known yet."""
        self.sounds = self._column(np.bool_)
        """It was above the gate in the last tick."""
        self.voiced = self._column(np.int64)
        """Frame in which it last was."""
        self.seated = self._column(np.bool_)
        self.score = self._column(np.float32)
        """Its loudness without what is always there."""
        # `dominance` says what these are.
        self.dominance = self._column(np.float32)
        self.dominant = self._column(np.bool_)

    def _column(self, kind: type[Kind], start: int = 0, *, width: int = 0) -> NDArray[Kind]:
        """One fact of every leg; each new leg begins with `start`."""
        column = np.zeros((self.rows, width) if width else self.rows, kind)
        if start:  # zeros take no memory before they are used
            column[:] = start
        self._starts.append((column, start))
        return column

    def add(self, wish: LegAdd, conference: int, suite: Suite | None, frame: int) -> Leg:
        """Take a row; every column starts anew.

        Raises:
            PortError: LIMIT.
        """
        row = self._free.take(frame)
        if row < 0:
            raise PortError(Refusal.LIMIT, f"all {self.rows} legs are in use; raise max_legs")
        for column, start in self._starts:
            column[row] = start
        self.used[row], self.conference[row] = True, conference
        leg = Leg(wish.leg, row, wish, suite)
        self._by_name[wish.leg] = self._by_row[row] = leg
        self.top = max(self.top, row + 1)
        return leg

    def remove(self, leg: Leg, frame: int) -> None:
        del self._by_name[leg.name], self._by_row[leg.row]
        self.used[leg.row] = self.speaks[leg.row] = self.listens[leg.row] = self.talking[leg.row] = False
        self._free.give_back(leg.row, frame)

    def named(self, name: str) -> Leg:
        """The leg of that name.

        Raises:
            PortError: UNKNOWN_LEG.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise PortError(Refusal.UNKNOWN_LEG, f"there is no leg {name!r}") from None

    def at(self, row: int) -> Leg:
        return self._by_row[row]

    def holds(self, leg: Leg) -> bool:
        """True until that leg is removed, also if another one has its name then."""
        return self._by_row.get(leg.row) is leg

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

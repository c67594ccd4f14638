"""A leg takes the keys of its DTLS handshake: from here on it is as any other leg under unique keys.

Of a later handshake too (RFC 5764 section 5.2): what was sent under the key before is still accepted for a moment
(`grace`). SSRC and sequence numbers of what it hears go on, and both ends count from ROC 0, as they do with a new
SRTP context. The keys are fresh by nature, as both ends put in a random of their own; they need no ledger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer.admission import Admission
from mixer.dtls import Keys
from mixer.grace import Grace
from mixer.legs import Leg
from mixer.port import LegSecured
from mixer.state import State


class Takeover:
    """Gives keys to legs."""

    def __init__(self, state: State, admission: Admission, grace: Grace) -> None:
        self._state, self._admission, self._grace = state, admission, grace
        self._legs, self._sessions = state.legs, state.sessions

    def take(self, leg: Leg, keys: Keys, source: NDArray[np.uint8], *, proof: str, rtcp: bool) -> None:
        """Put keys in force, for RTP and with it RTCP, or for the RTCP of a leg that has it on a port of its own.

        Args:
            source: where the handshake came from.
            proof: hash function of the fingerprint that matched.
        """
        if rtcp:
            self._take_rtcp(leg, keys, source)
        else:
            self._take_rtp(leg, keys, source)
            name = self._state.conference_of(leg.row).name
            self._state.events.append(LegSecured(conference=name, leg=leg.name, suite=keys.suite.name, hash=proof))
        keys.rx.wipe()
        keys.tx.wipe()

    def _take_rtp(self, leg: Leg, keys: Keys, source: NDArray[np.uint8]) -> None:
        legs, row = self._legs, leg.row
        rx = self._sessions.open(keys.suite, keys.rx, ssrc=leg.wish.ssrc or 0)
        if leg.secured:
            self._grace.renew(leg, rx)
            legs.own_index[row] &= 0xFFFF
        else:
            legs.rx_session[row] = rx
        self._sessions.close(int(legs.tx_session[row]))
        legs.tx_session[row] = self._sessions.open(keys.suite, keys.tx, ssrc=int(legs.own_ssrc[row]))
        leg.suite, legs.heard[row] = keys.suite, self._state.frame
        self._locate(leg, source)
        if not leg.secured:
            leg.secured = True
            self._admission.direct(leg, leg.wish.direction)

    def _locate(self, leg: Leg, source: NDArray[np.uint8]) -> None:
        self._state.routes.forget(leg.row)
        self._admission.place(leg.row, source)
        if leg.rtcp_source is not None:
            self._admission.locate_rtcp(leg.row, leg.rtcp_source)

    def _take_rtcp(self, leg: Leg, keys: Keys, source: NDArray[np.uint8]) -> None:
        legs, row = self._legs, leg.row
        self._sessions.close(int(legs.rtcp_rx_session[row]))
        self._sessions.close(int(legs.rtcp_tx_session[row]))
        legs.rtcp_rx_session[row] = self._sessions.open(keys.suite, keys.rx)
        legs.rtcp_tx_session[row] = self._sessions.open(keys.suite, keys.tx, ssrc=int(legs.own_ssrc[row]))
        leg.rtcp_source = source
        if legs.located[row]:
            self._admission.locate_rtcp(row, source)

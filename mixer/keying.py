"""Keying: which session each stream has, and under which SSRC and index it goes on.

    mki     a new key: same SSRC, same sequence, the ROC continues; the MKI names the key
    ssrc    a new key: a fresh SSRC at ROC 0; and again before the sequence would wrap, so a late joiner that
            knows nothing of ROC is right

A key that has reached its hard limit is destroyed before the tick in which it would be used once more. Its legs
then hear under their own keys, and who has none hears nothing: it fails closed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer.conferences import Conference
from mixer.plans import Plan
from mixer.port import Key, KeyExpired, KeySwitched, StreamPosition
from mixer.state import State
from mixer.streams import SEQUENCE_SPAN, first_index
from mixer.suites import SUITES

Rows = NDArray[np.int64]
NEVER: Final = int(np.iinfo(np.int64).max)


class Keying:
    """Opens, switches and closes the sessions of what legs hear."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._legs, self._streams, self._sessions = state.legs, state.streams, state.sessions

    # -- common streams -----------------------------------------------------------------------

    def key_stream(self, row: int) -> None:
        """Put a common stream under its cohort's active key, as it stands; without one, under none."""
        streams = self._streams
        conference = self._conference(row)
        former = int(streams.session[row])
        reported = self._sessions.rtcp_index(former) if conference.style == "mki" and former >= 0 else 0
        self._sessions.close(former)
        streams.session[row] = -1
        self._state.moved = True
        line = conference.line(int(streams.cohort[row]))
        if line.active is None:
            # A key to come goes on where this one stopped.
            streams.reported[row] = max(reported, streams.reported[row])
            return
        streams.session[row] = self._open(line.active, int(streams.ssrc[row]))
        reported = max(reported, int(streams.reported[row]))
        self._sessions.continue_rtcp(int(streams.session[row]), reported)
        limit, tick_ms = self._state.config.hard_epoch_packets, self._state.config.tick_ms
        at_once = max(1, tick_ms // int(streams.ptime[row]))
        streams.limit[row] = (line.active.max_packets or limit) - (at_once - 1)
        age_s = line.active.max_age_s
        streams.expiry[row] = NEVER if age_s is None else line.since + max(1, int(age_s * 1000 / tick_ms))

    def switch(self, conference: Conference, cohort: int) -> None:
        """A cohort has another active key: from the next packet on, everything is under it."""
        rows = self.rows_of(conference, cohort)
        for row in rows:
            self._streams.under_key[row] = 0
            if conference.style == "ssrc":
                self._restart(row)
            self.key_stream(row)
        self.forget_minus(self.legs_of(conference, cohort))
        epoch = conference.line(cohort).active
        self._state.events.append(
            KeySwitched(
                conference=conference.name,
                cohort=cohort,
                epoch=epoch.epoch if epoch else 0,
                streams=[self.position(row) for row in rows],
            )
        )

    def unkey(self, conference: Conference, cohort: int) -> None:
        """A cohort has no group key any more."""
        for row in self.rows_of(conference, cohort):
            self.key_stream(row)
        self.forget_minus(self.legs_of(conference, cohort))

    def renew(self, plan: Plan) -> None:
        """Style `ssrc`: what would wrap goes on under a fresh SSRC."""
        streams, legs = self._streams, self._legs
        for row in plan.streams[streams.index[plan.streams] >= SEQUENCE_SPAN].tolist():
            conference = self._conference(row)
            active = conference.line(int(streams.cohort[row])).active
            if conference.style == "ssrc" and active is not None:
                self._restart(row)
                self.key_stream(row)
                self._state.events.append(
                    KeySwitched(
                        conference=conference.name,
                        cohort=int(streams.cohort[row]),
                        epoch=active.epoch,
                        streams=[self.position(row)],
                    )
                )
        if plan.minus.any():
            self.forget_minus(plan.leg[plan.minus & (legs.minus_index[plan.leg] >= SEQUENCE_SPAN)])

    def expire(self) -> None:
        """Destroy the group keys that have reached a hard limit. To be called before packets are made."""
        streams, top = self._streams, self._streams.top
        worn = (streams.under_key[:top] >= streams.limit[:top]) | (streams.expiry[:top] <= self._state.frame)
        for row in np.flatnonzero(worn & (streams.session[:top] >= 0)).tolist():
            conference, cohort = self._conference(row), int(streams.cohort[row])
            active = conference.line(cohort).active
            if active is None:  # another stream of this cohort said so already
                continue
            conference.line(cohort).retire(active.epoch)
            self.unkey(conference, cohort)
            legs = self.legs_of(conference, cohort)
            silenced = int(np.count_nonzero(self._legs.listens[legs] & (self._legs.tx_session[legs] < 0)))
            self._state.events.append(
                KeyExpired(conference=conference.name, cohort=cohort, epoch=active.epoch, silenced=silenced)
            )

    def position(self, row: int) -> StreamPosition:
        """Where a common stream stands."""
        streams = self._streams
        active = self._conference(row).line(int(streams.cohort[row])).active
        return StreamPosition(
            ssrc=int(streams.ssrc[row]),
            roc=int(streams.index[row]) >> 16,
            seq=int(streams.index[row]) & 0xFFFF,
            payload_type=int(streams.payload_type[row]),
            epoch=active.epoch if active else 0,
            cohort=int(streams.cohort[row]),
        )

    def bridge(self, rows: Rows, on: bool) -> None:
        """Let legs hear under their own keys from the next tick on, or end that."""
        legs = self._legs
        changed = rows[legs.bridged[rows] != on]
        legs.bridged[changed] = on
        legs.fresh[changed] = True
        self.forget_minus(changed)
        self._state.moved = True

    # -- minus streams under the group key (style `ssrc`) -------------------------------------

    def open_minus(self, leg: int) -> None:
        """A leg talks for the first time in this epoch: its minus stream gets a session and an SSRC of its own."""
        legs, conference = self._legs, self._state.conference_of(leg)
        active = conference.line(int(legs.cohort[leg])).active
        assert active is not None, "a plan has a leg under a group key only while there is one"
        ssrc = self._state.registry.allocate(conference.row)
        legs.minus_ssrc[leg], legs.minus_index[leg], legs.minus_sent[leg] = ssrc, first_index(), 0
        legs.minus_session[leg] = self._open(active, ssrc)

    def forget_minus(self, legs: Rows) -> None:
        """Close minus streams under a group key; each is opened anew, with a fresh SSRC, when needed."""
        for leg in legs[self._legs.minus_session[legs] >= 0].tolist():
            self._sessions.close(int(self._legs.minus_session[leg]))
            self._legs.minus_session[leg] = -1
            self._legs.hopped[leg] = False

    # -- who --------------------------------------------------------------------------------

    def rows_of(self, conference: Conference, cohort: int) -> list[int]:
        """The common streams of a cohort."""
        return [row for row in sorted(conference.streams) if self._streams.cohort[row] == cohort]

    def legs_of(self, conference: Conference, cohort: int) -> Rows:
        """The legs of a cohort: int64[n]."""
        return np.array(sorted(conference.cohort_legs.get(cohort, ())), np.int64)

    def _restart(self, row: int) -> None:
        conference = int(self._streams.conference[row])
        self._streams.restart(row, self._state.registry.allocate(conference))

    def _open(self, key: Key, ssrc: int) -> int:
        return self._sessions.open(SUITES[key.suite], key.secret, bytes.fromhex(key.mki), ssrc=ssrc)

    def _conference(self, stream: int) -> Conference:
        return self._state.conferences.at(int(self._streams.conference[stream]))

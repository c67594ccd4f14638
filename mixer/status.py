"""Status: what control may know of conferences and legs. Reads columns, changes nothing, holds no key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer import addresses
from mixer.conferences import Conference
from mixer.keying import Keying
from mixer.legs import Mode
from mixer.plans import alone
from mixer.playout import Playout
from mixer.port import CohortStatus, ConferenceStatus, LegStatus
from mixer.state import State

Ask = Callable[[Playout, NDArray[np.int64]], NDArray[np.int64]]


class Status:
    """Answers questions."""

    def __init__(self, state: State, keying: Keying) -> None:
        self._state, self._keying = state, keying
        self._legs = state.legs

    def conference(self, conference: Conference, first: int = 0, limit: int | None = None) -> ConferenceStatus:
        """State of a conference, and of `limit` of its legs from the `first` on."""
        legs = self._legs
        key = conference.line(0).active
        rows = np.array(sorted(conference.legs), np.int64)
        talking = rows[legs.talking[rows]]
        talking = talking[np.argsort(-legs.loudness[talking], kind="stable")]
        shown = rows[first : None if limit is None else first + limit]
        return ConferenceStatus(
            conference=conference.name,
            rate=conference.rate,
            keying=conference.keying,
            style=conference.style,
            suite=key.suite if key else "",
            epoch=key.epoch if key else 0,
            prepared=sorted(conference.line(0).prepared),
            cohorts=self._cohorts(conference),
            max_talkers=int(self._state.conferences.max_talkers[conference.row]),
            talkers=[legs.at(row).name for row in talking.tolist()],
            streams=[
                self._keying.position(row)
                for row in sorted(conference.streams)
                if conference.line(int(self._state.streams.cohort[row])).active
            ],
            legs_count=len(rows),
            legs=self.legs(conference, shown),
        )

    def legs(self, conference: Conference, rows: NDArray[np.int64]) -> list[LegStatus]:
        """State and statistics of legs of one conference, int64[n]."""
        legs, clock, rate = self._legs, self._legs.clock[rows], self._legs.rate[rows]
        lone = alone(self._state, rows)
        columns = {
            "rate": clock,
            "ssrc": legs.ssrc[rows],
            "talking": legs.talking[rows],
            "muted": legs.muted[rows],
            "level_dbov": -legs.level[rows],
            "delay_ms": self._by_rate(rows, rate, lambda playout, some: playout.waiting(some)),
            "received": self._state.reception.total[rows],
            "lost": self._state.reception.lost(rows),
            "jitter_ms": np.round(self._state.reception.jitter[rows] * 1000 / clock, 2),
            "late": self._by_rate(rows, rate, lambda playout, some: playout.late[some]),
            "concealed_ms": self._by_rate(rows, rate, lambda playout, some: playout.concealed_ms(some)),
            "auth_failures": legs.auth_failures[rows],
            "corrupt": legs.corrupt[rows],
            "sent": legs.sent[rows],
        }
        values = zip(rows.tolist(), *(column.tolist() for column in columns.values()), strict=True)
        return [
            self._leg(conference, by_itself, row, dict(zip(columns, facts, strict=True)))
            for by_itself, (row, *facts) in zip(lone.tolist(), values, strict=True)
        ]

    def _cohorts(self, conference: Conference) -> list[CohortStatus]:
        streams, packets = self._state.streams, Counter[int]()
        for row in conference.streams:
            cohort = int(streams.cohort[row])
            packets[cohort] = max(packets[cohort], int(streams.under_key[row]))
        return [self._cohort(conference, cohort, packets[cohort]) for cohort in conference.cohorts_known()]

    def _cohort(self, conference: Conference, cohort: int, packets: int) -> CohortStatus:
        line, legs = conference.line(cohort), self._keying.legs_of(conference, cohort)
        age_s = (self._state.frame - line.since) * self._state.config.tick_ms / 1000
        return CohortStatus(
            cohort=cohort,
            suite=line.active.suite if line.active else "",
            epoch=line.active.epoch if line.active else 0,
            prepared=sorted(line.prepared),
            highest=line.highest,
            age_s=age_s if line.active else 0.0,
            packets=packets if line.active else 0,
            legs=len(legs),
            bridged=int(np.count_nonzero(alone(self._state, legs))),
        )

    def _leg(self, conference: Conference, lone: bool, row: int, facts: dict[str, Any]) -> LegStatus:
        legs, leg = self._legs, self._legs.at(row)
        mode, cohort = int(legs.mode[row]), int(legs.cohort[row])
        group = conference.line(cohort).active if mode >= Mode.GROUP_SSRC and not lone else None
        return LegStatus(
            conference=conference.name,
            leg=leg.name,
            codec=leg.wish.codec,
            ptime=leg.wish.ptime,
            direction=_DIRECTION[2 * bool(legs.speaks[row]) + bool(legs.listens[row])],
            keying="bridged" if lone else _KEYING[mode],
            cohort=cohort,
            suite=group.suite if group else leg.suite.name if leg.suite else "",
            epoch=group.epoch if group else 0,
            address=addresses.unpack(legs.address[row]) if legs.located[row] else "",
            rtt_ms=round(leg.rtt_ms, 2),
            remote_lost=leg.remote_lost,
            remote_jitter_ms=round(leg.remote_jitter * 1000 / facts["rate"], 2),
            **facts,
        )

    def _by_rate(self, rows: NDArray[np.int64], rates: NDArray[np.int64], ask: Ask) -> NDArray[np.int64]:
        """A fact of the playout buffers, which are kept by sampling rate."""
        answer = np.zeros(len(rows), np.int64)
        for rate in np.unique(rates).tolist():
            answer[rates == rate] = ask(self._state.playouts[rate], rows[rates == rate])
        return answer


_DIRECTION = ("inactive", "recvonly", "sendonly", "sendrecv")
_KEYING = ("clear", "unique", "group", "group")

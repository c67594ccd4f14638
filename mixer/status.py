"""Status: what control may know of conferences and legs. Reads columns, changes nothing, holds no key."""

from __future__ import annotations

from mixer import addresses
from mixer.codecs import CODECS
from mixer.conferences import Conference, Conferences
from mixer.downlink import Downlink
from mixer.legs import Leg, Legs, Mode
from mixer.playout import Playout
from mixer.port import ConferenceStatus, LegStatus
from mixer.reception import Reception
from mixer.streams import Streams


class Status:
    """Answers questions."""

    def __init__(
        self,
        legs: Legs,
        conferences: Conferences,
        streams: Streams,
        reception: Reception,
        playouts: dict[int, Playout],
        downlink: Downlink,
    ) -> None:
        self._legs, self._conferences, self._streams = legs, conferences, streams
        self._reception, self._playouts, self._downlink = reception, playouts, downlink

    def conference(self, conference: Conference) -> ConferenceStatus:
        """State of a conference and of its legs."""
        legs = self._legs
        key = conference.keys.active
        talking = sorted(
            (row for row in conference.legs if legs.talking[row]), key=lambda row: -float(legs.loudness[row])
        )
        return ConferenceStatus(
            conference=conference.name,
            rate=conference.rate,
            keying=conference.keying,
            style=conference.style,
            suite=key.suite if key else "",
            epoch=key.epoch if key else 0,
            prepared=sorted(conference.keys.prepared),
            max_talkers=int(self._conferences.max_talkers[conference.row]),
            talkers=[legs.at(row).name for row in talking],
            streams=[
                self._downlink.position(row) for row in sorted(conference.streams) if self._streams.session[row] >= 0
            ],
            legs=[self.leg(legs.at(row)) for row in sorted(conference.legs)],
        )

    def leg(self, leg: Leg) -> LegStatus:
        """State and statistics of a leg."""
        legs, row = self._legs, leg.row
        conference = self._conferences.at(int(legs.conference[row]))
        clock = int(legs.clock[row])
        playout = self._playouts[clock]
        mode = Mode(int(legs.mode[row]))
        group = conference.keys.active if mode >= Mode.GROUP_SSRC else None
        suite = group.suite if group else leg.suite.name if leg.suite else ""
        return LegStatus(
            conference=conference.name,
            leg=leg.name,
            codec=CODECS[int(legs.codec[row])].name,
            rate=clock,
            ptime=leg.wish.ptime,
            direction=_direction(bool(legs.speaks[row]), bool(legs.listens[row])),
            keying=("clear", "unique", "group", "group")[mode],
            suite=suite,
            epoch=group.epoch if group else 0,
            address=addresses.unpack(legs.address[row]) if legs.located[row] else "",
            ssrc=int(legs.ssrc[row]),
            talking=bool(legs.talking[row]),
            muted=bool(legs.muted[row]),
            level_dbov=-int(legs.level[row]),
            delay_ms=playout.waiting_ms(row),
            received=int(self._reception.total[row]),
            lost=self._reception.lost(row),
            jitter_ms=round(float(self._reception.jitter[row]) * 1000 / clock, 2),
            rtt_ms=round(leg.rtt_ms, 2),
            remote_lost=leg.remote_lost,
            remote_jitter_ms=round(leg.remote_jitter * 1000 / clock, 2),
            late=int(playout.late[row]),
            concealed_ms=int(playout.concealed[row]) * 1000 // clock,
            auth_failures=int(legs.auth_failures[row]),
            sent=int(legs.sent[row]),
        )


def _direction(speaks: bool, listens: bool) -> str:
    return ("inactive", "recvonly", "sendonly", "sendrecv")[2 * speaks + listens]

"""Hush: the packets of legs that go on being silent are not even decrypted.

Most of a large conference says in every packet that it is silent (RFC 6464, level 127). The claim is authenticated, but
not encrypted. So of a leg whose last authentic packet made it, packets that make it again are passed over, all but
one in `OPEN_EVERY`: that one shows that the leg is alive, and keeps libsrtp's rollover counter.

Nothing is believed that no key has vouched for: whoever forges silence gets nothing but to be passed over, once for
each sequence number that is due, and a packet that claims anything else is opened. What was passed over is kept as
it came, for codecs with memory: when the leg begins to speak, or its key is about to change, it is decrypted after
all, to warm up the decoder, so that the first syllable is whole.

Must never know: keys, or what codecs do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mixer import wire
from mixer.batch import Batch
from mixer.codecs import HAS_MEMORY
from mixer.legs import Legs
from mixer.reception import Reception

OPEN_EVERY: Final = 16
"""A third of a second of 20 ms packets. A power of two: the sequence number says which."""
CELL: Final = 256
"""Octets of a packet that is kept; a longer one is opened."""
SILENCE: Final = 127
"""RFC 6464: the level that says so."""

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Hush:
    """Passes over packets, for all legs."""

    def __init__(self, legs: Legs, reception: Reception) -> None:
        self._legs, self._reception = legs, reception
        rows = legs.rows
        self._octets: NDArray[np.uint8] = np.empty((rows, OPEN_EVERY, CELL), np.uint8)
        self._length = np.zeros((rows, OPEN_EVERY), np.int32)
        """Octets of each packet that is kept, 0 where there is none. The place is that of the sequence number."""
        self._again = Batch()

    def claims(self, octets: NDArray[np.uint8], header: Rows, leg: Rows) -> NDArray[np.int16]:
        """The RFC 6464 levels of packets, of which nobody has vouched yet: int16[n], -1 where there is none."""
        wanted = np.where(leg >= 0, self._legs.level_in[leg], 0).astype(np.uint8)
        return wire.claimed_levels(octets, header, wanted)

    def pass_over(self, batch: Batch, rows: Rows, leg: Rows, claim: NDArray[np.int16], frame: int) -> Rows:
        """Choose the packets that need not be opened, and keep them.

        Args:
            rows: int64[k], RTP of known legs. leg, claim: of the whole batch. frame: now.

        Returns:
            int64[j], those of `rows` that are passed over.
        """
        legs = self._legs
        rows = rows[(claim[rows] == SILENCE) & legs.claimed_silent[leg[rows]]]
        if not len(rows):
            return rows
        who, fields = leg[rows], wire.header_view(batch.octets)[rows]
        seq = fields["seq"].astype(np.int64)
        place = seq % OPEN_EVERY
        may = legs.speaks[who] & legs.latched[who] & ~legs.changing_key[who] & (place > 0)
        ahead = self._reception.ahead(who, seq)
        may &= (ahead > 0) & (ahead < 2 * OPEN_EVERY)  # those that were to be opened may all have been lost
        may &= _first(who << 16 | seq)
        may &= (legs.timeout[who] == 0) | (2 * (frame - legs.heard[who]) < legs.timeout[who])
        may &= fields["marker_pt"] & 0x7F == legs.payload_type[who]
        memory = HAS_MEMORY[legs.codec[who]]
        may &= ~memory | (batch.length[rows] <= CELL)
        keep = may & memory
        if keep.any():
            self._keep(batch, rows[keep], who[keep], place[keep])
        self._reception.pass_over(who[may], ahead[may])
        passed: Rows = rows[may]
        return passed

    def _keep(self, batch: Batch, rows: Rows, who: Rows, place: Rows) -> None:
        self._length[who, place] = batch.length[rows]
        width = int(batch.length[rows].max())
        wire.windows(self._octets, width)[(who * OPEN_EVERY + place) * CELL] = batch.octets[rows, :width]

    def wake(self, rows: Rows, leg: Rows, claim: NDArray[np.int16]) -> tuple[Batch, Rows] | None:
        """What was passed over of legs that claim to speak, or will soon send under another key.

        Args:
            rows: int64[k], packets that will be opened. leg, claim: of the whole batch.

        Returns:
            A batch, valid until the next call, and int64[n], the leg of each of its packets; those of a leg in any
            order. None if there is nothing.
        """
        who = leg[rows]
        who = who[self._legs.claimed_silent[who] & ((claim[rows] != SILENCE) | self._legs.changing_key[who])]
        if not len(who):
            return None
        who = np.unique(who)
        which, place = np.nonzero(self._length[who])
        owner = who[which]
        batch = self._again
        owner, place = owner[: batch.rows], place[: batch.rows]
        batch.count = len(owner)
        if not batch.count:
            return None
        batch.octets[: batch.count, :CELL] = self._octets[owner, place]
        batch.length[: batch.count] = self._length[owner, place]
        self._length[owner, place] = 0
        return batch, owner

    def forget(self, row: int) -> None:
        """A leg has left, or has another SSRC: that one has vouched for nothing yet."""
        self._length[row] = 0
        self._legs.claimed_silent[row] = False


def _first(numbers: Rows) -> Flags:
    """True where a number comes for the first time. Of two packets of one number one may be forged, which must not
    stand in for the other."""
    first = np.zeros(len(numbers), np.bool_)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first

"""What is kept of silent legs is handed out once, and nothing of it is lost when many wake together."""

from __future__ import annotations

import numpy as np

from mixer.batch import ROWS, Batch
from mixer.codecs import HAS_MEMORY
from mixer.hush import OPEN_EVERY, SILENCE, Hush
from mixer.legs import Legs
from mixer.reception import Reception

LEGS = 100


def test_more_than_fits_into_a_batch_is_handed_out_in_turn() -> None:
    legs, reception = Legs(LEGS, 20), Reception(LEGS)
    hush, batch, rows = Hush(legs, reception), Batch(), np.arange(LEGS)
    legs.speaks[:LEGS] = legs.latched[:LEGS] = legs.claimed_silent[:LEGS] = True
    legs.codec[:LEGS] = np.flatnonzero(HAS_MEMORY)[0]
    legs.payload_type[:LEGS] = 0
    nothing = np.zeros(LEGS, np.int64)
    reception.note(rows, nothing, nothing, nothing, nothing + 8000)
    batch.count, batch.length[:LEGS] = LEGS, 50
    for seq in range(1, OPEN_EVERY):
        batch.octets[:LEGS, 3], batch.octets[:LEGS, 12] = seq, rows
        assert len(hush.pass_over(batch, rows, rows, np.full(LEGS, SILENCE, np.int16), frame=0)) == LEGS
    found = []
    while (handed := hush.wake(rows, rows, np.zeros(LEGS, np.int16))) is not None:
        again, owner = handed
        assert again.count == len(owner) <= ROWS
        assert (again.octets[: again.count, 12] == owner).all()
        found += list(zip(owner.tolist(), again.octets[: again.count, 3].tolist(), strict=True))
    assert sorted(found) == [(leg, seq) for leg in range(LEGS) for seq in range(1, OPEN_EVERY)]

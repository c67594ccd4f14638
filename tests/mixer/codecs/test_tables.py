"""Every codec of the table: round trip, shapes, and the one value that no codec may produce."""

from __future__ import annotations

import numpy as np
import pytest

from mixer.codecs import CODECS, Table, find
from mixer.samples import EMPTY
from tests.codecs import TYPES, Plain

each = pytest.mark.parametrize("codec", [c for c in CODECS if isinstance(c, Table)], ids=lambda codec: codec.name)


@each
def test_decodes_as_the_phone_does(codec: Table) -> None:
    octets = np.random.default_rng(1).integers(0, 256, (3, 160 * codec.width), np.uint8)
    samples = codec.decode(octets)
    assert samples.shape == (3, 160)
    assert samples.dtype == np.int16
    for row in range(3):
        expected = np.maximum(Plain(codec.name).decode(octets[row].tobytes()), EMPTY + 1)
        assert (samples[row] == expected).all()


@each
def test_encodes_what_the_phone_reads(codec: Table) -> None:
    samples = np.random.default_rng(2).integers(-32767, 32768, (3, 160)).astype(np.int16)
    octets = codec.encode(samples)
    assert octets.shape == (3, 160 * codec.width)
    for row in range(3):
        mine = Plain(codec.name).decode(octets[row].tobytes()).astype(int)
        theirs = Plain(codec.name).decode(Plain(codec.name).encode(samples[row])).astype(int)
        assert (np.abs(mine - samples[row]) <= np.abs(theirs - samples[row])).all()


@each
def test_never_decodes_to_empty(codec: Table) -> None:
    octets = np.arange(65536, dtype=">u2").view(np.uint8).reshape(1, -1)
    assert codec.decode(octets).min() > EMPTY


@each
def test_is_found_by_name(codec: Table) -> None:
    assert find(codec.name) is codec
    assert codec.payload_type == TYPES[codec.name]

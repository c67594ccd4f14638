"""Codecs, each a plug-in of one small interface (`base`): batch in, batch out.

    base      what a codec is to the mixer
    tables    G.711 and L16, without memory; `g711` has its two tables
    opus      by `libopus`; `opuspacket` and `silkhead` read packets without decoding them
    g722      by the package G722, or `spandsp`
    amr       AMR and AMR-WB by `libamr`; `amr_payload` is how they are written to packets

    comfort   comfort noise: that nobody speaks
    events    telephone events; `keypad` makes keys of them, `dialling` makes them of digits

A new codec is a file of its own and a line in the table below.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mixer.codecs.amr import AMR, AMR_ALIGNED, AMR_WB, AMR_WB_ALIGNED
from mixer.codecs.base import HEAD, Codec, CodecError, Coder, Decoder, Encoder, Octets, Table
from mixer.codecs.g722 import G722
from mixer.codecs.opus import Opus
from mixer.codecs.tables import L16, PCMA, PCMU

__all__ = [
    "CODECS",
    "HAS_MEMORY",
    "HEAD",
    "Codec",
    "CodecError",
    "Coder",
    "Decoder",
    "Encoder",
    "Octets",
    "Table",
    "available",
    "find",
]

CODECS: Final[tuple[Codec, ...]] = (PCMU, PCMA, L16, G722(), Opus(), AMR, AMR_ALIGNED, AMR_WB, AMR_WB_ALIGNED)
"""The index in this table is the `codec` column of legs and streams."""

HAS_MEMORY: Final = np.array([isinstance(codec, Coder) for codec in CODECS])
"""bool, by that index."""


def find(name: str, *, octet_aligned: bool = False) -> Codec | None:
    """The codec of that name, written in that way; None if there is none."""
    alike = [
        codec for codec in CODECS if codec.name == name and getattr(codec, "octet_aligned", False) == octet_aligned
    ]
    return alike[0] if alike else None


def available() -> list[str]:
    """Names of the codecs that can be used on this machine."""
    return list(dict.fromkeys(codec.name for codec in CODECS if not (isinstance(codec, Coder) and codec.missing)))

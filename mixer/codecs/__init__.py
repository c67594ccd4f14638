"""Codecs, each a plug-in of one small interface (`base`): batch in, batch out.

    base      what a codec is to the mixer
    tables    G.711 and L16, without memory
    g711      the two tables of G.711

A new codec is a file of its own and a line in the table below.
"""

from __future__ import annotations

from typing import Final

from mixer.codecs.base import EMPTY, HEAD, Codec, CodecError, Coder, Decoder, Encoder, Octets, Samples, Table
from mixer.codecs.tables import L16, PCMA, PCMU

__all__ = [
    "CODECS",
    "CODEC_INDEX",
    "EMPTY",
    "HEAD",
    "Codec",
    "CodecError",
    "Coder",
    "Decoder",
    "Encoder",
    "Octets",
    "Samples",
    "Table",
    "available",
    "find",
]

CODECS: Final[tuple[Codec, ...]] = (PCMU, PCMA, L16)
"""The index in this table is the `codec` column of legs and streams."""

CODEC_INDEX: Final = {codec.name: index for index, codec in enumerate(CODECS)}


def find(name: str, *, octet_aligned: bool = False) -> Codec | None:
    """The codec of that name, written in that way; None if there is none."""
    alike = [
        codec for codec in CODECS if codec.name == name and getattr(codec, "octet_aligned", False) == octet_aligned
    ]
    return alike[0] if alike else None


def available() -> list[str]:
    """Names of the codecs that can be used on this machine."""
    return list(dict.fromkeys(codec.name for codec in CODECS if not (isinstance(codec, Coder) and codec.missing)))

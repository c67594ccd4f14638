"""The codecs of the generator, by name.

TableCoder      G.711 and L16, from the definition (`bench.codec`)
bench.lossy     Opus, G.722 and AMR, by FFmpeg's codecs: code that the mixer does not use
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.codec import Codec, CodecError, Octets, Samples, codec
from bench.coder import Coder, Quiet


@dataclass(frozen=True)
class TableCoder:
    """A codec without memory: judged at its own rate."""

    table: Codec

    @property
    def clock(self) -> int:
        return self.table.rate

    @property
    def payload_type(self) -> int:
        return self.table.payload_type

    @property
    def rate(self) -> int:
        return self.table.rate

    @property
    def sampling(self) -> int:
        return self.table.rate

    @property
    def largest(self) -> int:
        return self.table.samples() * self.table.width

    fixed = True
    rest_limit_db = -15.0
    heard_limit_db = -6.0
    quiets: tuple[Quiet, ...] = ("silence", "level127", "sound")

    def packets(self, sound: Samples) -> list[bytes]:
        octets = self.table.encode(sound).tobytes()
        return [octets[at : at + self.largest] for at in range(0, len(octets) - self.largest + 1, self.largest)]

    def background(self, sound: Samples) -> list[bytes]:
        return self.packets(sound)

    def sound(self, payloads: Sequence[Octets]) -> Samples:
        return self.table.decode(np.concatenate(payloads)) if payloads else np.zeros(0, np.float32)

    def pauses(self) -> list[bytes]:
        raise CodecError(f"{self.table.name} has no DTX: choose another --quiet")


def coder(name: str, rate: int = 8000, bitrate: int = 32000) -> Coder:
    """The codec of that name.

    Args:
        rate: of L16, Hz.
        bitrate: of Opus.

    Raises:
        CodecError: there is none, or a library for it is missing.
    """
    if name in ("PCMU", "PCMA", "L16"):
        return TableCoder(codec(name, rate))
    # Only who needs them waits for FFmpeg's libraries.
    from bench.lossy import lossy

    return lossy(name, bitrate)

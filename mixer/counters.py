"""What an engine has done, counted since its beginning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Cumulative."""

    decodes: int = 0
    """Calls of decoders with memory: packets decoded, repaired or invented."""
    encodes: int = 0
    """Packets encoded. Those that need not be, for what they say was encoded before, are not counted."""
    encode_failures: int = 0
    """Packets that a codec library refused to encode; the one before was sent again."""
    encrypts: int = 0
    common_encodes: int = 0
    """Encodes done once for all listeners of a stream."""
    common_encrypts: int = 0
    """Encrypts done once for all listeners of a stream."""
    packets_sent: int = 0

"""What a codec is to the generator: a talker's packets beforehand, and the sound of packets afterwards.

Nothing here runs while a measurement does. Sound is float32 in -1 to 1 at the rate at which it is judged, which
for all codecs but L16 is 8000 Hz: what talkers say ends at 3400 Hz, and whatever rate a codec has is made of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from bench.codec import Octets, Samples

Quiet: TypeAlias = Literal["silence", "dtx", "level127", "sound"]
"""What legs send that do not talk.

    silence     encoded silence, which nothing but its sound says
    dtx         what the codec has for silence (Opus DTX, AMR SID): a packet every 20 ms all the same
    level127    encoded noise too faint to hear, and RFC 6464 level 127 in the header
    sound       encoded noise, 24 dB fainter than a talker, and no level: whoever wants to know must decode it
"""


class Coder(Protocol):
    """One codec of the field, as the generator needs it."""

    @property
    def clock(self) -> int:
        """RTP clock rate, Hz."""

    @property
    def payload_type(self) -> int: ...

    @property
    def rate(self) -> int:
        """Of the sound given and returned, Hz."""

    @property
    def sampling(self) -> int:
        """Of the conference that is to lose nothing of it, Hz."""

    @property
    def largest(self) -> int:
        """Octets that no payload of 20 ms exceeds, ours or the mixer's."""

    @property
    def fixed(self) -> bool:
        """Whether a payload of 20 ms that is not `largest` octets long is none of ours."""

    @property
    def rest_limit_db(self) -> float:
        """How much of a mix may be explained by no talker: what the codec adds, and some more."""

    @property
    def heard_limit_db(self) -> float:
        """How loud a talker must be in a mix at least, against what it sent: a codec of words makes noise of noise."""

    @property
    def quiets(self) -> tuple[Quiet, ...]:
        """Ways to be quiet that it has."""

    def packets(self, sound: Samples) -> list[bytes]:
        """Payloads of 20 ms each, one after the other."""

    def background(self, sound: Samples) -> list[bytes]:
        """The same of a leg that does not talk."""

    def sound(self, payloads: Sequence[Octets]) -> Samples:
        """float32[payloads * rate / 50]: what a listener hears of payloads in this order."""

    def pauses(self) -> list[bytes]:
        """Payloads of a leg in DTX, to be sent over and over."""

"""Plan: one run of the load, said once and read by everybody who takes part in it.

The generator, the floor, the controller that adds the legs and the checks after the run each derive
what they need from it: addresses, SSRCs, keys, who talks. Keys come from the plan's random seed, so
that the controller and the generator agree without telling each other any.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.codec import Codec, CodecError, codec
from bench.coder import Coder, Quiet
from bench.coders import coder
from mixer.suites import SUITES, Suite, SuiteName

FIRST_ADDRESS = int(ipaddress.IPv4Address("127.64.0.1"))
"""Leg 0 sends from here, leg n from n addresses above: a source of its own for each, all on loopback."""

MOST_LEGS = 60_000
LEVEL_ID = 1
"""Of the header extension with audio levels (RFC 6464),"""

LEVEL_OCTETS = 8
"""which is so long with its head (RFC 8285 section 4.2)."""

TICK_NS = 20_000_000
"""What the generator sends is in packets of 20 ms."""


class PlanError(ValueError):
    """The plan contradicts itself; the message says how to mend it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are in seconds."""

    legs: int
    """Over all conferences."""
    conferences: int = 1
    keying: Literal["group", "unique"] = "group"
    """How the legs are keyed for what they hear."""
    uplink: Literal["group", "unique"] = "unique"
    """How they are keyed for what they say."""
    suite: SuiteName = "AES_CM_128_HMAC_SHA1_80"
    codec: str = "PCMU"
    rate: int = 0
    """Of L16 and of the conference, Hz; 0 is what the codec samples at."""
    bitrate: int = 32000
    """Of Opus, both ways."""
    complexity: int = 5
    """Of the Opus that legs hear."""
    talkers: int = 3
    """In each conference;"""
    quiet: Quiet = "silence"
    """what the others send."""
    clear: bool = False
    """Plain RTP, to compare with mixers that have no SRTP."""
    mki: int = 0
    """Octets of MKI in every packet, both ways."""
    roc: int = 0
    """Rollover counter at which the uplinks join."""
    seconds: float = 5.0
    """What is measured,"""
    warmup: float = 1.5
    """after this."""
    slices: int = 20
    """In so many bursts are the legs' packets spread over 20 ms."""
    seed: str = ""

    def check(self) -> None:
        """Raises: PlanError if this run cannot be made."""
        if not 1 <= self.legs <= MOST_LEGS or not 1 <= self.conferences <= self.legs:
            raise PlanError(f"between 1 and {MOST_LEGS} legs, and no more conferences than legs")
        if not 0 <= self.talkers <= 15:
            raise PlanError("between 0 and 15 talkers in a conference: a mixer mixes no more at a time")
        if not 0 <= self.mki <= 4 or self.seconds < 0.5:
            raise PlanError("an MKI of 0 to 4 octets, half a second or more")
        if self.clear and (self.keying == "group" or self.uplink == "group" or self.mki):
            raise PlanError("in clear there are no keys: --keying unique, and neither --uplink group nor --mki")
        self._check_codec()

    def _check_codec(self) -> None:
        if self.codec in ("PCMU", "PCMA") and self.rate not in (0, 8000):
            raise PlanError(f"{self.codec} has 8000 samples a second; --rate is for other codecs")
        try:
            quiets = self.coder.quiets
        except CodecError as error:
            raise PlanError(str(error)) from error
        if self.quiet not in quiets:
            raise PlanError(f"{self.codec} has no way to be quiet by {self.quiet}: --quiet {' or '.join(quiets)}")

    @property
    def style(self) -> Literal["mki", "ssrc"]:
        """How a receiver learns which key a packet has: by its MKI, if there is one."""
        return "mki" if self.mki else "ssrc"

    @property
    def parameters(self) -> Suite:
        return SUITES[self.suite]

    @property
    def voice(self) -> Codec:
        """G.711 or L16, sample by sample.

        Raises:
            CodecError: the plan's codec is another one.
        """
        return codec(self.codec, self.rate or 8000)

    @property
    def coder(self) -> Coder:
        """Any codec, packet by packet.

        Raises:
            CodecError: there is none of that name, or a library is missing.
        """
        return coder(self.codec, self.rate or 8000, self.bitrate)

    @property
    def mix_rate(self) -> int:
        """Of the conference, Hz."""
        return self.rate or self.coder.sampling

    @property
    def header(self) -> int:
        """Octets before the payload of what legs send."""
        return 12 + (LEVEL_OCTETS if self.quiet == "level127" else 0)

    @property
    def overhead(self) -> int:
        """Octets that SRTP adds."""
        return 0 if self.clear else self.parameters.tag + self.mki

    @property
    def ticks(self) -> int:
        """Packets that each leg sends, warm-up included."""
        return round((self.warmup + self.seconds) * 50)

    def conference(self) -> NDArray[np.intp]:
        """intp[legs]: the conference of each leg, in equal blocks."""
        return np.arange(self.legs) * self.conferences // self.legs

    def member(self) -> NDArray[np.intp]:
        """intp[legs]: the leg's number within its conference."""
        conference = self.conference()
        first = np.searchsorted(conference, np.arange(self.conferences))
        return np.arange(self.legs) - first[conference]

    def talks(self) -> NDArray[np.bool_]:
        """bool[legs]: the first few of each conference."""
        return self.member() < self.talkers

    def slice_of(self) -> NDArray[np.intp]:
        """intp[legs]: the burst within the 20 ms in which each leg sends."""
        return np.arange(self.legs) % self.slices

    def ssrc(self, leg: int) -> int:
        """SSRC that the leg sends with."""
        return 0x5000_0000 + leg * 16

    def address(self, leg: int) -> str:
        return str(ipaddress.IPv4Address(FIRST_ADDRESS + leg))

    def group_key(self, conference: int) -> bytes:
        """key || salt of the conference's common mix."""
        return self._derive("group", conference)

    def group_uplink_key(self, conference: int) -> bytes:
        return self._derive("group uplink", conference)

    def tx_key(self, leg: int) -> bytes:
        """key || salt of what the mixer sends to the leg alone."""
        return self._derive("tx", leg)

    def rx_key(self, leg: int) -> bytes:
        """key || salt of what the leg sends."""
        return self._derive("rx", leg)

    def mki_of(self, key: Literal["group", "group uplink", "tx", "rx"]) -> bytes:
        """The MKI that names a kind of key: fixed, so that a receiver can tell them apart."""
        number = ("group", "group uplink", "tx", "rx").index(key) + 1
        return number.to_bytes(self.mki, "big") if self.mki else b""

    def _derive(self, label: str, number: int) -> bytes:
        return hashlib.shake_256(f"{self.seed}/{label}/{number}".encode()).digest(self.parameters.secret)


def load_plan(text: str | bytes) -> Plan:
    """Parse and check a plan in JSON.

    Raises:
        PlanError: if it is not one.
    """
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except msgspec.ValidationError as error:
        raise PlanError(str(error)) from error
    plan.check()
    return plan


def with_changes(plan: Plan, **changes: Any) -> Plan:
    """A plan like this one but for the fields given."""
    changed = msgspec.structs.replace(plan, **changes)
    changed.check()
    return changed

"""What may differ from caller to caller. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench.callers.call import Voice
from bench.callers.habits import GOOD, Habits
from bench.callers.lines import Transport
from bench.callers.negotiation import Rate, Wishes
from bench.codec import Samples
from bench.phone import tone
from control.sdp.terms import Security
from control.sip.agent import Credentials
from mixer.secret import Secret
from mixer.suites import SuiteName


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may differ from caller to caller."""

    hz: int = 0
    """Say this tone all the time; 0 for `said`."""
    level: float = 0.2
    """Amplitude of the tone; full scale is 1."""
    said: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    over_and_over: bool = True
    """Say it again and again; else once, and then silence."""
    codec: str = "PCMU"
    rate: Rate = 8000
    security: Security = "sdes"
    suites: tuple[SuiteName, ...] = ("AES_CM_128_HMAC_SHA1_80",)
    mki: bool = False
    psk: Secret | None = None
    """With one it takes keys by MIKEY in INFO, and offers an MKI."""
    credentials: Credentials | None = None
    transport: Transport = "udp"
    ssrc: int | None = None
    domain: str = "127.0.0.1"
    """Of its own address: the host in From."""
    offers: bool = True
    """Put an offer into the INVITE; else the other side is to make one."""
    habits: Habits = GOOD

    def wishes(self) -> Wishes:
        mki = self.mki or self.psk is not None
        return Wishes(codec=self.codec, rate=self.rate, security=self.security, suites=self.suites, mki=mki)

    def voice(self) -> Voice:
        # A whole number of periods fits into a second: the tone has no seam.
        said = tone(self.hz, 1.0, self.rate, self.level) if self.hz else self.said
        return Voice(said=said, over_and_over=self.over_and_over, ssrc=self.ssrc)

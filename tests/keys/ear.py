"""A phone whose keys are those of its member: it knows them by MIKEY, and by the signalling its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from control.member import Member
from tests.mixer.phone import Phone
from tests.reference.srtp import Context, Refused


@dataclass
class Ear(Phone):
    """A phone whose keys are those of its member."""

    member: Member | None = None
    now: Callable[[], float] = lambda: 0.0
    contexts: dict[bytes, Context] = field(default_factory=dict)
    streams: dict[int, Any] = field(default_factory=dict)
    """State of the SSRCs that it hears, whatever the key."""

    def _open(self, octets: bytes, rtcp: bool) -> tuple[str, bytes] | None:
        assert self.member is not None
        for mki in self._names(octets, rtcp):
            key = self.member.key(mki)
            if key is None:
                continue
            context = self.contexts.get(mki)
            if context is None:
                context = Context(key.suite, key.secret.reveal(), mki=mki if self.named else b"")
                context.streams = self.streams
            try:
                clear = context.unprotect_rtcp(octets) if rtcp else context.unprotect(octets)
            except Refused:
                continue
            self.contexts[mki] = context
            self.member.used(mki, now=self.now())
            return mki.hex(), clear
        return None

    named: bool = True
    """Packets carry an MKI."""

    def _names(self, octets: bytes, rtcp: bool) -> list[bytes]:
        if not self.named:
            assert self.member is not None
            return [key.mki for key in reversed(self.member.held())]
        return [octets[-14:-10]] if len(octets) > 14 else []

"""An adversary with a full capture and every key it ever held: what can it read?"""

from __future__ import annotations

from collections.abc import Iterable

from mixer.port import Key
from tests import naive
from tests.mixer.room import Sent
from tests.reference.srtp import Context, Refused

ROLLOVERS = range(3)
"""It tries every rollover counter that may be."""


def readable(capture: Iterable[Sent], keys: Iterable[Key]) -> list[Sent]:
    """The packets, RTP and RTCP, that one of the keys opens."""
    held = [(key.suite, key.secret.reveal(), bytes.fromhex(key.mki)) for key in keys]
    return [sent for sent in capture if any(_opens(sent.octets, *key) for key in held)]


def _opens(octets: bytes, suite: str, secret: bytes, mki: bytes) -> bool:
    if naive.kind_of(octets) == "rtcp":
        return _try(Context(suite, secret, mki=mki), octets, rtcp=True)
    return any(_try(Context(suite, secret, mki=mki, roc=roc), octets, rtcp=False) for roc in ROLLOVERS)


def _try(context: Context, octets: bytes, *, rtcp: bool) -> bool:
    try:
        context.unprotect_rtcp(octets) if rtcp else context.unprotect(octets)
    except Refused:
        return False
    return True

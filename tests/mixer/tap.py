"""An adversary with a full capture and every key it ever held: what can it read?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from mixer.port import Key
from tests import naive
from tests.mixer.room import Sent
from tests.reference.srtp import SUITES, Context, Refused

ROLLOVERS = range(3)
"""It tries every rollover counter that may be."""


def readable(capture: Iterable[Sent], keys: Iterable[Key]) -> list[Sent]:
    """The packets, RTP and RTCP, that one of the keys opens."""
    held: dict[bytes, list[tuple[str, bytes, bytes]]] = {}
    for key in keys:
        mki = bytes.fromhex(key.mki)
        held.setdefault(mki, []).append((key.suite, key.secret.reveal(), mki))
    shapes = {(len(mki), one[0]) for mki, some in held.items() for one in some}
    found = []
    for sent in capture:
        rtcp = naive.kind_of(sent.octets) == "rtcp"
        names = {_name(sent.octets, width, suite, rtcp) for width, suite in shapes}
        if any(_opens(sent.octets, rtcp, *key) for name in names for key in held.get(name, ())):
            found.append(sent)
    return found


def _name(octets: bytes, width: int, suite: str, rtcp: bool) -> bytes:
    """The MKI of a packet, if it has one of that width."""
    kind = SUITES[suite]
    behind = 0 if kind.aead else kind.rtcp_tag if rtcp else kind.rtp_tag
    return octets[len(octets) - behind - width : len(octets) - behind]


def _opens(octets: bytes, rtcp: bool, suite: str, secret: bytes, mki: bytes) -> bool:
    if rtcp:
        return _try(_fresh(suite, secret, mki, 0), octets, rtcp=True)
    return any(_try(_fresh(suite, secret, mki, roc), octets, rtcp=False) for roc in ROLLOVERS)


@cache
def _context(suite: str, secret: bytes, mki: bytes, roc: int) -> Context:
    return Context(suite, secret, mki=mki, roc=roc)


def _fresh(suite: str, secret: bytes, mki: bytes, roc: int) -> Context:
    """A context that has seen nothing yet."""
    context = _context(suite, secret, mki, roc)
    context.streams.clear()
    context.seen.clear()
    return context


def _try(context: Context, octets: bytes, *, rtcp: bool) -> bool:
    try:
        context.unprotect_rtcp(octets) if rtcp else context.unprotect(octets)
    except Refused:
        return False
    return True

"""Who asks: identities of a peer, and whether it is a conference system or an auditor.

Knows: what the operator configured. Must never know: conferences; whether a caller is a member is for
the registry to say.

An identity is a name in a certificate, or `uid:N` for a peer on the Unix socket. A certificate that
carries a name of the second form does not gain it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from control.listen import Peer

_UID: Final = "uid:"


@dataclass(frozen=True, slots=True)
class Caller:
    """One peer, as the KMS sees it."""

    identities: frozenset[str]
    system: str | None = None
    """The identity under which it owns conferences; None unless it is a conference system."""
    auditor: bool = False

    def __str__(self) -> str:
        return ",".join(sorted(self.identities))


class Roles:
    """Who is what."""

    def __init__(self, systems: Iterable[str], auditors: Iterable[str]) -> None:
        """Both are identities."""
        self._systems = frozenset(systems)
        self._auditors = frozenset(auditors)

    def caller(self, peer: Peer) -> Caller:
        """The roles of a peer. One with two names of conference systems is the first in order of the alphabet."""
        identities = identities_of(peer)
        return Caller(
            identities,
            system=min(identities & self._systems, default=None),
            auditor=bool(identities & self._auditors),
        )


def identities_of(peer: Peer) -> frozenset[str]:
    """Under which names a peer may be known."""
    if peer.uid is not None:
        return frozenset((of_uid(peer.uid),))
    return frozenset(name for name in peer.names if not name.startswith(_UID))


def of_uid(uid: int) -> str:
    """The identity of a user of this machine."""
    return f"{_UID}{uid}"


def uids_in(identities: Iterable[str]) -> set[int]:
    """The users of this machine among identities. Raises ValueError for `uid:` without a number."""
    return {int(identity.removeprefix(_UID)) for identity in identities if identity.startswith(_UID)}

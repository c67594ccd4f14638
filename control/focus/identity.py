"""Who calls, and how that was proved. Knows: credentials of callers. Must never know: rooms.

    certificate   a name in the TLS certificate that the caller showed
    digest        a password of [trust] users_file (RFC 7616; MD5 for old phones)
    asserted      the word of a peer that we trust (P-Asserted-Identity, RFC 3325)
    none          nothing but the From line

The roster says which it was, so that everybody in a conference knows what a name is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from control.focus.settings import Proof, TrustSettings
from control.sip.digest import Digest
from control.sip.errors import Unauthenticated
from control.sip.flows import Flow
from control.sip.incoming import Incoming
from control.sip.values import parse_name_addr, split_list
from mixer.secret import Secret

STRENGTH: Final = {"none": 0, "asserted": 2, "digest": 2, "certificate": 3}
"""How much a proof is worth. A trusted peer has seen its user's password in our place."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller."""

    uri: str
    display: str = ""
    proof: str = "none"
    anonymous: bool = False
    """It asked for privacy (RFC 3323): the others see somebody, not whom."""

    def proves(self, wanted: Proof) -> bool:
        return STRENGTH[self.proof] >= STRENGTH[wanted]


class Challenge(Exception):
    """Who calls is to prove itself: 401 with these headers."""

    def __init__(self, headers: list[tuple[str, str]], failure: str = "") -> None:
        super().__init__("the caller must authenticate")
        self.headers = headers
        self.failure = failure
        """What was wrong with the proof that it has shown; empty if it has shown none, or an old one."""


class Refused(Exception):
    """Who calls may not: a status for SIP, and what to do in words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Gate:
    """Judges callers."""

    def __init__(self, trust: TrustSettings, domain: str, users: Mapping[str, Secret]) -> None:
        """`users`: passwords by name; `domain`: of their SIP URIs."""
        self._trust, self._domain = trust, domain
        self._digest = Digest(trust.realm, users) if users else None

    def judge(self, incoming: Incoming, wanted: Proof | None, now: float) -> Identity:
        """The identity of a caller, as well proved as it can be.

        Raises:
            Challenge: if it has not shown enough, and may try.
            Refused: if nothing that it could show would do.
        """
        needed = wanted or self._trust.callers
        sender = incoming.envelope.sender
        claimed = Identity(bare(sender.uri), sender.display, anonymous=_wants_privacy(incoming))
        trusted = self._trusts(incoming.flow)
        shown = self._asserted(incoming, claimed) if trusted else self._certified(incoming.flow, claimed)
        identity = shown or self._digested(incoming, claimed, now) or claimed
        if identity.proves(needed):
            return identity
        if needed == "digest" and self._digest is not None:
            raise self._challenge(self._digest, incoming, now)
        raise Refused(403, "show a TLS certificate of our authority: no other proof will do")

    def _certified(self, flow: Flow, claimed: Identity) -> Identity | None:
        names = flow.identities
        address = claimed.uri.partition(":")[2]
        if not names:
            return None
        if claimed.uri in names or address in names:
            return Identity(claimed.uri, claimed.display, "certificate", claimed.anonymous)
        user = address.partition("@")[0]
        if user in names:  # a name without a host is one of our domain, whatever host the From line has
            return Identity(f"sip:{user}@{self._domain}", claimed.display, "certificate", claimed.anonymous)
        raise Refused(403, "the From line is not what the certificate says")

    def _asserted(self, incoming: Incoming, claimed: Identity) -> Identity | None:
        """RFC 3325 section 9.1: a SIP URI, and perhaps a telephone number behind it, which is none of our users."""
        word = incoming.header("P-Asserted-Identity")
        if word is None:
            return None
        try:
            address = parse_name_addr(split_list(word)[0])
        except (ValueError, IndexError):
            return None
        return Identity(bare(address.uri), address.display or claimed.display, "asserted", claimed.anonymous)

    def _trusts(self, flow: Flow) -> bool:
        """Over UDP anybody can send from any address, but for those of this machine itself."""
        known = (flow.reliable or flow.loopback) and flow.remote[0] in self._trust.peers
        return known or bool(flow.identities & set(self._trust.peers))

    def _digested(self, incoming: Incoming, claimed: Identity, now: float) -> Identity | None:
        if self._digest is None or incoming.header("Authorization") is None:
            return None
        try:
            user = self._digest.verify(incoming.request, now)
        except Unauthenticated as failure:
            raise self._challenge(self._digest, incoming, now, failure) from None
        if claimed.uri.partition(":")[2].partition("@")[0] not in (user, "anonymous"):
            raise Refused(403, "the From line is not of the user whose password this is")
        return Identity(f"sip:{user}@{self._domain}", claimed.display, "digest", claimed.anonymous)

    def _challenge(
        self, digest: Digest, incoming: Incoming, now: float, failure: Unauthenticated | None = None
    ) -> Challenge:
        """Every algorithm, the best first (RFC 8760 section 2.3); one for phones that cannot bear the sight of two."""
        agent = (incoming.header("User-Agent") or "").lower()
        stale = failure is not None and failure.stale
        fields = digest.challenge(now, stale=stale)
        if any(word.lower() in agent for word in self._trust.md5_only):
            fields = [field for field in fields if "algorithm=MD5" in field[1]]
        return Challenge(fields, str(failure) if failure is not None and not stale else "")


def bare(uri: str) -> str:
    """A URI without parameters and headers: what names a user."""
    return uri.partition(";")[0].partition("?")[0]


def _wants_privacy(incoming: Incoming) -> bool:
    """By RFC 3323 section 4.2, or by a From that names nobody (section 4.1.1.3)."""
    wishes = {part.strip().lower() for part in (incoming.header("Privacy") or "").split(";")}
    return "id" in wishes or "@anonymous.invalid" in incoming.envelope.sender.uri

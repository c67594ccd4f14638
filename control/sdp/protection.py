"""How an m-line is protected: by a=crypto (RFC 4568), by DTLS (RFC 5763), or, only if allowed, not at all.

Knows the choice among what an offer has, and whether an answer kept to what was offered. Must never know codecs.
"""

from __future__ import annotations

from dataclasses import dataclass

from control.sdp.agreed import Agreed
from control.sdp.crypto import CryptoError, CryptoLine, acceptable_lines, parse_crypto
from control.sdp.dtls import Fingerprint, Setup, fingerprints_of, role_for_answer, role_for_offer
from control.sdp.model import Media, Session
from control.sdp.refusal import Unacceptable, Warn
from control.sdp.terms import CLEAR_PROFILES, Security, Terms


@dataclass(frozen=True, slots=True)
class Protection:
    """How, and what of the peer belongs to it."""

    security: Security
    crypto: CryptoLine | None = None
    setup: Setup | None = None
    fingerprints: tuple[Fingerprint, ...] = ()


def choose_protection(offer: Session, media: Media, terms: Terms, before: Agreed | None) -> Protection:
    """The best that an offered m-line has. A session that is secure stays so, and in the same way.

    Raises:
        Unacceptable: if it has none that we take.
    """
    settled = before.security if before and before.security != "clear" else None
    for security in (settled,) if settled else terms.security:
        if security == "sdes" and (line := _best_line(media, terms, before)):
            return Protection("sdes", crypto=line)
        if security == "dtls" and (prints := fingerprints_of(offer, media, terms.fingerprint_hashes)):
            role = role_for_offer(offer, media, before.setup if before else None)
            return Protection("dtls", setup=role, fingerprints=prints)
    if media.profile in CLEAR_PROFILES and terms.allow_clear and not settled:
        return Protection("clear")
    raise Unacceptable(Warn.MEDIA_FORMAT, _wanted(terms))


def answered_protection(ours: Media, answer: Session, media: Media, terms: Terms) -> Protection:
    """What an answer to our m-line brings.

    Raises:
        Unacceptable: if it is not what we offered. There are phones that answer with a suite of their own and
            then send in clear: the call must end.
    """
    if ours.attribute("crypto") is not None:
        return Protection("sdes", crypto=_answered_line(ours, media))
    if ours.attribute("fingerprint") is None:
        return Protection("clear")
    prints = fingerprints_of(answer, media, terms.fingerprint_hashes)
    if not prints:
        raise Unacceptable(Warn.MEDIA_FORMAT, f"The answer needs a fingerprint: {', '.join(terms.fingerprint_hashes)}")
    return Protection("dtls", setup=role_for_answer(answer, media), fingerprints=prints)


def _best_line(media: Media, terms: Terms, before: Agreed | None) -> CryptoLine | None:
    """By our order of suites, the one in use before all others; then with or without MKI as wanted; then as offered."""
    if media.profile.startswith("UDP/TLS/"):
        return None  # RFC 5764 section 8: these profiles have keys from DTLS only
    in_use = before.crypto.suite if before and before.crypto else None
    lines = [line for line in acceptable_lines(media.attributes("crypto")) if line.suite in terms.suites]

    def rank(line: CryptoLine) -> tuple[bool, int, bool]:
        with_mki = bool(line.keys[0].mki)
        return line.suite != in_use, terms.suites.index(line.suite), with_mki != terms.mki_wanted

    return min(lines, key=rank, default=None)


def _answered_line(ours: Media, media: Media) -> CryptoLine:
    values = media.attributes("crypto")
    if len(values) != 1:
        raise Unacceptable(Warn.MEDIA_FORMAT, f"The answer has {len(values)} crypto lines; it must have one")
    try:
        line = parse_crypto(values[0])
    except CryptoError as error:
        raise Unacceptable(Warn.MEDIA_FORMAT, f"The crypto line of the answer is not acceptable: {error}") from None
    offered = acceptable_lines(ours.attributes("crypto"))
    if (line.tag, line.suite) not in [(each.tag, each.suite) for each in offered]:
        raise Unacceptable(Warn.MEDIA_FORMAT, "The tag and suite of the answer were not offered")
    check_keys_differ([line], offered)
    return line


def check_keys_differ(theirs: list[CryptoLine], ours: list[CryptoLine]) -> None:
    """One key for both directions is the beginning of a two-time pad (RFC 4568 section 7.1.2 wants two).

    Raises:
        Unacceptable: if a key is on both sides.
    """
    mine = [key.secret for line in ours for key in line.keys]
    if any(key.secret == secret for line in theirs for key in line.keys for secret in mine):
        raise Unacceptable(Warn.MISCELLANEOUS, "Both ends have the same key; each must draw its own")


def _wanted(terms: Terms) -> str:
    ways = {
        "sdes": f"a=crypto with {', '.join(terms.suites)}",
        "dtls": f"DTLS with a fingerprint in {', '.join(terms.fingerprint_hashes)}",
    }
    return (
        f"The media is not protected as we need it: {' or '.join(ways[way] for way in terms.security if way in ways)}"
    )

"""SDP of one caller: offers, answers, and what was agreed on. Pure.

Knows: what a caller wants, its keys, and `control.sdp`. Must never know: SIP, sockets, or how media is sealed.

A caller keeps its own key when the other side offers a new one (RFC 4568 section 7.1.4 leaves that open, and real
phones do so), and draws another only when it is told to.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from control.sdp.agreed import Agreed, Local
from control.sdp.answer import agree, write_answer
from control.sdp.crypto import CryptoLine, InlineKey
from control.sdp.formats import Format
from control.sdp.model import Session, parse
from control.sdp.offer import agree_answer, write_offer
from control.sdp.terms import KNOWN_CODECS, Codec, Security, Terms
from control.sdp.writing import audio_lines, session_lines, stream_lines, to_octets
from mixer.port import Direction, Opus
from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName

Rate: TypeAlias = Literal[8000, 16000, 48000]
OPUS_BITRATE: Final = 64_000
OWN_MKI: Final = 1 << 31
"""Set in the MKI of a key that belongs to one endpoint alone (`control.rekey.epochs`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a caller offers."""

    codec: str = "PCMU"
    rate: int = 8000
    """Of L16, and of what is judged: 8000 with all others."""
    security: Security = "sdes"
    suites: tuple[SuiteName, ...] = ("AES_CM_128_HMAC_SHA1_80",)
    mki: bool = False

    def _has_rate(self, codec: Codec) -> bool:
        """Of L16 there are several; the clock of all others is their own affair."""
        return codec.name != "L16" or codec.rate == self.rate

    def terms(self) -> Terms:
        """The same, for `control.sdp`."""
        return Terms(
            codecs=tuple(codec for codec in KNOWN_CODECS if codec.name == self.codec and self._has_rate(codec)),
            opus=Opus(bitrate=OPUS_BITRATE),
            suites=self.suites,
            security=(self.security,),
            allow_clear=self.security == "clear",
            mki_wanted=self.mki,
            levels=False,
            comfort_noise=False,  # who listens for gaps wants every packet
        )


class Negotiation:
    """The offers and answers of one call."""

    def __init__(self, wishes: Wishes, host: str, port: int, *, ssrc: int, fingerprint: tuple[str, str] | None) -> None:
        """`fingerprint`: (hash, value) of the caller's certificate, for DTLS."""
        self.wishes = wishes
        self.agreed: Agreed | None = None
        self._terms = wishes.terms()
        self._local = Local(
            host=host,
            port=port,
            session_id=secrets.randbits(31),
            version=0,
            ssrc=ssrc,
            cname=f"caller-{ssrc}",
            fingerprint=fingerprint,
        )
        self._lines = _fresh_lines(wishes) if wishes.security == "sdes" else []
        self._own: InlineKey | None = None
        self._last: Session | None = None

    @property
    def own(self) -> InlineKey | None:
        """What it sends under."""
        return self._own

    # -- offers of ours -----------------------------------------------------------------------

    def offer(self) -> bytes:
        """The first one."""
        if self.wishes.security == "clear":
            body = _clear_offer(self._terms, self._next())
        elif self.wishes.security == "dtls":
            body = write_offer(self._terms, self._next(), security="dtls")
        else:
            body = write_offer(self._terms, self._next(), crypto=self._lines)
        return self._said(body)

    def reoffer(self, *, direction: Direction | None = None, fresh_key: bool = False) -> bytes:
        """A further one: on hold, back from it, or with another key of ours."""
        if direction is not None:
            self._local = replace(self._local, direction=direction)
        if fresh_key and self._own is not None:
            assert self.agreed is not None
            assert self.agreed.crypto is not None
            self._own = _fresh_key(self.agreed.crypto.suite, mki=bool(self._own.mki))
        return self._said(write_offer(self._terms, self._next(), agreed=self.agreed, previous=self._last))

    def conclude(self, answer: bytes) -> Agreed:
        """Judge the answer to the last offer. Raises `SdpError`, `Unacceptable`."""
        assert self._last is not None
        agreed = agree_answer(self._last, parse(answer), self._terms)
        if self._own is None and agreed.crypto is not None:
            self._own = next(line for line in self._lines if line.tag == agreed.crypto.tag).keys[0]
        self.agreed = agreed
        return agreed

    # -- offers of the other side -------------------------------------------------------------

    def answer(self, offer: bytes) -> tuple[bytes, Agreed]:
        """Answer one. Raises `SdpError`, `Unacceptable`; nothing has changed then."""
        session = parse(offer)
        agreed = agree(session, self._terms, before=self.agreed)
        if self._own is None and agreed.crypto is not None:
            self._own = _fresh_key(agreed.crypto.suite, mki=agreed.mki)
        body = write_answer(session, agreed, self._next())
        self.agreed, self._last = agreed, session
        return body, agreed

    # -- small things -------------------------------------------------------------------------

    def _next(self) -> Local:
        keys = (self._own,) if self._own is not None else ()
        self._local = replace(self._local, version=self._local.version + 1, keys=keys)
        return self._local

    def _said(self, body: bytes) -> bytes:
        self._last = parse(body)
        return body


def _fresh_lines(wishes: Wishes) -> list[CryptoLine]:
    return [CryptoLine(tag, suite, (_fresh_key(suite, mki=wishes.mki),)) for tag, suite in enumerate(wishes.suites, 1)]


def _fresh_key(suite: SuiteName, *, mki: bool) -> InlineKey:
    name = (OWN_MKI | secrets.randbits(31)).to_bytes(4) if mki else b""
    return InlineKey(Secret(secrets.token_bytes(SUITES[suite].secret)), None, name)


def _clear_offer(terms: Terms, local: Local) -> bytes:
    """RTP/AVP, which the focus itself never offers."""
    formats: Sequence[Format] = [
        Format(96 if codec.static is None else codec.static, codec.name, codec.rate, codec.channels)
        for codec in terms.codecs
    ]
    lines = [*session_lines(local), *audio_lines(local.port, "RTP/AVP", formats)]
    return to_octets([*lines, *stream_lines(local, ptime=20, direction=local.direction, rtcp_mux=True)])

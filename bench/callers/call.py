"""One call of a caller, without SIP: its media, its SDP, and the keys that go from one to the other.

Knows: what an agreement means for the media. Must never know: dialogs, or who calls whom.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bench.callers.habits import Habits
from bench.callers.handshake import Handshake
from bench.callers.keyring import Keyring, MemberKeys, NoKeys, PlainKeys
from bench.callers.media import Media
from bench.callers.mouth import Mouth
from bench.callers.negotiation import OPUS_BITRATE, Negotiation, Wishes
from bench.callers.recording import Recording
from bench.codec import Samples
from bench.coders import coder
from bench.srtp import PacketSession
from control.member import Member
from control.sdp.agreed import Agreed
from control.sdp.crypto import InlineKey
from mixer import dtls
from mixer.certificate import Identity, self_signed
from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName

_SENDS: Final = ("sendrecv", "sendonly")


@dataclass(frozen=True, kw_only=True)
class Voice:
    """What a caller says, and as which stream."""

    said: Samples = field(default_factory=lambda: np.zeros(0, np.float32))
    over_and_over: bool = True
    ssrc: int | None = None
    """Another one for each call if omitted."""


class Call:
    """From the first offer to the last packet."""

    def __init__(
        self, media: Media, wishes: Wishes, *, identity: Identity | None, psk: Secret | None, habits: Habits
    ) -> None:
        self.media = media
        self.habits = habits
        self.began_ns = time.monotonic_ns()
        self.up_ns = 0
        """When it was answered; 0 before."""
        self.ended = ""
        """How; empty while it goes on."""
        self.ended_ns = 0
        self.member: Member | None = None
        host, port = media.address
        shown = _fingerprint(identity) if identity is not None else None
        self.negotiation = Negotiation(wishes, host, port, ssrc=media.mouth.ssrc, fingerprint=shown)
        self._identity, self._psk = identity, psk
        self._handshake: Handshake | None = None
        self._under: InlineKey | None = None
        self._held = False
        media.keyring = NoKeys() if wishes.security == "clear" else PlainKeys()

    @classmethod
    async def open(
        cls, voice: Voice, wishes: Wishes, *, psk: Secret | None = None, habits: Habits | None = None
    ) -> Call:
        """A call with a media socket of its own."""
        spoken = coder(wishes.codec, wishes.rate, OPUS_BITRATE)
        mouth = Mouth(spoken, voice.said, voice.ssrc or 1 + secrets.randbits(31), over_and_over=voice.over_and_over)
        media = await Media.open(mouth, Recording(spoken))
        identity = self_signed() if wishes.security == "dtls" else None
        return cls(media, wishes, identity=identity, psk=psk, habits=habits or Habits())

    @property
    def keyring(self) -> Keyring:
        assert self.media.keyring is not None
        return self.media.keyring

    # -- offers and answers -------------------------------------------------------------------

    def answered(self, body: bytes, names: str = "") -> None:
        """The answer to our first offer. `names`: what it and the focus are called in MIKEY (Mrfp-Member).

        Raises:
            SdpError, Unacceptable: if it is none.
        """
        self._meet(names)
        self._apply(self.negotiation.conclude(body))
        self.up()

    def up(self) -> None:
        """It is answered: talk."""
        self.up_ns = time.monotonic_ns()
        if not self.habits.says_nothing:
            self.media.talk()

    def concluded(self, body: bytes) -> None:
        """The answer to a further offer of ours. Raises `SdpError`, `Unacceptable`."""
        self._apply(self.negotiation.conclude(body))

    def answer(self, offer: bytes) -> bytes:
        """Answer an offer of the other side, and take what is new in it. Raises `SdpError`, `Unacceptable`."""
        first = self.negotiation.agreed is None
        body, agreed = self.negotiation.answer(offer)
        self._apply(agreed, hear=first or not self.habits.ignores_keys)
        return body

    def hold(self, *, on: bool) -> bytes:
        """The offer that puts the call on hold, or takes it back."""
        self._held = on
        if on:
            self.media.ear.pause()
        return self.negotiation.reoffer(direction="sendonly" if on else "sendrecv")

    def press(self, keys: str) -> None:
        """Press keys, if the other side takes telephone events.

        Raises:
            ValueError: if it does not.
        """
        agreed = self.negotiation.agreed
        if agreed is None or agreed.telephone_event is None:
            raise ValueError("telephone events were not agreed on: there is no other way to press keys")
        self.media.mouth.press(keys, agreed.telephone_event)

    def end(self, reason: str, *, by_us: bool) -> None:
        """No more media; what was heard stays."""
        if self.ended:
            return
        self.ended, self.ended_ns = reason, time.monotonic_ns()
        if by_us:
            self.media.ear.pause()
        else:
            self.media.ear.end()
        if self._handshake is not None:
            self._handshake.close()
        self.media.close()

    # -- key messages -------------------------------------------------------------------------

    def informed(self, message: bytes) -> bytes:
        """A MIKEY message: what to say to it, empty for nothing."""
        if self.member is None or self.habits.mikey_deaf:
            return b""
        return self.member.receive(message, now=time.monotonic()) or b""

    def _meet(self, names: str) -> None:
        parts = names.split()
        if self._psk is not None and len(parts) == 3:
            self.member = Member(parts[0], self._psk, focus=parts[1], conference=parts[2])
            self.media.keyring = MemberKeys(self.member)

    # -- from what is agreed to the media -----------------------------------------------------

    def _apply(self, agreed: Agreed, *, hear: bool = True) -> None:
        media = self.media
        media.mouth.says_as(agreed.payload_type)
        media.ear.hears_as(agreed.payload_type_in)
        if agreed.remote is not None:
            host, _, port = agreed.remote.rpartition(":")
            media.remote = host.strip("[]"), int(port)
        media.muted = self._held or agreed.direction not in ("sendrecv", "recvonly")
        if agreed.direction in _SENDS:
            media.ear.go_on()
        else:
            media.ear.pause()
        if agreed.crypto is not None and hear:
            for key in agreed.crypto.keys:
                self.keyring.take(agreed.crypto.suite, key.secret, key.mki)
        self._speak(agreed)

    def _speak(self, agreed: Agreed) -> None:
        own = self.negotiation.own
        if agreed.security == "clear":
            self.media.seal = bytes
        elif agreed.security == "dtls" and self._handshake is None:
            self._shake(agreed)
        elif agreed.crypto is not None and own is not None and own is not self._under:
            self._under = own
            self._seal(agreed.crypto.suite, own.secret, own.mki)

    def _seal(self, suite: SuiteName, secret: Secret, mki: bytes = b"") -> None:
        if self.habits.clear_media:
            self.media.seal = bytes
            return
        octets = secrets.token_bytes(SUITES[suite].secret) if self.habits.wrong_key else secret.reveal()
        mouth = self.media.mouth
        self.media.seal = PacketSession(suite, octets, ssrc=mouth.ssrc, roc=mouth.roc, mki=mki).protect

    def _shake(self, agreed: Agreed) -> None:
        assert self._identity is not None
        self._handshake = Handshake(self._identity, agreed.fingerprints, send=self.media.send, done=self._shaken)
        if agreed.setup == "active":
            self._handshake.begin()
        self.media.shake(self._handshake.receive)

    def _shaken(self, keys: dtls.Keys) -> None:
        self.keyring.take(keys.suite.name, keys.rx)
        self._seal(keys.suite.name, keys.tx)


def _fingerprint(identity: Identity) -> tuple[str, str]:
    name, _, value = identity.fingerprint.partition(" ")
    return name, value

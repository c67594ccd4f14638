"""The keychain: the secrets of a conference's epochs, and what each becomes for the mixer and for a member.

Knows: secrets, from the KMS to the mixer and to MIKEY. Must never know: when to rekey, sockets, clocks.

    secret (TGK), 32 octets    a member who can ratchet gets it, and derives what follows
       | ratchet step          the next secret, one way (`ratchet`)
       | RFC 3830 section 4.1.3
    master key || salt         the mixer gets it; so does a member who can't ratchet (TEK)

All members of a conference get one CSB ID and RAND, so that one secret gives all of them one SRTP key (RFC 3830
section 8.1). A cohort has at most two epochs here: the one in use and the one to come.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from control.mikey import prf
from control.mikey.header import SrtpSession
from control.mikey.push import Push
from control.rekey import ratchet
from control.rekey.epochs import generation_of, mki_of, step_of
from mixer.port import Key, StreamPosition
from mixer.secret import Secret
from mixer.suites import SuiteName

SECRET_OCTETS: Final = 32
STREAM: Final = 1
"""The crypto session id of the stream that a cohort hears."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When the mixer is to destroy a group key by itself, whatever becomes of us."""

    max_age_s: float | None = 600.0
    max_packets: int | None = None


class Keychain:
    """Secrets of one conference, by cohort and epoch."""

    def __init__(self, conference: str, suite: SuiteName, *, style: str = "mki", limits: Limits | None = None) -> None:
        self.conference, self.suite = conference, suite
        self.csb_id = secrets.randbits(32)
        self.rand = secrets.token_bytes(16)
        self.named = style == "mki"
        self._limits = limits or Limits()
        self._secrets: dict[tuple[int, int], Secret] = {}

    def put(self, cohort: int, epoch: int, secret: Secret) -> None:
        """Hold what the KMS made."""
        self._secrets[cohort, epoch] = secret

    def derive(self, cohort: int, epoch: int) -> None:
        """The next step of the ratchet.

        Raises:
            KeyError: if the step before is not held.
            RatchetError: if there is no such step.
        """
        before = self._secrets[cohort, epoch - 1]
        self._secrets[cohort, epoch] = ratchet.step(
            before, conference=self.conference, generation=generation_of(epoch), step=step_of(epoch)
        )

    def forget(self, cohort: int, epoch: int) -> None:
        """Wipe one epoch."""
        secret = self._secrets.pop((cohort, epoch), None)
        if secret is not None:
            secret.wipe()

    def keep_only(self, cohort: int, epoch: int) -> None:
        """An epoch is in use: wipe all that came before it."""
        for held in [held for held in self._secrets if held[0] == cohort and held[1] < epoch]:
            self.forget(*held)

    def clear(self) -> None:
        """Wipe everything."""
        for held in list(self._secrets):
            self.forget(*held)

    def holds(self, cohort: int, epoch: int) -> bool:
        return (cohort, epoch) in self._secrets

    def steps(self, cohort: int, epoch: int) -> list[int]:
        """The epochs held of the generation of this one, in order."""
        generation = generation_of(epoch)
        return sorted(held for of, held in self._secrets if of == cohort and generation_of(held) == generation)

    def key(self, cohort: int, epoch: int) -> Key:
        """What the mixer gets.

        Raises:
            KeyError: if the epoch is not held.
        """
        return Key(
            suite=self.suite,
            secret=self._srtp_key(cohort, epoch),
            mki=mki_of(epoch).hex() if self.named else "",
            epoch=epoch,
            max_age_s=self._limits.max_age_s,
            max_packets=self._limits.max_packets,
        )

    def push(self, cohort: int, epoch: int, streams: list[StreamPosition], *, ratchets: bool) -> Push:
        """What a member gets: the secret if it can ratchet, the SRTP key itself otherwise."""
        sessions = tuple(SrtpSession(0, stream.ssrc, stream.roc) for stream in streams) or (SrtpSession(0, 0, 0),)
        secret = self._secrets[cohort, epoch] if ratchets else self._srtp_key(cohort, epoch)
        return Push(sessions, self.suite, "tgk" if ratchets else "tek", secret, mki_of(epoch))

    def _srtp_key(self, cohort: int, epoch: int) -> Secret:
        secret = self._secrets[cohort, epoch]
        return prf.srtp_key(secret, csb_id=self.csb_id, cs_id=STREAM, rand=self.rand, suite=self.suite)

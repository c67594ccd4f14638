"""Keys as the controller gives them to the mixer, and as the clients take them."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass

from mixer.port import Key
from mixer.secret import Secret
from mixer.suites import SuiteName
from tests.interop.programs import GstKey
from tests.reference.srtp import SUITES, Context

CM_80: SuiteName = "AES_CM_128_HMAC_SHA1_80"
_epochs = itertools.count(1)


@dataclass(frozen=True)
class Fresh:
    """One fresh key in the shapes that each side wants. Never two tests with the same: the mixer
    refuses a key under which it has sent before."""

    suite: SuiteName
    octets: bytes
    mki: bytes
    roc: int
    epoch: int

    def port(self) -> Key:
        return Key(
            suite=self.suite,
            secret=Secret(self.octets),
            mki=self.mki.hex(),
            roc=self.roc,
            epoch=self.epoch,
        )

    def gst(self) -> GstKey:
        return GstKey(self.suite, self.octets, self.mki)

    def context(self) -> Context:
        return Context(self.suite, self.octets, mki=self.mki, roc=self.roc)


def fresh(suite: SuiteName = CM_80, *, mki: bytes = b"", roc: int = 0) -> Fresh:
    """A random key of a new epoch."""
    lengths = SUITES[suite]
    return Fresh(suite, secrets.token_bytes(lengths.key + lengths.salt), mki, roc, next(_epochs))

"""The two ends of a key push with acknowledgement: MIKEY with a pre-shared key, RFC 3830 section 3.1.

Knows timestamps, MACs and what was answered; must never know a clock, a socket, or who is a member.

    Sender      HDR, T, [RAND], [IDi, IDr], {SP}, KEMAC      one for each member and bundle
    Receiver    HDR, T, [IDr], V                             one for each member

An update keeps the CSB ID and the RAND (section 4.5), so the keys of the messages are derived once and a
push costs little. The Sender sends the RAND until one push has been acknowledged, and no longer.

What the RFC leaves open, or asks more of than this does:

- Replay: a Receiver accepts only rising timestamps in a bundle, instead of keeping a cache (section 5.4).
  For bundles that it does not know it has but `not_before`; a COUNTER can tell it nothing.
- An update must bring its policies and a key again; those of section 4.5 that leave them out are refused.
- The MAC of a verification message covers the octets of the ID data and of the timestamp value
  (section 5.2 as RFC 6043 section 5.5 words it: "identities, not whole payloads").
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from control.mikey.cipher import KeyStream, check_mac, mac
from control.mikey.errors import Malformed, Refused, Replayed
from control.mikey.header import Header
from control.mikey.keydata import Kemac
from control.mikey.message import Message, decode
from control.mikey.numbers import MAC_LENGTH, TS_LENGTH, DataType, EncrAlg, MacAlg, Prf, TsType
from control.mikey.payloads import Identity, Payload, Rand, Timestamp, Verification
from control.mikey.prf import MessageKeys, message_keys
from control.mikey.push import Delivery, Push, push_of
from control.mikey.report import reported
from mixer.secret import Secret

MIN_PSK: Final = 16
"""Octets of a pre-shared key, at least."""

MIN_RAND: Final = 16
"""Octets of a RAND, at least (RFC 3830 section 6.11)."""

MAX_OUTSTANDING: Final = 64
"""Pushes whose acknowledgement is waited for; the oldest are given up."""

_MAC: Final = MacAlg.HMAC_SHA_1_160
_MAC_LENGTH: Final = MAC_LENGTH[_MAC]


class Sender:
    """The focus, towards one member in one crypto session bundle.

    All members of a group get the same CSB ID and RAND, so that the same TGK gives them the same SRTP key
    (RFC 3830 sections 6.11 and 8.1). After a restart of the focus take a fresh RAND, or timestamps that
    have surely not been used: a timestamp used twice under one RAND gives two keys one keystream.
    """

    def __init__(
        self,
        psk: Secret,
        *,
        identity: bytes,
        peer: bytes,
        csb_id: int,
        rand: bytes,
        clock: TsType = TsType.COUNTER,
        named: bool = True,
    ) -> None:
        """Derive the bundle's keys. `clock` says what a timestamp is: COUNTER, or NTP-UTC in 64 bits.

        `named` puts both identities into each message. Without them (section 3.1 allows it) the member
        must know by other means which key to try; GStreamer 1.22 hangs on messages that have them.

        Raises:
            Malformed: if the pre-shared key or the RAND is too short.
        """
        if len(psk) < MIN_PSK or len(rand) < MIN_RAND:
            raise Malformed(f"a PSK has {MIN_PSK} octets and a RAND {MIN_RAND}, at least")
        self.csb_id = csb_id
        self._clock = clock
        self._keys = message_keys(psk, csb_id, rand)
        self._stream = KeyStream(self._keys.encryption, self._keys.salt)
        self._parties = identity + peer
        self._identities = (Identity.of(identity), Identity.of(peer)) if named else ()
        self._rand = Rand(rand)
        self._introduced = False
        self._last = -1
        self._outstanding: list[int] = []

    def push(self, offer: Push, *, timestamp: int) -> bytes:
        """The message that brings a key to the member. To send it again, send the same octets again.

        Raises:
            Malformed: if the timestamp is not above the last one, or does not fit its type.
        """
        if not self._last < timestamp < 1 << 8 * TS_LENGTH[self._clock]:
            raise Malformed(f"the timestamp must be above {self._last} and fit {self._clock.name}")
        data = self._stream.apply(offer.key_data(), csb_id=self.csb_id, timestamp=timestamp)
        header = Header(DataType.PSK, self.csb_id, offer.map, offer.verify)
        clock = Timestamp(timestamp, self._clock)
        rand = () if self._introduced else (self._rand,)
        parts: tuple[Payload, ...] = (clock, *rand, *self._identities, *offer.policies(), Kemac(data))
        octets = Message(header, parts).encode()
        self._last = timestamp
        if offer.verify:
            self._outstanding = [*self._outstanding[1 - MAX_OUTSTANDING :], timestamp]
        return octets + mac(_MAC, self._keys.authentication, octets)

    def acknowledged(self, octets: bytes) -> int:
        """The timestamp of the push that the member has confirmed. Older pushes are no longer waited for.

        Raises:
            Malformed: if it is no verification message.
            Forged: if the MAC is wrong.
            Replayed: if it is for no push that is waited for: another one, or one confirmed before.
            Reported: if the member answered with an Error message.
        """
        message = decode(octets)
        if message.header.csb_id != self.csb_id:
            raise Refused("the answer is for another crypto session bundle")
        if message.header.data_type == DataType.ERROR:
            raise reported(message, octets, _MAC, self._keys.authentication)
        if message.header.data_type != DataType.PSK_VERIFICATION:
            raise Refused("the answer is no verification message")
        clock, claimed = message.one(Timestamp), message.one(Verification)
        _check_end(message, Verification, claimed.algorithm, message.header.prf)
        covered = octets[:-_MAC_LENGTH] + self._parties + clock.octets()
        check_mac(_MAC, self._keys.authentication, covered, claimed.mac)
        if clock.kind != self._clock or clock.value not in self._outstanding:
            raise Replayed("the answer is for no push that waits for one")
        self._outstanding = [each for each in self._outstanding if each > clock.value]
        self._introduced = True
        return clock.value

    def introduce(self) -> None:
        """Put the RAND into pushes again until the next acknowledgement: the member has lost its state."""
        self._introduced = False


@dataclass(slots=True)
class _Bundle:
    """What a Receiver keeps of one crypto session bundle."""

    rand: bytes
    keys: MessageKeys
    clock: int
    timestamp: int
    digest: bytes
    """Of the message accepted last. Kept whole, beside the keys that open it, it would be the key that it brought."""
    answer: bytes | None


class Receiver:
    """A member, towards its focus. Nothing changes until a message has proved authentic and usable."""

    def __init__(self, psk: Secret, *, identity: bytes, peer: bytes, not_before: int = 0) -> None:
        """`not_before`: timestamps of unknown bundles below it are out of date. With NTP-UTC give the time
        at which this Receiver begins, less what clocks may differ; a COUNTER begins anew in each bundle.

        Raises:
            Malformed: if the pre-shared key is too short.
        """
        if len(psk) < MIN_PSK:
            raise Malformed(f"a PSK has {MIN_PSK} octets, at least")
        self._psk = Secret(psk.reveal())
        self._identity, self._peer = identity, peer
        self._not_before = not_before
        self._bundles: dict[int, _Bundle] = {}

    def accept(self, octets: bytes) -> tuple[Delivery | None, bytes | None]:
        """What a message brings, and the verification message to answer with, if it asks for one.

        The delivery is None if this is the very message accepted last: its key was delivered then, and only
        the same answer, which may have been lost, is given again.

        Raises:
            Malformed: if it is no pre-shared-key message.
            Forged: if the MAC is wrong.
            Replayed: if it is authentic, but its timestamp is not above the last one.
            Refused: if it is authentic, but not what this member takes.
        """
        message = decode(octets)
        if message.header.data_type != DataType.PSK:
            raise Refused("the message is no pre-shared-key message")
        kemac, clock = message.one(Kemac), message.one(Timestamp)
        _check_end(message, Kemac, kemac.mac_algorithm, message.header.prf)
        known = self._bundles.get(message.header.csb_id)
        rand = self._rand_of(message, known)
        if known is not None and known.rand == rand:
            keys = known.keys
        else:
            keys = message_keys(self._psk, message.header.csb_id, rand)
        check_mac(_MAC, keys.authentication, octets[:-_MAC_LENGTH], kemac.mac)
        if known is not None and hmac.compare_digest(known.digest, _digest(octets)):
            return None, known.answer
        self._check_fresh(known, rand, clock)
        self._check_identities(message.all(Identity))
        delivery = Delivery(_opened(message, kemac, keys, clock), message.header.csb_id, rand, clock.value)
        answer = self._answer(message, clock, keys) if message.header.verify else None
        self._bundles[delivery.csb_id] = _Bundle(rand, keys, clock.kind, clock.value, _digest(octets), answer)
        return delivery, answer

    def forget(self, csb_id: int) -> None:
        """Drop a bundle whose conference has ended, with its keys. Its messages could be replayed from now on."""
        self._bundles.pop(csb_id, None)

    @staticmethod
    def _rand_of(message: Message, known: _Bundle | None) -> bytes:
        given = message.maybe(Rand)
        if given is not None:
            return given.octets
        if known is None:
            raise Refused("an update of a crypto session bundle that is not known, for want of its RAND")
        return known.rand

    def _check_fresh(self, known: _Bundle | None, rand: bytes, clock: Timestamp) -> None:
        if len(rand) < MIN_RAND:
            raise Refused(f"the RAND is shorter than {MIN_RAND} octets")
        if clock.kind == TsType.NTP_UTC_32:
            raise Refused("a key push carries a timestamp of the type NTP-UTC, NTP or COUNTER")
        if known is None:
            if clock.value < self._not_before:
                raise Replayed("the message is from before this member began to listen")
        elif clock.value <= known.timestamp:
            raise Replayed("the timestamp is not above the last one")
        elif rand != known.rand or clock.kind != known.clock:
            raise Refused("an update changes the RAND or the type of timestamp of its bundle")

    def _check_identities(self, identities: Sequence[Identity]) -> None:
        """Those that a message names must be ours; it may leave them out (RFC 3830 section 3.1)."""
        if identities and [each.octets for each in identities] != [self._peer, self._identity]:
            raise Refused("the message is from another peer or for another member")

    def _answer(self, message: Message, clock: Timestamp, keys: MessageKeys) -> bytes:
        header = Header(DataType.PSK_VERIFICATION, message.header.csb_id, message.header.map)
        named = (Identity.of(self._identity),) if message.all(Identity) else ()
        parts: tuple[Payload, ...] = (clock, *named, Verification(_MAC, b""))
        octets = Message(header, parts).encode()
        covered = octets + self._peer + self._identity + clock.octets()
        return octets + mac(_MAC, keys.authentication, covered)


def _digest(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def _opened(message: Message, kemac: Kemac, keys: MessageKeys, clock: Timestamp) -> Push:
    if kemac.encryption != EncrAlg.AES_CM_128:
        raise Refused(f"the key is encrypted by the algorithm {kemac.encryption}; only AES-CM-128 is taken")
    stream = KeyStream(keys.encryption, keys.salt)
    return push_of(message, stream.apply(kemac.data, csb_id=message.header.csb_id, timestamp=clock.wide))


def _check_end(message: Message, last: type[Payload], algorithm: int, prf: int) -> None:
    """The MAC ends the message, and is made as we make it: nothing weaker is looked at."""
    if not isinstance(message.payloads[-1], last):
        raise Malformed("the MAC is not at the end of the message")
    if algorithm != _MAC or prf != Prf.MIKEY_1:
        raise Refused("only HMAC-SHA-1-160 and the PRF MIKEY-1 are taken")

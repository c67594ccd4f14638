"""A SIP phone that agrees on its keys by DTLS-SRTP: OpenSSL with a context of its own, and our reference SRTP.

Must never know: anything inside the mixer but the words of its port.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from mixer import port
from tests.mixer.phone import Phone, Voice
from tests.mixer.room import Room
from tests.reference.srtp import SUITES, Context

NAMES = {
    "SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
    "SRTP_AES128_CM_SHA1_32": "AES_CM_128_HMAC_SHA1_32",
    "SRTP_AEAD_AES_128_GCM": "AEAD_AES_128_GCM",
    "SRTP_AEAD_AES_256_GCM": "AEAD_AES_256_GCM",
}
Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


@cache
def pair(name: str) -> Pair:
    """A certificate of that name and its key, the same each time."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(random.randrange(1, 1 << 64))
    builder = builder.not_valid_before(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    return key, builder.not_valid_after(dt.datetime(2048, 1, 1, tzinfo=dt.UTC)).sign(key, hashes.SHA256())


def fingerprint(name: str, algorithm: port.HashName = "sha-256") -> port.Fingerprint:
    """Of the certificate of that name, in the lower case of some phones."""
    kind = {"sha-256": hashes.SHA256(), "sha-384": hashes.SHA384(), "sha-512": hashes.SHA512()}[algorithm]
    return port.Fingerprint(hash=algorithm, value=pair(name)[1].fingerprint(kind).hex(":"))


class Peer:
    """One DTLS association of a phone."""

    def __init__(self, name: str, *, client: bool, profiles: Sequence[str] = tuple(NAMES)) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        key, certificate = pair(name)
        context.use_privatekey(key)
        context.use_certificate(certificate)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
        if profiles:
            context.set_tlsext_use_srtp(":".join(profiles).encode())
        self.client, self.done, self.error = client, False, ""
        self.connection = SSL.Connection(context)
        self.connection.set_ciphertext_mtu(1200)
        if client:
            self.connection.set_connect_state()
        else:
            self.connection.set_accept_state()

    @property
    def agreed(self) -> bool:
        """There are keys."""
        return self.done and not self.error and bool(self.connection.get_selected_srtp_profile())

    def receive(self, octets: bytes) -> None:
        self.connection.bio_write(octets)
        self.advance()

    def advance(self) -> None:
        try:
            if self.done:
                self.connection.recv(1)
            else:
                self.connection.do_handshake()
                self.done = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = repr(error)

    def take(self) -> list[bytes]:
        """Datagrams to send, a record each."""
        try:
            octets = self.connection.bio_read(1 << 16)
        except SSL.WantReadError:
            return []
        records = []
        while octets:
            end = 13 + int.from_bytes(octets[11:13])
            records.append(octets[:end])
            octets = octets[end:]
        return records

    def hello(self) -> bytes:
        """Its first datagram."""
        self.advance()
        (octets,) = self.take()
        return octets

    def keys(self) -> tuple[str, bytes, bytes]:
        """The suite, what it sends under, what it hears under (RFC 5764 section 4.2)."""
        name = NAMES[self.connection.get_selected_srtp_profile().decode()]
        key, salt = SUITES[name].key, SUITES[name].salt
        octets = self.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        at = 2 * key
        client = octets[:key] + octets[at : at + salt]
        server = octets[key:at] + octets[at + salt :]
        return (name, client, server) if self.client else (name, server, client)


@dataclass
class DtlsPhone(Phone):
    """Sends nothing but handshakes before it has keys."""

    peer: Peer | None = None
    taken: bool = False
    lose: set[int] = field(default_factory=set)
    """Numbers of its DTLS datagrams that are lost,"""
    deaf: set[int] = field(default_factory=set)
    """and of those to it."""
    spoil: Callable[[int, bytes], bytes] = lambda number, octets: octets
    """What becomes of a datagram of its handshake on the way."""
    said: list[bytes] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)

    def talk(self, now_ns: int) -> list[bytes]:
        """What it has to say: handshakes first."""
        packets = []
        if self.peer:
            self.peer.advance()
            packets = self.flights()
            self._take_keys()
        voice, self.voice = self.voice, self.voice if self.uplink else None
        spoken = super().talk(now_ns)
        self.voice = voice
        return packets + spoken

    def flights(self) -> list[bytes]:
        """The handshake datagrams that it sends and that are not lost."""
        assert self.peer
        first = len(self.said)
        self.said += self.peer.take()
        numbers = [number for number in range(first, len(self.said)) if number not in self.lose]
        return [self.spoil(number, self.said[number]) for number in numbers]

    def receive(self, octets: bytes, at_ns: int) -> None:
        if not 20 <= octets[0] < 64:
            super().receive(octets, at_ns)
            return
        self.told.append(octets)
        if self.peer and len(self.told) - 1 not in self.deaf:
            self.peer.receive(octets)

    def _open(self, octets: bytes, rtcp: bool) -> tuple[str, bytes] | None:
        return super()._open(octets, rtcp) if self.keys else None

    def _take_keys(self) -> None:
        if self.peer and self.peer.agreed and not self.taken:
            self.taken = True
            suite, tx, rx = self.peer.keys()
            self.uplink, self.keys = Context(suite, tx), {"dtls": Context(suite, rx)}

    def again(self, name: str, *, client: bool = True) -> None:
        """Begin another handshake; media goes on under the keys of before until it is done."""
        self.peer, self.taken = Peer(name, client=client), False


def call(
    room: Room,
    name: str,
    voice: Voice | None = None,
    *,
    shows: str = "",
    promised: tuple[port.Fingerprint, ...] = (),
    role: port.DtlsRole = "passive",
    client: bool | None = None,
    profiles: Sequence[str] = tuple(NAMES),
    known: bool = True,
    **fields: Any,
) -> DtlsPhone:
    """Add a DTLS leg and its phone.

    Args:
        shows: name of its certificate if not its own; promised: what the mixer is told, if not the truth.
        role: the mixer's; client: the phone's, if it is not the other one.
        known: tell the mixer the address.
    """
    number = len(room.phones) + 1
    phone = DtlsPhone(
        name, f"198.51.100.{number % 250 + 1}:{6000 + 2 * number}", random.randrange(1, 1 << 32), voice=voice
    )
    fields = {"remote": phone.address} | fields if known else fields
    wish = port.Dtls(role=role, fingerprints=promised or (fingerprint(name),))
    reply = room.apply(port.LegAdd(conference="c", leg=name, dtls=wish, **fields))
    assert isinstance(reply, port.LegAdded)
    phone.local, phone.born_ns = room.engine.local_port_of(name), room.now_ns
    phone.peer = Peer(shows or name, client=role == "passive" if client is None else client, profiles=profiles)
    room.phones[name] = phone
    return phone

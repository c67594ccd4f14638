"""One DTLS-SRTP association (RFC 5764), sans-IO: datagrams in, datagrams out, and keys at the end.

The only file that knows OpenSSL. Must never know: legs, addresses, or what the keys are for. Whom to trust is
asked of `accepts` while the handshake runs, so that a peer with the wrong certificate is sent an alert.

Time: OpenSSL retransmits a flight after 1, 2, 4 ... s (RFC 6347 section 4.2.4) by a timer that reads the real
clock. `retransmit` lets it look; nothing else in the engine depends on any clock but the frame counter.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from OpenSSL import SSL, crypto

from mixer.certificate import Identity
from mixer.port import Fingerprint, HashName
from mixer.secret import Secret
from mixer.suites import SUITES, Suite, SuiteName

Shown: TypeAlias = list[Fingerprint]
"""The fingerprints of a certificate, strongest first, in upper case."""
Accepts: TypeAlias = Callable[[Shown], bool]

PROFILES: Final[dict[bytes, SuiteName]] = {
    b"SRTP_AEAD_AES_128_GCM": "AEAD_AES_128_GCM",
    b"SRTP_AEAD_AES_256_GCM": "AEAD_AES_256_GCM",
    b"SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
    b"SRTP_AES128_CM_SHA1_32": "AES_CM_128_HMAC_SHA1_32",
}
"""Protection profiles by OpenSSL's names (RFC 5764 section 4.1.2, RFC 7714 section 14.2), best first: GCM costs
less than SHA-1, and a short tag comes last."""

MTU: Final = 1200
"""Octets of a handshake datagram at most: fits every path (RFC 6347 section 4.1.1.1)."""
_LABEL: Final = b"EXTRACTOR-dtls_srtp"
_RECORD: Final = 13
"""Octets of a DTLS record's header; its length stands in the last two."""
_COOKIE: Final = 20
_STRONGEST_FIRST: Final[tuple[HashName, ...]] = ("sha-512", "sha-384", "sha-256")


class Stage(Enum):
    """How far an association is."""

    SHAKING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class _Other:
    """What OpenSSL's callbacks must know of the other end."""

    accepts: Accepts
    source: bytes = b""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a handshake agreed on. Each secret is key || salt."""

    suite: Suite
    rx: Secret
    """Of what the peer sends."""
    tx: Secret
    """Of what it hears."""


class Association:
    """One handshake, and what has to be answered after it. `Endpoint` makes them."""

    def __init__(self, connection: SSL.Connection, *, client: bool) -> None:
        self._connection, self._client = connection, client
        self.stage = Stage.SHAKING
        self.reason = ""
        """Why it failed."""

    def receive(self, datagram: bytes) -> None:
        """Take a datagram of the peer. What is no DTLS, or comes again, changes nothing."""
        if self.stage is not Stage.FAILED:
            self._connection.bio_write(datagram)
            self.advance()

    def advance(self) -> None:
        """Go on as far as it gets with what has come."""
        try:
            if self.stage is Stage.SHAKING:
                self._connection.do_handshake()
                self._conclude()
            elif self.stage is Stage.DONE:
                self._connection.recv(1)  # a repeated Finished is answered by ours (RFC 6347 section 4.2.4)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._fail(_reason(error))

    def retransmit(self) -> None:
        """Send the last flight again if OpenSSL's timer says so."""
        if self.stage is not Stage.SHAKING:
            return
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(_reason(error))

    def take(self) -> list[bytes]:
        """The datagrams to send, once."""
        return _datagrams(self._connection)

    def keys(self) -> Keys:
        """The SRTP keys, once it is DONE (RFC 5764 section 4.2)."""
        suite = SUITES[PROFILES[self._connection.get_selected_srtp_profile()]]
        octets = self._connection.export_keying_material(_LABEL, 2 * suite.secret)
        keys, salts = octets[: 2 * suite.key], octets[2 * suite.key :]
        of_client = Secret(keys[: suite.key] + salts[: suite.salt])
        of_server = Secret(keys[suite.key :] + salts[suite.salt :])
        return Keys(suite, of_server, of_client) if self._client else Keys(suite, of_client, of_server)

    @property
    def shown(self) -> Shown:
        """The peer's certificate, once it is DONE."""
        certificate = self._connection.get_peer_certificate()
        assert certificate is not None  # the context insists on one
        return _fingerprints(certificate)

    def _conclude(self) -> None:
        if self._connection.get_selected_srtp_profile() in PROFILES:
            self.stage = Stage.DONE
        else:
            self._fail("the peer offers no SRTP profile that we know (use_srtp, RFC 5764 section 4.1.1)")

    def _fail(self, reason: str) -> None:
        self.stage, self.reason = Stage.FAILED, reason


class Endpoint:
    """Makes associations under one certificate; the OpenSSL context is made once."""

    def __init__(self, identity: Identity) -> None:
        self._secret = secrets.token_bytes(32)
        self._period = 0
        self._context = self._make_context(identity)
        self._listener = self._connect()

    def call(self, accepts: Accepts) -> Association:
        """An association that begins: `advance` it, and it has a ClientHello to send."""
        connection = self._connect()
        connection.set_connect_state()
        connection.set_app_data(_Other(accepts))
        return Association(connection, client=True)

    def greet(self, hello: bytes, source: bytes, period: int, accepts: Accepts) -> Association | list[bytes]:
        """Answer a ClientHello without remembering it (RFC 6347 section 4.2.1).

        Args:
            source: where it came from; only who receives there can know its cookie.
            period: a number that grows; a cookie is good in its own and the next.

        Returns:
            An association to `advance`, if the hello carries the cookie of its source; else what to send back, which
            is shorter than the hello, or nothing if that is none.
        """
        listener, self._period = self._listener, period
        listener.set_app_data(_Other(accepts, source))
        listener.bio_write(hello)
        try:
            listener.DTLSv1_listen()
        except SSL.WantReadError:
            return _datagrams(listener)
        except SSL.Error:
            self._listener = self._connect()
            return []
        self._listener = self._connect()
        return Association(listener, client=False)

    def _connect(self) -> SSL.Connection:
        connection = SSL.Connection(self._context)
        connection.set_accept_state()
        connection.set_ciphertext_mtu(MTU)
        return connection

    def _make_context(self, identity: Identity) -> SSL.Context:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_max_proto_version(0xFEFD)  # 1.2: what RFC 5764 was made for, and every phone has
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION)
        assert SSL.OP_COOKIE_EXCHANGE is not None  # only of an OpenSSL without DTLS
        context.set_options(SSL.OP_COOKIE_EXCHANGE)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate(identity.certificate)
        context.use_privatekey(identity.key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
        context.set_tlsext_use_srtp(b":".join(PROFILES))
        context.set_cookie_generate_callback(lambda connection: self._cookie(connection, self._period))
        context.set_cookie_verify_callback(self._is_cookie)
        return context

    def _cookie(self, connection: SSL.Connection, period: int) -> bytes:
        other: _Other = connection.get_app_data()
        return hmac.digest(self._secret, period.to_bytes(8) + other.source, "sha256")[:_COOKIE]

    def _is_cookie(self, connection: SSL.Connection, cookie: bytes) -> bool:
        return any(
            hmac.compare_digest(cookie, self._cookie(connection, period))
            for period in (self._period, max(0, self._period - 1))
        )


def client_random(datagram: bytes) -> bytes | None:
    """The random of a ClientHello in clear, which names it; None if the datagram begins with anything else."""
    begins = len(datagram) >= 59 and datagram[0] == 22 and datagram[3:5] == b"\0\0" and datagram[13] == 1
    return datagram[27:59] if begins else None


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, verdict: int) -> bool:
    """Who signed a certificate does not matter, its fingerprint does (RFC 5763 section 5)."""
    if depth:
        return True
    other: _Other = connection.get_app_data()
    return other.accepts(_fingerprints(certificate))


def _fingerprints(certificate: crypto.X509) -> Shown:
    return [
        Fingerprint(hash=name, value=certificate.digest(name.replace("-", "")).decode()) for name in _STRONGEST_FIRST
    ]


def _datagrams(connection: SSL.Connection) -> list[bytes]:
    """What OpenSSL wrote, cut between records: its memory forgets where datagrams end."""
    try:
        octets = connection.bio_read(1 << 16)
    except SSL.WantReadError:
        return []
    packed, start = [b""], 0
    while start < len(octets):
        end = start + _RECORD + int.from_bytes(octets[start + _RECORD - 2 : start + _RECORD])
        if packed[-1] and len(packed[-1]) + end - start > MTU:
            packed.append(b"")
        packed[-1] += octets[start:end]
        start = end
    return packed


def _reason(error: SSL.Error) -> str:
    """What OpenSSL says, in its words."""
    if isinstance(error, SSL.ZeroReturnError):
        return "the peer closed it"
    details = error.args[0] if error.args else ()
    return details[0][2] if isinstance(details, list) and details else type(error).__name__

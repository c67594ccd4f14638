"""The mixer's certificate, which peers know by its fingerprint (RFC 8122): its own making, or an operator's files.

Knows: how to make and read one. Must never know: DTLS, or who asks.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mixer.port import HashName

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LENGTHS: Final[dict[HashName, int]] = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Octets of a fingerprint by the name of its hash function (RFC 8122 section 5)."""

# Nobody checks the dates of a certificate that is known by its fingerprint; fixed ones need no clock.
_SINCE: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_UNTIL: Final = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)


class CertificateError(OSError):
    """The configured certificate or its key can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def fingerprint(self) -> str:
        """As it stands in SDP behind `a=fingerprint:`."""
        return f"sha-256 {self.certificate.fingerprint(hashes.SHA256()).hex(':').upper()}"

    def __repr__(self) -> str:
        return f"<identity {self.fingerprint}>"


def self_signed() -> Identity:
    """A fresh certificate with an EC key on P-256, which every DTLS-SRTP peer knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mrfp")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .sign(key, hashes.SHA256())
    )
    return Identity(certificate, key)


def load(certificate: Path, key: Path) -> Identity:
    """Read a certificate and its key from PEM files.

    Raises:
        CertificateError: one of them can't be read, or they do not belong together.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateError(f"`dtls_certificate` and `dtls_key` must be readable PEM files: {error}") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(f"{key} holds no EC or RSA key; DTLS-SRTP peers know no other")
    if private.public_key() != found.public_key():
        raise CertificateError(f"{key} is not the key of {certificate}")
    return Identity(found, private)

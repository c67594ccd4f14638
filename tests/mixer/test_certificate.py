"""The mixer's certificate: made afresh, or an operator's."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mixer.certificate import CertificateError, load, self_signed
from tests.mixer.dtlsphone import pair

PEM = serialization.Encoding.PEM


def files(folder: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> tuple[Path, Path]:
    """The certificate of `operator`, and this key."""
    where = folder / "cert.pem", folder / "key.pem"
    where[0].write_bytes(pair("operator")[1].public_bytes(PEM))
    form = serialization.PrivateFormat.PKCS8
    where[1].write_bytes(key.private_bytes(PEM, form, serialization.NoEncryption()))
    return where


def test_no_two_are_alike() -> None:
    assert self_signed().fingerprint != self_signed().fingerprint


def test_the_fingerprint_is_written_as_in_sdp() -> None:
    word, value = self_signed().fingerprint.split(" ")
    assert word == "sha-256"
    assert len(bytes.fromhex(value.replace(":", ""))) == 32
    assert value == value.upper()


def test_it_is_read_from_files(tmp_path: Path) -> None:
    identity = load(*files(tmp_path, pair("operator")[0]))
    assert identity.certificate == pair("operator")[1]
    assert "PRIVATE" not in repr(identity)


def test_the_key_of_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="is not the key of"):
        load(*files(tmp_path, pair("another")[0]))


def test_a_kind_of_key_that_no_phone_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="no EC or RSA key"):
        load(*files(tmp_path, ed25519.Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_no_pem_is_refused(tmp_path: Path, which: int) -> None:
    where = files(tmp_path, pair("operator")[0])
    where[which].write_text("nothing")
    with pytest.raises(CertificateError, match="readable PEM"):
        load(*where)
    with pytest.raises(CertificateError, match="readable PEM"):
        load(where[0], Path())

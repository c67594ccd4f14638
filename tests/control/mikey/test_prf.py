"""Key derivation and the cipher against tests/control/mikey/naive.py: the RFCs have no vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.mikey import prf
from control.mikey.cipher import KeyStream, check_mac, mac
from control.mikey.errors import Forged
from control.mikey.numbers import MacAlg
from mixer.secret import Secret
from mixer.suites import SUITES, SuiteName
from tests.control.mikey import naive

keys = st.binary(min_size=1, max_size=130)


@given(keys, st.binary(max_size=60), st.integers(1, 100))
def test_prf(key: bytes, label: bytes, length: int) -> None:
    assert prf.prf_sha_1(key, label, length) == naive.prf("sha1", key, label, 8 * length)
    assert prf.prf_sha_256(key, label, length) == naive.prf("sha256", key, label, 8 * length)


def test_prf_is_as_it_was() -> None:
    """Values of this implementation and of the naive one when both were written: a guard, not a standard."""
    key, label = bytes(range(40)), b"label"
    assert prf.prf_sha_1(key, label, 24).hex() == PRF_SHA_1
    assert prf.prf_sha_256(key, label, 40).hex() == PRF_SHA_256


PRF_SHA_1 = "9200435044753241777b5f16405800e0e40a0e9bf18c28a8"
PRF_SHA_256 = "0b95259e668ddaf19ce9ebbd7f81f9d8cab3694bafb7321a5ac247e78747b13af387495e6dbc2a25"


TGK, RAND = bytes(range(32)), bytes(range(200, 216))


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_srtp_key(suite: SuiteName) -> None:
    """RFC 3830 section 4.1.3: label = constant || cs_id || csb_id || RAND."""
    lengths = SUITES[suite]
    rest = b"\x03" + bytes.fromhex("c0ffee01") + RAND
    wanted = naive.prf("sha1", TGK, bytes.fromhex("2AD01C64") + rest, 8 * lengths.key)
    wanted += naive.prf("sha1", TGK, bytes.fromhex("39A2C14B") + rest, 8 * lengths.salt)
    found = prf.srtp_key(Secret(TGK), csb_id=0xC0FFEE01, cs_id=3, rand=RAND, suite=suite)
    assert found.reveal() == wanted
    assert len(found) == lengths.secret


def test_message_keys() -> None:
    """RFC 3830 section 4.1.4: label = constant || 0xFF || csb_id || RAND."""
    rest = b"\xff" + bytes.fromhex("c0ffee01") + RAND
    found = prf.message_keys(Secret(TGK), 0xC0FFEE01, RAND)
    assert found.encryption.reveal() == naive.prf("sha1", TGK, bytes.fromhex("150533E1") + rest, 128)
    assert found.authentication.reveal() == naive.prf("sha1", TGK, bytes.fromhex("2D22AC75") + rest, 160)
    assert found.salt.reveal() == naive.prf("sha1", TGK, bytes.fromhex("29B88916") + rest, 112)


@pytest.mark.parametrize(("answer", "octet"), [(False, b"\x01"), (True, b"\x02")])
def test_exchange_keys(answer: bool, octet: bytes) -> None:
    """RFC 6043 section 5.1.2."""
    rest = b"\xff" + bytes.fromhex("c0ffee01") + octet + b"\x10" + RAND + b"\x00"
    found = prf.exchange_keys(Secret(TGK), csb_id=0xC0FFEE01, answer=answer, rand_i=RAND)
    assert found.encryption.reveal() == naive.prf("sha256", TGK, bytes.fromhex("150533E1") + rest, 256)
    assert found.authentication.reveal() == naive.prf("sha256", TGK, bytes.fromhex("2D22AC75") + rest, 256)
    assert found.salt.reveal() == naive.prf("sha256", TGK, bytes.fromhex("29B88916") + rest, 112)
    other = prf.exchange_keys(Secret(TGK), csb_id=0xC0FFEE01, answer=answer, rand_r=RAND)
    rest = b"\xff" + bytes.fromhex("c0ffee01") + octet + b"\x00\x10" + RAND
    assert other.salt.reveal() == naive.prf("sha256", TGK, bytes.fromhex("29B88916") + rest, 112)


def test_group_srtp_key() -> None:
    """RFC 6043 section 5.1.3."""
    rest = b"\x02\xff\xff\xff\xff\x03\x10" + RAND + b"\x04rrrr"
    wanted = naive.prf("sha256", TGK, bytes.fromhex("2AD01C64") + rest, 128)
    wanted += naive.prf("sha256", TGK, bytes.fromhex("39A2C14B") + rest, 96)
    found = prf.group_srtp_key(Secret(TGK), cs_id=2, rand_i=RAND, rand_r=b"rrrr", suite="AEAD_AES_128_GCM")
    assert found.reveal() == wanted


def test_ticket_keys() -> None:
    """RFC 6043 appendices A.2.1 and A.2.2."""
    rest = b"\xff\xff\xff\xff\xff\x05\x10" + RAND
    found = prf.ticket_keys(Secret(TGK), RAND)
    assert found.encryption.reveal() == naive.prf("sha256", TGK, bytes.fromhex("150533E1") + rest, 256)
    assert found.authentication.reveal() == naive.prf("sha256", TGK, bytes.fromhex("2D22AC75") + rest, 256)
    assert found.salt.reveal() == naive.prf("sha256", TGK, bytes.fromhex("29B88916") + rest, 112)
    rest = b"\xff\xff\xff\xff\xff\x06\x10" + RAND
    mpk_i, mpk_r = prf.mpk_pair(Secret(TGK), RAND)
    assert mpk_i.reveal() == naive.prf("sha256", TGK, bytes.fromhex("220E99A2") + rest, 256)
    assert mpk_r.reveal() == naive.prf("sha256", TGK, bytes.fromhex("1F4D675B") + rest, 256)


def test_forked_keys() -> None:
    """RFC 6043 sections 5.1.1 and 6.10. A forked key is as long as what it is forked from."""
    label = bytes.fromhex("2B288856") + b"\xff\xff\xff\xff\xff\x00\x00\x02me\x10" + RAND
    assert prf.forked_mpk(Secret(TGK), b"me", RAND).reveal() == naive.prf("sha256", TGK, label, 256)
    assert len(prf.forked_mpk(Secret(TGK[:16]), b"me", RAND)) == 16
    label = bytes.fromhex("2D22AC75") + b"\xff\xff\xff\xff\xff\x04"
    assert prf.initiator_data_key(Secret(TGK)).reveal() == naive.prf("sha256", TGK, label, 256)


@given(
    st.sampled_from((16, 32)).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.binary(min_size=14, max_size=14),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFFFFFFFFFF),
    st.binary(max_size=100),
)
def test_key_stream(key: bytes, salt: bytes, csb_id: int, timestamp: int, octets: bytes) -> None:
    stream = KeyStream(Secret(key), Secret(salt))
    sealed = stream.apply(octets, csb_id=csb_id, timestamp=timestamp)
    assert sealed == naive.aes_cm(key, salt, csb_id, timestamp, octets)
    assert stream.apply(sealed, csb_id=csb_id, timestamp=timestamp) == octets


def test_mac() -> None:
    key = Secret(b"k" * 20)
    assert mac(MacAlg.HMAC_SHA_1_160, key, b"m") == naive.hmac("sha1", b"k" * 20, b"m")
    assert mac(MacAlg.HMAC_SHA_256_256, key, b"m") == naive.hmac("sha256", b"k" * 20, b"m")
    check_mac(MacAlg.HMAC_SHA_1_160, key, b"m", naive.hmac("sha1", b"k" * 20, b"m"))
    with pytest.raises(Forged):
        check_mac(MacAlg.HMAC_SHA_1_160, key, b"m", bytes(20))


def test_no_mac_vouches_for_nothing() -> None:
    assert mac(MacAlg.NULL, Secret(b"k"), b"m") == b""
    with pytest.raises(Forged):
        check_mac(MacAlg.NULL, Secret(b"k"), b"m", b"")


def test_keys_never_show() -> None:
    text = repr(prf.message_keys(Secret(TGK), 1, RAND))
    assert text == "MessageKeys(encryption=<secret>, authentication=<secret>, salt=<secret>)"

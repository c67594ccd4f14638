"""Suites as security policies and back."""

from __future__ import annotations

import pytest
from hypothesis import given

from control.mikey.errors import Malformed, MikeyError, Refused
from control.mikey.policy import Param, SecurityPolicy, policy_of, suite_of
from mixer.suites import SUITES, SuiteName
from tests.control.mikey import samples


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_there_and_back(suite: SuiteName) -> None:
    policy = policy_of(suite, 5)
    assert policy.number == 5
    assert suite_of(policy) == suite


def test_aes_cm_by_the_octet() -> None:
    """The parameters of RFC 3830 section 6.10.1, checked against its tables by hand."""
    assert policy_of("AES_CM_128_HMAC_SHA1_32", 1).body() == bytes.fromhex(
        "01 00 001e  000101 010110 020101 030114 04010e 050100 070101 080101 0a0101 0b0104"
    )


def test_gcm_by_the_octet() -> None:
    """RFC 7714 sections 14.3 and 15: AES-GCM is 6, the AEAD tag has the type 20."""
    assert policy_of("AEAD_AES_256_GCM", 0).body() == bytes.fromhex(
        "00 00 0018  000106 010120 020100 04010c 050100 070101 080101 140110"
    )


def of(**params: int) -> SecurityPolicy:
    return SecurityPolicy(0, tuple((Param[name], bytes((value,))) for name, value in params.items()))


@pytest.mark.parametrize(
    ("policy", "suite"),
    [
        (of(), "AES_CM_128_HMAC_SHA1_80"),
        (of(TAG=4), "AES_CM_128_HMAC_SHA1_32"),
        (of(ENCRYPTION_KEY=32), "AES_256_CM_HMAC_SHA1_80"),
        (of(ENCRYPTION=6, ENCRYPTION_KEY=16, AEAD_TAG=16), "AEAD_AES_128_GCM"),
        (of(ENCRYPTION=6, ENCRYPTION_KEY=32, AUTHENTICATION=1, TAG=10), "AEAD_AES_256_GCM"),
        (of(KEY_DERIVATION_RATE=0, PREFIX=0), "AES_CM_128_HMAC_SHA1_80"),
    ],
)
def test_what_is_left_out_has_the_default_of_srtp(policy: SecurityPolicy, suite: SuiteName) -> None:
    assert suite_of(policy) == suite


@pytest.mark.parametrize(
    "policy",
    [
        of(ENCRYPTION=0),
        of(ENCRYPTION=2),
        of(ENCRYPTION_KEY=24),
        of(AUTHENTICATION=0),
        of(AUTHENTICATION=2),
        of(SALT=12),
        of(PRF=1),
        of(KEY_DERIVATION_RATE=1),
        of(SRTP_ENCRYPTED=0),
        of(SRTCP_ENCRYPTED=0),
        of(SRTP_AUTHENTICATED=0),
        of(TAG=0),
        of(PREFIX=2),
        of(AEAD_TAG=16),
        of(ENCRYPTION=6, AEAD_TAG=8),
        of(ENCRYPTION=6, SRTP_ENCRYPTED=0),
        SecurityPolicy(0, ((13, b"\1"),)),
        SecurityPolicy(0, (), 1),
    ],
)
def test_weaker_or_unknown_is_refused(policy: SecurityPolicy) -> None:
    with pytest.raises(Refused):
        suite_of(policy)


def test_doubtful_is_malformed() -> None:
    with pytest.raises(Malformed):
        suite_of(SecurityPolicy(0, ((11, b"\4"), (11, b"\x0a"))))
    with pytest.raises(Malformed):
        suite_of(SecurityPolicy(0, ((11, b""),)))


@given(samples.policies)
def test_fuzz(policy: SecurityPolicy) -> None:
    try:
        suite = suite_of(policy)
    except MikeyError:
        return
    assert suite in SUITES

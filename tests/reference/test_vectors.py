"""The reference against numbers that the RFCs and libsrtp publish.

Every number here was recomputed, not only copied: a vector that the reference did not meet would fail.
"""

from __future__ import annotations

import pytest

from tests.reference.srtp import (
    RTP_AUTHENTICATION,
    RTP_ENCRYPTION,
    RTP_SALTING,
    SUITES,
    Context,
    Refused,
    Transform,
    counter_iv,
    derive,
    gcm_iv,
    keystream,
)

B3_KEY = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
B3_SALT = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
RFC6188_KEY = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
RFC6188_SALT = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        pytest.param(
            "2B7E151628AED2A6ABF7158809CF4F3C",
            "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0",
            "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44",
            id="RFC 3711 B.2",
        ),
        pytest.param(
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31",
            "cea518c90fd91ced9cbb18c078a547113dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f",
            id="RFC 6188 7.1",
        ),
    ],
)
def test_counter_mode_keystream(key: str, first: str, last: str) -> None:
    """Blocks 0 to 2 and 0xFEFF to 0xFF01 of the key stream, SSRC and index zero."""
    iv = counter_iv(bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), 0, 0)
    stream = keystream(bytes.fromhex(key), iv, 0xFF02 * 16)
    assert stream[:48] == bytes.fromhex(first)
    assert stream[-48:] == bytes.fromhex(last)


@pytest.mark.parametrize(
    ("label", "octets"),
    [
        (RTP_ENCRYPTION, "C61E7A93744F39EE10734AFE3FF7A087"),
        (RTP_SALTING, "30CBBC08863D8C85D49DB34A9AE1"),
        (
            RTP_AUTHENTICATION,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"
            "E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25"
            "6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        ),
    ],
)
def test_rfc3711_b3_key_derivation(label: int, octets: str) -> None:
    expected = bytes.fromhex(octets)
    assert derive(B3_KEY, B3_SALT, label, len(expected)) == expected


@pytest.mark.parametrize(
    ("label", "octets"),
    [
        (RTP_ENCRYPTION, "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"),
        (RTP_SALTING, "fa31791685ca444a9e07c6c64e93"),
        (RTP_AUTHENTICATION, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"),
    ],
)
def test_rfc6188_7_2_key_derivation(label: int, octets: str) -> None:
    expected = bytes.fromhex(octets)
    assert derive(RFC6188_KEY, RFC6188_SALT, label, len(expected)) == expected


RTP = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
RTCP = bytes.fromhex("81c8000bcafebabe") + b"\xab" * 16
GCM_SECRET = bytes(range(16)) + bytes(range(0xA0, 0xAC))


@pytest.mark.parametrize(
    ("suite", "secret", "payload"),
    [
        pytest.param(
            "AES_CM_128_HMAC_SHA1_80",
            B3_KEY + B3_SALT,
            "4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
            id="CM-128",
        ),
        pytest.param(
            "AES_256_CM_HMAC_SHA1_80",
            RFC6188_KEY + RFC6188_SALT,
            "f1d9de17ff251ff1aa007774b0b4b40da08d9d9a5b3a55d8873b",
            id="CM-256",
        ),
        pytest.param(
            "AEAD_AES_128_GCM",
            GCM_SECRET,
            "c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
            id="GCM-128",
        ),
    ],
)
def test_whole_packets_of_libsrtp(suite: str, secret: bytes, payload: str) -> None:
    """The packets by which libsrtp validates itself; no RFC has one with key derivation."""
    expected = RTP[:12] + bytes.fromhex(payload)
    assert Context(suite, secret).protect(RTP) == expected
    assert Context(suite, secret).unprotect(expected) == RTP


def test_whole_rtcp_packet_of_libsrtp() -> None:
    suite, secret = "AES_CM_128_HMAC_SHA1_80", B3_KEY + B3_SALT
    expected = RTCP[:8] + bytes.fromhex("7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798")
    assert Context(suite, secret).protect_rtcp(RTCP) == expected
    assert Context(suite, secret).unprotect_rtcp(expected) == RTCP


# RFC 7714 sections 16 and 17 give session keys, so they judge the transform below the derivation.
QUID = b"Quid pro quo"
GALLIA = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
MARS = bytes.fromhex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61") + bytes.fromhex("deadbeef" * 5)


@pytest.mark.parametrize(
    ("suite", "sealed"),
    [
        pytest.param(
            "AEAD_AES_128_GCM",
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
            "899d7f27beb16a9152cf765ee4390cce",
            id="16.1",
        ),
        pytest.param(
            "AEAD_AES_256_GCM",
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
            "7aa3db36dfffd6b0f9bb7878d7a76c13",
            id="16.2",
        ),
    ],
)
def test_rfc7714_16_srtp(suite: str, sealed: str) -> None:
    kind, ssrc, index = SUITES[suite], 0x5501A0B2, 0xF17B
    assert gcm_iv(QUID, ssrc, index).hex() == "51753c6580c2726f20718414"
    transform = Transform(kind, bytes(range(kind.key)), b"", QUID, 16)
    ciphertext, tag = transform.seal(GALLIA[:12], GALLIA[12:], ssrc, index, b"")
    assert (ciphertext + tag).hex() == sealed
    assert transform.open(GALLIA[:12], ciphertext, tag, ssrc, index, b"") == GALLIA[12:]
    with pytest.raises(Refused):
        transform.open(GALLIA[:12], ciphertext, tag, ssrc, index + 1, b"")


@pytest.mark.parametrize(
    ("suite", "sealed"),
    [
        pytest.param(
            "AEAD_AES_128_GCM",
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded"
            "0bb9275bc84aa45896cf4d2fc5abf87245d9eade",
            id="17.1",
        ),
        pytest.param(
            "AEAD_AES_256_GCM",
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de047"
            "6f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be",
            id="17.2",
        ),
    ],
)
def test_rfc7714_17_srtcp(suite: str, sealed: str) -> None:
    kind, ssrc, index = SUITES[suite], 0x4D617273, 0x5D4
    assert gcm_iv(QUID, ssrc, index).hex() == "517524055203726f207170bb"
    context = Context(suite, bytes(range(kind.key)) + QUID)
    context.rtcp = Transform(kind, bytes(range(kind.key)), b"", QUID, 16)
    packet = context.protect_rtcp(MARS, index=index)
    assert packet.hex() == MARS[:8].hex() + sealed + "800005d4"
    assert context.unprotect_rtcp(packet) == MARS

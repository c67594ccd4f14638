"""Keys and certificates: what is chosen of an offer, and what will not do."""

from __future__ import annotations

import pytest

from control.sdp.answer import write_answer
from control.sdp.model import parse
from control.sdp.terms import Terms
from tests.control.sdp import bodies
from tests.control.sdp.bodies import CM_80, crypto, key, local, material, offer, sdp
from tests.control.sdp.judging import judged, warning


def test_our_order_of_suites_counts() -> None:
    session = offer(crypto(2, "AEAD_AES_128_GCM", 2))
    agreed = judged(session)
    assert agreed.crypto is not None
    assert agreed.crypto.tag == 2
    answer = parse(write_answer(session, agreed, local(key(28))))
    assert answer.media[0].attributes("crypto") == [crypto(2, "AEAD_AES_128_GCM", 100).removeprefix("a=crypto:")]


@pytest.mark.parametrize(("wanted", "tag"), [(False, 1), (True, 2)])
def test_mki_as_wanted(wanted: bool, tag: int) -> None:
    agreed = judged(offer(crypto(2, seed=2, rest="|2^31|7:2")), Terms(mki_wanted=wanted))
    assert agreed.crypto is not None
    assert (agreed.crypto.tag, agreed.mki) == (tag, wanted)


def test_keys_with_mki_go_both_ways() -> None:
    session = parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(rest=f"|1:1;inline:{material(seed=2)}|2:1")))
    agreed = judged(session)
    assert agreed.mki
    answer = parse(write_answer(session, agreed, local(key(seed=5, mki=b"\7"), key(seed=6, mki=b"\x08"))))
    assert (
        answer.media[0].attribute("crypto") == f"1 {CM_80} inline:{material(seed=5)}|7:1;inline:{material(seed=6)}|8:1"
    )


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("a=crypto:1 AES_192_CM_HMAC_SHA1_80 inline:" + material(38),),
        (f"a=crypto:1 {CM_80} inline:{material(16)}",),
        (crypto(1), crypto(1, seed=2)),
        (crypto(rest="|1:8"),),
        (crypto(rest=" UNENCRYPTED_SRTP"),),
        ("a=key-mgmt:mikey AQAFgM0XflABAAAAAAAAAAAAAAsAyONQ6gAAAAAGEEoo2pee4hp2",),
        (f"a=fingerprint:md5 {':'.join(['00'] * 16)}",),
        (f"a=fingerprint:sha-1 {':'.join(['00'] * 20)}",),
        (f"a=fingerprint:sha-256 {':'.join(['00'] * 20)}",),
    ],
)
def test_no_protection_that_will_do(lines: tuple[str, ...]) -> None:
    assert warning(parse(sdp("m=audio 4000 RTP/SAVP 0", *lines))) == 305


def test_a_suite_that_the_terms_leave_out_is_not_taken() -> None:
    assert warning(offer(), Terms(suites=("AEAD_AES_256_GCM",))) == 305


@pytest.mark.parametrize("profile", ["RTP/SAVP", "RTP/SAVPF"])
def test_sdes_or_dtls_by_preference_where_both_are_offered(profile: str) -> None:
    session = offer("a=setup:actpass", f"a=fingerprint:sha-256 {bodies.PRINT}", profile=profile)
    assert judged(session, Terms(security=("sdes", "dtls"))).security == "sdes"
    assert judged(session, Terms(security=("dtls", "sdes"))).security == "dtls"
    assert judged(session, Terms(security=("sdes",))).profile == profile


def test_dtls_profiles_take_no_key_from_sdes() -> None:
    assert warning(offer(profile="UDP/TLS/RTP/SAVP")) == 305


@pytest.mark.parametrize(
    ("setup", "role"),
    [("actpass", "active"), ("active", "passive"), ("passive", "active"), (None, "passive")],
)
def test_who_connects(setup: str | None, role: str) -> None:
    attributes = [f"a=setup:{setup}"] if setup else []
    session = offer(*attributes, f"a=fingerprint:sha-512 {':'.join(['0a'] * 64)}", profile="UDP/TLS/RTP/SAVP")
    agreed = judged(session)
    assert agreed.setup == role
    assert agreed.fingerprints == (("sha-512", ":".join(["0A"] * 64)),)
    answer = parse(write_answer(session, agreed, local(fingerprint=True))).media[0]
    assert (answer.attribute("setup"), answer.attribute("crypto")) == (role, None)


@pytest.mark.parametrize("setup", ["holdconn", "yes"])
def test_a_role_that_is_none(setup: str) -> None:
    session = offer(f"a=setup:{setup}", f"a=fingerprint:sha-256 {bodies.PRINT}", profile="UDP/TLS/RTP/SAVP")
    assert warning(session) == 307


def test_all_fingerprints_that_are_good_enough_are_kept() -> None:
    prints = (f"a=fingerprint:SHA-256 {bodies.PRINT.lower()}", f"a=fingerprint:sha-1 {':'.join(['00'] * 20)}")
    agreed = judged(offer(*prints, f"a=fingerprint:sha-384 {':'.join(['FF'] * 48)}", profile="UDP/TLS/RTP/SAVP"))
    assert [name for name, _ in agreed.fingerprints] == ["sha-256", "sha-384"]


def test_clear_only_if_allowed_and_only_if_nothing_better_is_offered() -> None:
    both = parse(sdp("m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/SAVP 0", crypto()))
    bare = parse(sdp("m=audio 4000 RTP/AVP 0"))
    assert warning(bare) == 305
    assert warning(bare, Terms(profiles=("RTP/AVP",))) == 305
    assert warning(bare, Terms(opportunistic=False)) == 302
    assert judged(bare, Terms(allow_clear=True)).security == "clear"
    assert judged(both, Terms(allow_clear=True)).index == 1


@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/AVPF"])
def test_optional_srtp_is_taken_up(profile: str) -> None:
    """RFC 8643: protected under the profile of what is not."""
    session = offer(profile=profile)
    agreed = judged(session)
    assert (agreed.security, agreed.profile) == ("sdes", profile)
    (answered,) = parse(write_answer(session, agreed, local())).media
    assert (answered.profile, answered.attributes("crypto")) == (profile, [crypto(seed=100).removeprefix("a=crypto:")])
    assert judged(session, Terms(allow_clear=True)).security == "sdes"
    assert warning(session, Terms(opportunistic=False)) == 302


@pytest.mark.parametrize("profile", ["RTP/AVPX", "TCP/RTP/SAVP", "UDP/TLS/UDPTL", "rtp/savp"])
def test_a_profile_that_nobody_knows(profile: str) -> None:
    assert warning(offer(profile=profile), Terms(allow_clear=True)) == 302

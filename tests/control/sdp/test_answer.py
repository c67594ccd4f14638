"""Judging an offer: what is chosen, and what is refused with which warning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.sdp.answer import Agreed, Unacceptable, agree, write_answer
from control.sdp.crypto import CryptoError
from control.sdp.extensions import MAX_SSRCS
from control.sdp.model import Session, parse
from control.sdp.terms import PCMA, PCMU, Terms
from mixer.port import Direction
from tests.control.sdp import bodies
from tests.control.sdp.bodies import CM_80, crypto, key, local, material, offer, sdp

TERMS = Terms()


def judged(session: Session, terms: Terms = TERMS) -> Agreed:
    return agree(session, terms)


def warning(session: Session, terms: Terms = TERMS, before: Agreed | None = None) -> int:
    with pytest.raises(Unacceptable) as refused:
        agree(session, terms, before=before)
    assert refused.value.text
    return refused.value.warning


# ---------------------------------------------------------------------------------------------
# Codecs


@pytest.mark.parametrize(
    ("formats", "maps", "codec", "rate", "payload_type"),
    [
        ("0 8", (), "PCMU", 8000, 0),
        ("8", (), "PCMA", 8000, 8),
        ("8 0", (), "PCMU", 8000, 0),
        ("97", ("97 pcma/8000",), "PCMA", 8000, 97),
        ("97 0", ("97 PCMU/8000/1",), "PCMU", 8000, 97),
        ("97", ("97 l16/48000",), "L16", 48000, 97),
        ("97 98", ("97 L16/8000", "98 L16/16000"), "L16", 16000, 98),
        ("0 8", ("0 PCMA/8000",), "PCMA", 8000, 8),
        ("66 97", ("66 PCMU/8000", "97 PCMU/8000"), "PCMU", 8000, 97),
    ],
)
def test_the_codec(formats: str, maps: tuple[str, ...], codec: str, rate: int, payload_type: int) -> None:
    agreed = judged(offer(*(f"a=rtpmap:{each}" for each in maps), formats=formats))
    assert (agreed.codec, agreed.rate, agreed.payload_type) == (codec, rate, payload_type)


@pytest.mark.parametrize(
    ("formats", "maps"),
    [
        ("18", ()),
        ("128", ("128 PCMU/8000",)),
        ("97", ()),
        ("97", ("97 PCMU/16000",)),
        ("97", ("97 L16/44100",)),
        ("97", ("97 L16/48000/2",)),
        ("97", ("97 PCMU",)),
        ("0", ("0 PCMA/8000",)),
        ("*", ()),
    ],
)
def test_no_codec_of_ours(formats: str, maps: tuple[str, ...]) -> None:
    assert warning(offer(*(f"a=rtpmap:{each}" for each in maps), formats=formats)) == 305


def test_our_order_of_codecs_counts() -> None:
    assert judged(offer(formats="0 8"), Terms(codecs=(PCMA, PCMU))).codec == "PCMA"


@pytest.mark.parametrize(
    ("attributes", "ptime"),
    [
        ((), 20),
        (("a=ptime:10",), 10),
        (("a=ptime:30",), 30),
        (("a=ptime:60",), 60),
        (("a=ptime:240",), 60),
        (("a=ptime:50",), 40),
        (("a=ptime:2.5",), 10),
        (("a=ptime:30", "a=maxptime:20"), 20),
        (("a=maxptime:10",), 10),
        (("a=maxptime:5",), 10),
        (("a=ptime:x",), 20),
    ],
)
def test_the_packet_time_is_what_the_peer_asks_for_if_it_can_be(attributes: tuple[str, ...], ptime: int) -> None:
    assert judged(offer(*attributes)).ptime == ptime


def test_wide_audio_is_cut_to_the_mtu() -> None:
    assert judged(offer("a=rtpmap:97 L16/48000", "a=ptime:20", formats="97")).ptime == 10


def test_telephone_event_has_the_clock_of_the_audio() -> None:
    events = ("a=rtpmap:100 telephone-event/16000", "a=rtpmap:101 TELEPHONE-EVENT/8000")
    assert judged(offer(*events, formats="0 100 101")).telephone_event == 101
    assert judged(offer(*events, formats="0 100")).telephone_event is None
    assert judged(offer(*events, formats="0 100 101"), Terms(dtmf=False)).telephone_event is None


# ---------------------------------------------------------------------------------------------
# Addresses and directions


@pytest.mark.parametrize(
    ("connection", "remote"),
    [
        ("IN IP4 192.0.2.1", "192.0.2.1:4000"),
        ("IN IP4 127.0.0.1", "127.0.0.1:4000"),
        ("IN IP6 2001:DB8::1", "[2001:db8::1]:4000"),
        ("IN IP6 ::1", "[::1]:4000"),
        ("IN IP6 ::ffff:192.0.2.1", "192.0.2.1:4000"),
        ("IN IP4 0.0.0.0", None),
        ("IN IP6 ::", None),
    ],
)
def test_the_address(connection: str, remote: str | None) -> None:
    session = parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(), connection=connection))
    assert judged(session).remote == remote


@pytest.mark.parametrize(
    ("connection", "code"),
    [
        ("IN IP4 phone.example.net", 301),
        ("IN IP4 localhost", 301),
        ("IN IP4 255.255.255.255", 301),
        ("IN IP4 0.0.0.1", 301),
        ("IN IP4 240.0.0.1", 301),
        ("IN IP4 192.0.2.1/127", 301),
        ("IN IP4 224.2.1.1", 330),
        ("IN IP6 ff15::101", 330),
        ("IN IP4 2001:db8::1", 301),
        ("IN IP6 192.0.2.1", 301),
        ("IN IP6 fe80::1%eth0", 301),
        ("IN IP7 192.0.2.1", 301),
        ("ATM NSAP 192.0.2.1", 300),
    ],
)
def test_an_address_that_cannot_be_used(connection: str, code: int) -> None:
    assert warning(parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(), connection=connection))) == code


def test_no_address_at_all() -> None:
    body = bodies.BARESIP.replace(b"c=IN IP4 127.0.0.1\r\n", b"")
    assert warning(parse(body)) == 301


def test_the_m_line_has_the_last_word_on_its_address() -> None:
    assert judged(offer("c=IN IP4 198.51.100.7")).remote == "198.51.100.7:4000"


@pytest.mark.parametrize(("port", "code"), [(0, 304), (65535, 302)])
def test_a_port_that_cannot_be_used(port: int, code: int) -> None:
    assert warning(offer(port=port)) == code


@pytest.mark.parametrize(
    ("attributes", "direction", "answer"),
    [
        ((), "sendrecv", "sendrecv"),
        (("a=sendrecv",), "sendrecv", "sendrecv"),
        (("a=sendonly",), "sendonly", "recvonly"),
        (("a=recvonly",), "recvonly", "sendonly"),
        (("a=inactive",), "inactive", "inactive"),
        (("c=IN IP4 0.0.0.0",), "sendonly", "recvonly"),
        (("c=IN IP4 0.0.0.0", "a=recvonly"), "inactive", "inactive"),
        (("a=sendrecv", "a=inactive"), "inactive", "inactive"),
    ],
)
def test_the_direction_and_what_is_answered(attributes: tuple[str, ...], direction: str, answer: str) -> None:
    session = offer(*attributes)
    agreed = judged(session)
    assert agreed.direction == direction
    assert parse(write_answer(session, agreed, local())).media[0].attribute(answer) == ""


@pytest.mark.parametrize(("ours", "answer"), [("sendonly", "sendonly"), ("recvonly", "inactive")])
def test_we_may_be_ready_for_less_than_is_offered(ours: Direction, answer: str) -> None:
    session = offer("a=recvonly")
    body = write_answer(session, judged(session), replace(local(), direction=ours))
    assert parse(body).media[0].attribute(answer) == ""


def test_a_session_has_a_direction_for_all() -> None:
    session = parse(sdp("a=sendonly", "m=audio 4000 RTP/SAVP 0", crypto(), "m=audio 4002 RTP/SAVP 0", "a=recvonly"))
    assert judged(session).direction == "sendonly"


@pytest.mark.parametrize(
    ("attributes", "mux", "port"),
    [
        ((), False, None),
        (("a=rtcp-mux",), True, None),
        (("a=rtcp:4001",), False, None),
        (("a=rtcp:53020 IN IP4 126.16.64.4",), False, 53020),
        (("a=rtcp:53020", "a=rtcp-mux"), True, None),
        (("a=rtcp:0",), False, None),
        (("a=rtcp:99999",), False, None),
    ],
)
def test_where_rtcp_goes(attributes: tuple[str, ...], mux: bool, port: int | None) -> None:
    agreed = judged(offer(*attributes))
    assert (agreed.rtcp_mux, agreed.rtcp_port) == (mux, port)


# ---------------------------------------------------------------------------------------------
# Protection


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


# ---------------------------------------------------------------------------------------------
# Several m-lines, extensions, and what is ours


def test_all_but_one_m_line_are_refused_in_their_places() -> None:
    session = parse(
        sdp(
            "m=video 5000 RTP/AVP 31 32",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 4000 RTP/SAVP 18",
            "m=audio 4002/2 RTP/SAVP 0",
            crypto(),
            "m=audio 4004 RTP/SAVP 0",
            crypto(seed=2),
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        )
    )
    agreed = judged(session)
    answer = parse(write_answer(session, agreed, local()))
    assert agreed.index == 3
    assert [each.port for each in answer.media] == [0, 0, 0, 30000, 0, 0]
    assert [(each.kind, each.profile) for each in answer.media] == [(each.kind, each.profile) for each in session.media]
    assert answer.media[0].formats == ("31", "32")


@pytest.mark.parametrize("media", [(), ("m=video 5000 RTP/SAVP 31",), ("m=image 5000 udptl t38",)])
def test_no_audio(media: tuple[str, ...]) -> None:
    assert warning(parse(sdp(*media))) == 304


@pytest.mark.parametrize(
    ("maps", "level_in", "level_out"),
    [
        (("1 ssrc", "2 csrc"), 1, 2),
        (("3/sendonly ssrc", "4/recvonly csrc"), 3, 4),
        (("3/recvonly ssrc", "4/sendonly csrc"), None, None),
        (("1/inactive ssrc", "2/inactive csrc"), None, None),
        (("15 ssrc", "0 csrc"), None, None),
        (("1 ssrc", "1 csrc"), None, None),
        (("1 ssrc", "1 other"), None, None),
        (("4096 ssrc",), None, None),
    ],
)
def test_audio_levels(maps: tuple[str, ...], level_in: int | None, level_out: int | None) -> None:
    uris = (each.replace("src", "src-audio-level") for each in maps)
    lines = [f"a=extmap:{each.replace(' ', ' urn:ietf:params:rtp-hdrext:')}" for each in uris]
    agreed = judged(offer(*lines))
    assert (agreed.level_in, agreed.level_out) == (level_in, level_out)
    assert judged(offer(*lines), Terms(levels=False)).level_in is None


def test_audio_levels_are_answered_with_their_ids_and_parameters() -> None:
    uri = "urn:ietf:params:rtp-hdrext:"
    session = offer(
        f"a=extmap:3 {uri}ssrc-audio-level vad=off", f"a=extmap:5 {uri}csrc-audio-level", "a=extmap:7 urn:x"
    )
    answer = parse(write_answer(session, judged(session), local()))
    assert answer.media[0].attributes("extmap") == [
        f"3/recvonly {uri}ssrc-audio-level vad=off",
        f"5/sendonly {uri}csrc-audio-level",
    ]


def test_ssrcs_each_once_and_only_those_that_can_be() -> None:
    lines = ("7 cname:a", "7 msid:b", "4294967295 cname:a", "4294967296 cname:a", "0 cname:a", "x cname:a", "8")
    assert judged(offer(*(f"a=ssrc:{each}" for each in lines))).ssrcs == (7, 4294967295, 8)
    assert len(judged(offer(*(f"a=ssrc:{each}" for each in range(1, 100)))).ssrcs) == MAX_SSRCS


def test_ipv6_and_the_times_of_the_offer() -> None:
    session = parse(bodies.BARESIP.replace(b"t=0 0", b"t=3034423619 3042462419"))
    answer = parse(write_answer(session, judged(session), local(host="2001:db8::9")))
    assert answer.values("t") == ["3034423619 3042462419"]
    assert answer.connection == ("IN", "IP6", "2001:db8::9")


def test_our_key_must_fit_the_suite_and_must_not_be_the_peers() -> None:
    session = offer()
    agreed = judged(session)
    with pytest.raises(CryptoError, match="30 octets"):
        write_answer(session, agreed, local(key(44)))
    with pytest.raises(Unacceptable, match="same key"):
        write_answer(session, agreed, local(key(seed=1)))


def test_dtls_needs_a_certificate() -> None:
    session = parse(bodies.BARESIP_DTLS)
    with pytest.raises(ValueError, match="fingerprint"):
        write_answer(session, judged(session), local())


# ---------------------------------------------------------------------------------------------
# A further offer in the session


def test_what_was_agreed_stays_if_it_is_still_offered() -> None:
    before = judged(offer(formats="8"))
    again = agree(offer(crypto(2, "AEAD_AES_256_GCM", 2), formats="0 8"), TERMS, before=before)
    assert (again.codec, again.crypto) == ("PCMA", before.crypto)


def test_another_codec_if_the_one_in_use_is_gone() -> None:
    before = judged(offer(formats="8"))
    assert agree(offer(formats="0"), TERMS, before=before).codec == "PCMU"


def test_a_new_key_of_the_peer_is_seen() -> None:
    before = judged(offer())
    again = agree(parse(sdp("m=audio 4000 RTP/SAVP 0", crypto(seed=9))), TERMS, before=before)
    assert again.crypto != before.crypto


def test_hold_and_resume() -> None:
    before = judged(offer())
    held = agree(offer("c=IN IP4 0.0.0.0"), TERMS, before=before)
    assert (held.direction, held.remote) == ("sendonly", None)
    assert agree(offer(), TERMS, before=held) == before


@pytest.mark.parametrize(
    ("media", "code"),
    [
        (("m=audio 4000 RTP/AVP 0",), 305),
        (("m=audio 0 RTP/SAVP 0", "m=audio 4000 RTP/SAVP 0", crypto()), 304),
        (("m=video 4000 RTP/SAVP 0", crypto()), 304),
        ((), 304),
        (("m=audio 4000 RTP/SAVP 0", f"a=fingerprint:sha-256 {bodies.PRINT}"), 305),
    ],
)
def test_a_session_stays_where_and_as_secure_as_it_is(media: tuple[str, ...], code: int) -> None:
    assert warning(parse(sdp(*media)), Terms(allow_clear=True), before=judged(offer())) == code


def test_the_roles_of_dtls_stay() -> None:
    fingerprint = f"a=fingerprint:sha-256 {bodies.PRINT}"
    before = judged(offer("a=setup:active", fingerprint, profile="UDP/TLS/RTP/SAVP"))
    again = agree(offer("a=setup:actpass", fingerprint, profile="UDP/TLS/RTP/SAVP"), TERMS, before=before)
    assert (before.setup, again.setup) == ("passive", "passive")

"""Bad input: lies in SDP, floods, forgeries and noise. Each is refused by its right name, and nothing is left of it."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections import Counter
from pathlib import Path

import pytest

from tests.control.focus.house import assert_hears, house, listen, phones, until
from tests.control.focus.raw import AUDIO, CRYPTO, KEY, offer, peer, tag_of

SUITE = "AES_CM_128_HMAC_SHA1_80"
LIES: dict[str, tuple[str, int]] = {
    "port 0": (offer("m=audio 0 RTP/SAVP 0", CRYPTO), 488),
    "port 65535, whose RTCP has none": (offer("m=audio 65535 RTP/SAVP 0", CRYPTO), 488),
    "no port": (offer("m=audio 65536 RTP/SAVP 0", CRYPTO), 400),
    "a port in words": (offer("m=audio high RTP/SAVP 0", CRYPTO), 400),
    "a host name": (offer(address="IN IP4 phone.example.net"), 488),
    "multicast": (offer(address="IN IP4 224.2.1.1/127"), 488),
    "multicast without a TTL": (offer(address="IN IP4 224.2.1.1"), 488),
    "broadcast": (offer(address="IN IP4 255.255.255.255"), 488),
    "an ATM network": (offer(address="ATM NSAP 47.0091"), 488),
    "half an address": (offer(address="IN IP4"), 400),
    "IPv6, where the mixer has none": (offer(address="IN IP6 ::1"), 488),
    "unknown codecs": (offer("m=audio 40000 RTP/SAVP 3 96", "a=rtpmap:96 SPEEX/8000", CRYPTO), 488),
    "a thousand m-lines": (offer(*[AUDIO] * 1000), 400),
    "no m-line": ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", 488),
    "video only": (offer("m=video 40000 RTP/SAVP 0", CRYPTO), 488),
    "a key that is not base64": (offer(AUDIO, f"a=crypto:1 {SUITE} inline:not!base64"), 488),
    "a key that is too short": (offer(AUDIO, f"a=crypto:1 {SUITE} inline:{KEY[:20]}"), 488),
    "a key that is too long": (offer(AUDIO, f"a=crypto:1 {SUITE} inline:{KEY}{KEY}"), 488),
    "a key of zeroes": (offer(AUDIO, f"a=crypto:1 {SUITE} inline:{'A' * 40}"), 488),
    "no encryption": (offer(AUDIO, f"{CRYPTO} UNENCRYPTED_SRTP"), 488),
    "no encryption of RTCP": (offer(AUDIO, f"{CRYPTO} UNENCRYPTED_SRTCP"), 488),
    "no authentication": (offer(AUDIO, f"{CRYPTO} UNAUTHENTICATED_SRTP"), 488),
    "an unknown suite": (offer(AUDIO, f"a=crypto:1 ROT13_HMAC_NONE inline:{KEY}"), 488),
    "SAVP without a key": (offer(AUDIO), 488),
    "clear": (offer("m=audio 40000 RTP/AVP 0"), 488),
    "noise": ("\0\1\2 noise", 400),
    "no version": (offer().partition("\r\n")[2], 400),
}


async def test_lies_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for what, (body, status) in LIES.items():
            async with peer(here) as eve:
                answer = await eve.ask("INVITE", body)
            assert (answer.status, answer.body) == (status, ""), what
            assert ("warning" in answer.headers) is (status == 488), what
            assert KEY not in str(answer), what
            await here.nothing_left()
        assert here.focus.reception.refusals.by_status == Counter(status for _, status in LIES.values())


async def test_the_truth_is_accepted(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


async def test_bodies_that_are_no_offer(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for content in ("text/plain", "multipart/mixed;boundary=x", "application/sdp2", "application"):
            async with peer(here) as eve:
                assert (await eve.ask("INVITE", offer(), {"Content-Type": content})).status == 415, content
        await here.nothing_left()


async def test_a_lie_in_a_running_call_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        ((_, call),) = here.focus.switchboard.calls.values()
        agreed = call.agreed
        for what, (body, status) in LIES.items():
            for method in ("INVITE", "UPDATE"):
                assert (await eve.ask(method, body)).status == status, what
        assert (await eve.ask("INVITE", offer(AUDIO.replace(" 0", " 8"), CRYPTO))).status == 488, "another codec"
        assert call.agreed is agreed
        assert (await eve.ask("BYE")).status == 200
        await here.nothing_left()


async def test_an_answer_that_does_not_fit_our_offer_ends_the_call(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        eve.send(eve.request("INVITE"))
        answer = await eve.final("INVITE")
        assert (answer.status, "a=crypto:1 " in answer.body) == (200, True)
        eve.to_tag = tag_of(answer)
        eve.send(eve.request("ACK", offer("m=audio 40000 RTP/AVP 0")))
        eve.reply(await eve.request_of("BYE"))
        await here.nothing_left()


async def test_a_flood_of_calls_is_held_off_and_others_are_served(tmp_path: Path) -> None:
    told = "[limits]\njoining = 3\nretry_after_s = 9"
    async with house(tmp_path, told) as here, phones(("ann", 0)) as (ann,), peer(here, polite=True) as eve:
        await here.stop("kms")  # whoever enters is not held up by it
        for number in range(50):
            eve.call_id = f"flood-{number}"
            eve.send(eve.request("INVITE", offer()))
        answers = [await eve.final() for _ in range(50)]
        statuses = Counter(answer.status for answer in answers)
        assert statuses[200] >= 3
        assert statuses[503] == 50 - statuses[200] > 0
        assert {answer.headers["retry-after"] for answer in answers if answer.status == 503} == {"9"}
        await ann.dial(here.uri("other"))
        assert ann.in_call
        assert not here.faults
        await here.focus.switchboard.close()


async def test_one_source_may_not_take_all_transactions(tmp_path: Path) -> None:
    told = "[sip]\nmax_pending_per_source = 0\nretry_after_s = 4"
    async with house(tmp_path, told) as here, peer(here) as eve:
        answer = await eve.ask("INVITE", offer())
        assert (answer.status, answer.headers["retry-after"]) == (503, "4")
        await here.nothing_left()


LONGER = f"a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:{base64.b64encode(bytes(range(46))).decode()}"
FINGERPRINTS = tuple(f"a=fingerprint:sha-256 {':'.join([octet] * 32)}" for octet in ("AA", "BB"))
DTLS = ("m=audio 40000 UDP/TLS/RTP/SAVP 0", "a=setup:active")
CHANGED = {
    "a suite with a longer key": (offer(), offer(AUDIO, LONGER)),
    "a suite with a shorter tag": (offer(), offer(AUDIO, CRYPTO.replace("SHA1_80", "SHA1_32"))),
    "another certificate": (offer(*DTLS, FINGERPRINTS[0]), offer(*DTLS, FINGERPRINTS[1])),
}


@pytest.mark.parametrize(("first", "second"), CHANGED.values(), ids=CHANGED.keys())
async def test_a_call_is_protected_to_its_end_as_it_was_at_first(tmp_path: Path, first: str, second: str) -> None:
    """The mixer's leg has one suite, or one certificate that it believes: what else is offered cannot be taken."""
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", first)).status == 200
        assert (await eve.ask("INVITE", second)).status == 488
        assert (await eve.ask("INVITE", first)).status == 200
        assert not here.faults
        await eve.ask("BYE")
        await here.nothing_left()


async def test_forged_requests_end_no_call(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here, user="ann") as ann, peer(here) as eve:
        assert (await ann.ask("INVITE", offer())).status == 200
        eve.call_id = ann.call_id
        tags = [("guess", ann.to_tag), (ann.tag, "guess"), ("guess", "guess")]
        for eve.tag, eve.to_tag in tags:
            for method in ("BYE", "INVITE", "UPDATE", "INFO", "CANCEL", "REFER", "SUBSCRIBE"):
                assert (await eve.ask(method, offer(), {"CSeq": f"9 {method}"})).status == 481, method
        assert list(here.focus.switchboard.calls)
        assert (await ann.ask("INVITE", offer())).status == 200
        assert (await ann.ask("BYE")).status == 200
        await here.nothing_left()


async def test_an_old_request_once_more(tmp_path: Path) -> None:
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 200
        answer = await eve.ask("BYE", headers={"CSeq": "1 BYE"})
        assert answer.status == 500
        assert len(here.focus.switchboard.calls) == 1
        await eve.ask("BYE")
        await here.nothing_left()


async def test_noise_in_a_call_does_not_stop_its_sound(tmp_path: Path) -> None:
    async with house(tmp_path) as here, phones(("ann", 440), ("bob", 700)) as (ann, bob), peer(here) as eve:
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        for octets in (b"", b"\r\n\r\n", b"\0" * 1000, b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", secrets.token_bytes(2000)):
            eve.send(octets)
        eve.send(eve.request("INVITE", offer(), {"Content-Length": "99999"}))
        eve.send(eve.request("INVITE", offer(), {"CSeq": "x INVITE"}))
        eve.send(eve.request("BYE", headers={"Via": "nonsense"}))
        await until(lambda: eve.arrived.qsize() >= 2)
        assert {(await eve.final()).status, (await eve.final()).status} == {400}
        assert_hears((await listen(ann, seconds=0.9))[0], {700}, {440})
        assert not here.faults


class Victim(asyncio.DatagramProtocol):
    """Somebody at the address that a forged INVITE names."""

    def __init__(self) -> None:
        self.packets = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.packets += 1


async def test_nothing_is_sent_to_who_has_not_acknowledged(tmp_path: Path) -> None:
    """Whoever forges an INVITE never sees our tag; else one datagram would draw a stream to a victim."""
    loop = asyncio.get_running_loop()
    async with house(tmp_path) as here, peer(here) as eve, phones(("ann", 440)) as (ann,):
        await ann.dial(here.uri("room"))
        transport, victim = await loop.create_datagram_endpoint(Victim, ("127.0.0.1", 0))
        number = transport.get_extra_info("sockname")[1]
        eve.send(eve.request("INVITE", offer(f"m=audio {number} RTP/SAVP 0", CRYPTO)))
        answer = await eve.final("INVITE")
        assert answer.status == 200
        await listen(ann, seconds=0.5)
        assert here.service.engine.legs_count == 2
        assert victim.packets == 0
        eve.to_tag = tag_of(answer)
        eve.send(eve.request("ACK"))
        await until(lambda: victim.packets > 10)
        transport.close()
        eve.cseq += 1
        await eve.ask("BYE")

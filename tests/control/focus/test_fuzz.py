"""Noise against a running focus: every request has one final response or none at all, and the others talk on."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.callers.caller import Caller
from tests.control.focus.house import House, assert_hears, house, listen, phones
from tests.control.focus.raw import Answer, Peer, offer, peer

METHODS = ("INVITE", "UPDATE", "SUBSCRIBE", "REFER", "INFO", "OPTIONS", "BYE", "CANCEL", "NOTIFY", "PRACK", "MESSAGE")
BODIES = (offer(), "", "SIP/2.0 200 OK\r\n", offer("m=audio 40000 RTP/AVP 0"), "AAAA")
HEADERS = (
    *("From", "To", "Contact", "Call-ID", "CSeq", "Via", "Max-Forwards", "Content-Type", "Content-Length", "Event"),
    *("Expires", "Accept", "Refer-To", "Refer-Sub", "Require", "Supported", "Session-Expires", "Min-SE", "Privacy"),
    *("P-Asserted-Identity", "Authorization", "Recv-Info", "Allow", "User-Agent", "Record-Route", "Route", "RAck"),
)
WORDS = ("", "0", "²", "-1", "9" * 400, "conference", "<sip:a@b>", '"\\', ";;;=", "a, b, <", "100rel", "\0", "é" * 99)
Cuts: TypeAlias = list[tuple[int, int, bytes]]
Noise: TypeAlias = list[tuple[str, str, dict[str, str], Cuts]]

mutations = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 5), st.binary(max_size=4)), max_size=4)
requests = st.tuples(
    st.sampled_from(METHODS),
    st.sampled_from(BODIES),
    st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(WORDS) | st.text(max_size=20), max_size=3),
    mutations,
)


def test_noise_harms_nobody(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        storm = runner.run(Storm.begun(tmp_path, stack))

        @settings(max_examples=60, deadline=None, database=None)
        @given(noise=st.lists(requests, min_size=5, max_size=20))
        def thrown(noise: Noise) -> None:
            runner.run(storm.throw(noise))

        try:
            thrown()
            runner.run(storm.judge())
        finally:
            runner.run(stack.aclose())


class Storm:
    """Two who talk with each other, and one who makes noise in a call of its own, and outside."""

    def __init__(self, here: House, ann: Caller, bob: Caller, eve: Peer) -> None:
        self.here, self.ann, self.bob, self.eve = here, ann, bob, eve
        self.finals: dict[str, set[str]] = {}
        """By request, what it was finally answered."""

    @classmethod
    async def begun(cls, home: Path, stack: AsyncExitStack) -> Storm:
        here = await stack.enter_async_context(house(home, "[sip]\nt1 = 0.01\nt2 = 0.04\n"))
        ann, bob = await stack.enter_async_context(phones(("ann", 440), ("bob", 700)))
        eve = await stack.enter_async_context(peer(here, polite=True))
        await ann.dial(here.uri("room"))
        await bob.dial(here.uri("room"))
        assert (await eve.ask("INVITE", offer())).status == 200
        return cls(here, ann, bob, eve)

    async def throw(self, noise: Noise) -> None:
        eve = self.eve
        for method, body, headers, cuts in noise:
            eve.cseq += 1
            for tag in (eve.to_tag, ""):
                call_id = eve.call_id if tag else secrets.token_hex(8)
                other = Peer(self.here, eve.transport, tag=eve.tag, to_tag=tag, cseq=eve.cseq, call_id=call_id)
                eve.send(mutated(other.request(method, body, headers).encode("utf-8", "replace"), cuts))
        last = Peer(self.here, eve.transport, call_id=secrets.token_hex(8))
        last_words = last.request("OPTIONS")
        async with asyncio.timeout(10):
            while not await self._answered(last, last_words):
                pass
        assert not self.here.faults

    async def _answered(self, last: Peer, words: str) -> bool:
        """Say it, once more if need be: the kernel has no room for all noise (RFC 3261 section 17.1.2). True if it was
        answered, and so all before it."""
        last.send(words)
        try:
            async with asyncio.timeout(1):
                while self._note(await self.eve.arrived.get()) != last.call_id:
                    pass
        except TimeoutError:
            return False
        return True

    def _note(self, answer: Answer) -> str:
        if answer.status >= 200:
            self.finals.setdefault(answer.headers.get("via", ""), set()).add(answer.first)
        return answer.headers.get("call-id", "")

    async def judge(self) -> None:
        """Nobody was told two things, the others talk on, and nothing is left in the end."""
        assert not [answers for via, answers in self.finals.items() if len(answers) > 1 and "branch=z9hG4bK" in via]
        statuses = {answer.split()[1] for answers in self.finals.values() for answer in answers}
        assert statuses > {"200", "400", "481"}, "the noise was no nuisance"
        assert_hears((await listen(self.ann, seconds=0.9))[0], {700}, {440})
        await self.ann.hang_up()
        await self.bob.hang_up()
        await self.here.focus.switchboard.close()
        await self.here.nothing_left()


def mutated(octets: bytes, cuts: Cuts) -> bytes:
    """Some octets are taken out, and others put in."""
    for place, length, more in cuts:
        at = place % (len(octets) + 1)
        octets = octets[:at] + more + octets[at + length :]
    return octets

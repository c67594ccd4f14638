"""Calls under load: the timetable, the phones on a virtual clock, the judge; and one small run of everything."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable

import msgspec
import numpy as np
import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.calls import __main__ as command
from bench.calls import messages, speech
from bench.calls.heard import Arrivals, Heard, judge
from bench.calls.measuring import measure
from bench.calls.phones import Phones
from bench.calls.results import Result, Runs, Share, of_courses, report
from bench.calls.stack import Keying
from bench.calls.timetable import CLOSING_S, Course, Timetable
from bench.processes import drops
from bench.verdict import Spread
from control.sdp import model
from control.sdp.answer import agree
from control.sdp.terms import Terms
from control.sip.message import parse

MS = 1_000_000
FOCUS = ("192.0.2.1", 5060)
EVEN = Timetable(rate=10, concurrent=10, seconds=1, arrivals="even", seed="s")


# -- the timetable --------------------------------------------------------------------------------


@given(st.sampled_from([5, 50, 200]), st.sampled_from([20, 500]), st.text(max_size=4))
def test_a_slot_has_one_call_at_a_time(rate: int, concurrent: int, seed: str) -> None:
    table = Timetable(rate=rate, concurrent=concurrent, seconds=3, seed=seed)
    free_at = dict.fromkeys(range(table.slots), 0.0)
    for call, begin in enumerate(table.begins_s):
        slot = table.slot(call)
        assert free_at[slot] <= begin
        free_at[slot] = table.ends_s(call) + 0.4
    assert all(free_at.values()), "there is no slot that nobody needs"


def test_as_many_calls_are_up_as_are_asked_for_and_they_all_end() -> None:
    table = Timetable(rate=50, concurrent=500, seconds=10, arrivals="even")
    talking = table.talking() >= 0
    begin, end = (round(edge * 50) for edge in table.window_s)
    assert set(talking[begin:end].sum(axis=1)) <= set(range(494, 502))
    assert max(table.ends_s(call) for call in range(table.calls)) < table.window_s[1] + CLOSING_S


def test_arrivals_by_chance_have_the_rate_and_are_the_same_for_everybody() -> None:
    table = Timetable(rate=100, concurrent=500, seconds=60, seed="x")
    assert abs(table.calls / table.window_s[1] - 100) < 5
    again = msgspec.json.decode(msgspec.json.encode(table), type=Timetable)
    assert (again.begins_s == table.begins_s).all()
    assert (Timetable(rate=100, concurrent=500, seconds=60, seed="y").begins_s[:9] != table.begins_s[:9]).all()


def test_no_two_calls_share_a_key_or_an_ssrc() -> None:
    calls = range(EVEN.calls)
    assert len({EVEN.key(call) for call in calls}) == len({EVEN.ssrc(call) for call in calls}) == EVEN.calls


# -- what is said ---------------------------------------------------------------------------------


def test_each_call_is_encrypted_under_its_own_key() -> None:
    talking, store = EVEN.talking()[:, speech.order(EVEN)], speech.packets(EVEN)
    for row in (0, 7):
        calls = talking[:, row]
        call = int(calls[calls >= 0][-1])
        session = pylibsrtp.Session(
            pylibsrtp.Policy(key=EVEN.key(call), ssrc_type=pylibsrtp.Policy.SSRC_SPECIFIC, ssrc_value=EVEN.ssrc(call))
        )
        opened = [session.unprotect(store[tick, row].tobytes()) for tick in np.flatnonzero(calls == call)]
        assert len(opened) > 20
        sequence = [int.from_bytes(packet[2:4]) for packet in opened]
        assert sequence == list(range(sequence[0], sequence[0] + len(opened)))


def test_nothing_is_made_for_a_slot_without_a_call() -> None:
    idle = EVEN.talking()[:, speech.order(EVEN)] < 0
    store = speech.packets(EVEN)
    assert idle.any()
    assert not store[idle].any()
    assert store[~idle].any(axis=1).all()


# -- messages, read by the focus's own stack ------------------------------------------------------


def dialog() -> messages.Dialog:
    one = messages.Dialog(7, "load-3", FOCUS, 40000)
    one.body = messages.sdp("127.64.0.8", 41000, "AES_CM_128_HMAC_SHA1_80", bytes(range(30)), 77)
    return one


def test_an_invite_is_one_and_its_offer_can_be_agreed_to() -> None:
    one = dialog()
    envelope = parse(messages.request(one, "INVITE", 1, body=one.body))
    assert (envelope.method, envelope.cseq, envelope.call_id, envelope.to.tag) == ("INVITE", 1, "7@load", "")
    agreed = agree(model.parse(envelope.request.body), Terms())
    assert agreed.crypto is not None
    assert agreed.crypto.keys[0].secret.reveal() == bytes(range(30))
    assert (agreed.remote, agreed.ssrcs, agreed.codec) == ("127.64.0.8:41000", (77,), "PCMU")


def test_an_answer_copies_what_it_must_and_takes_the_tag_of_the_offer() -> None:
    one = dialog()
    offer = one.body.replace(b"crypto:1", b"crypto:4")
    body = messages.answer(one, offer, 3)
    asked = of_focus("INVITE", 12, body=offer)
    answer = parse(messages.response(asked.partition(b"\r\n\r\n")[0], "sip:load-7@127.0.0.1", body=body))
    assert (answer.status, answer.cseq, answer.method, answer.via.branch) == (200, 12, "INVITE", "z9hG4bKf12INVITE")
    assert b"o=- 77 3 IN" in answer.message.body
    assert b"a=crypto:4 " in answer.message.body


@pytest.mark.parametrize("octets", [b"", b"\r\n\r\n", b"SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\nCall-ID: x@y\r\n\r\n"])
def test_what_is_of_no_call_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match="no call"):
        messages.read(octets)


# -- phones on a virtual clock --------------------------------------------------------------------


def of_focus(method: str, number: int, *, call: int = 0, status: int = 0, body: bytes = b"") -> bytes:
    """A message of the focus: a response if it has a status, else a request of its own."""
    start = f"SIP/2.0 {status} Words" if status else f"{method} sip:load-{call}@127.0.0.1:40000 SIP/2.0"
    ours, theirs = f"<sip:load-{call}@127.0.0.1>;tag={call}", "<sip:load-0@192.0.2.1:5060>;tag=theirs"
    sender, to = (ours, theirs) if status else (theirs, ours)
    return (
        f"{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKf{number}{method}\r\nFrom: {sender}\r\nTo: {to}\r\n"
        f"Call-ID: {call}@load\r\nCSeq: {number} {method}\r\nContact: <sip:room@192.0.2.1:5060>;isfocus\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Line:
    """Phones of a table, what they sent, and when."""

    def __init__(self, table: Timetable = EVEN) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, bytes]] = []
        self.phones = Phones(
            table,
            FOCUS,
            port=40000,
            media_port=41000,
            send=lambda octets: self.sent.append((round(self.now, 3), octets)),
            stamp=lambda: round(self.now * 1e9),
        )

    def until(self, moment: float) -> None:
        """Time passes."""
        while (due := self.phones.due()) is not None and due <= moment:
            self.now = max(self.now, due)
            self.phones.advance(self.now)
        self.now = moment

    def hears(self, octets: bytes) -> None:
        self.phones.receive(octets, self.now)

    def of(self, call: int, method: str) -> list[float]:
        """When a call sent requests of this method."""
        return [
            at
            for at, octets in self.sent
            if octets.startswith(method.encode()) and b"\r\nCall-ID: %d@" % call in octets
        ]

    @property
    def course(self) -> Course:
        return self.phones.courses[0]


ONE = Timetable(rate=0.25, concurrent=1, seconds=1, arrivals="even")
"""A call of four seconds, and one every four seconds."""


def test_an_invite_is_sent_again_until_somebody_says_something() -> None:
    line = Line(ONE)
    line.until(3.0)
    assert line.of(0, "INVITE") == [0.0, 0.5, 1.5]
    line.hears(of_focus("INVITE", 1, status=100))
    line.until(3.9)
    assert len(line.of(0, "INVITE")) == 3
    assert line.course.repeated == 2


def test_a_call_without_any_answer_is_lost() -> None:
    line = Line(ONE)
    line.until(40.0)
    assert line.course.ended == "no answer to INVITE"
    assert line.of(0, "INVITE") == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert of_courses(ONE, [line.course]).offered == 0, "it began before the window"


def test_a_call_is_acknowledged_each_time_and_hangs_up_in_time() -> None:
    line = Line(ONE)
    line.until(0.1)
    line.hears(of_focus("INVITE", 1, status=200))
    line.hears(of_focus("INVITE", 1, status=200))
    assert line.of(0, "ACK") == [0.1, 0.1]
    ack = parse(line.sent[-1][1])
    assert (ack.to.tag, str(ack.request.uri)) == ("theirs", "sip:room@192.0.2.1:5060")
    line.until(4.2)
    assert line.of(0, "BYE") == [4.0]
    line.hears(of_focus("BYE", 2, status=200))
    line.until(9.0)
    assert len(line.of(0, "BYE")) == 1
    course = line.course
    assert (course.up_ns, course.bye_ns, course.over_ns) == (100 * MS, 4000 * MS, 4200 * MS)
    assert (course.again, course.ended) == (1, "")


def test_a_refused_call_acknowledges_in_the_same_transaction_and_sends_no_bye() -> None:
    line = Line(ONE)
    line.until(0.1)
    line.hears(of_focus("INVITE", 1, status=503))
    invite, ack = (parse(octets) for _, octets in line.sent)
    assert ack.method == "ACK"
    assert ack.via.branch == invite.via.branch
    line.until(9.0)
    assert not line.of(0, "BYE")
    assert (line.course.status, line.course.ended) == (503, "refused with 503")


def test_keys_are_taken_once_however_often_they_come() -> None:
    line = Line(ONE)
    line.until(0.1)
    line.hears(of_focus("INVITE", 1, status=200))
    offer = of_focus("INVITE", 9, body=dialog().body)
    line.hears(offer)
    line.hears(offer)
    first, second = (octets for _, octets in line.sent[-2:])
    assert first == second
    assert parse(first).status == 200
    assert (len(line.course.rekeyed_s), line.course.again) == (1, 1)
    line.until(4.0)
    line.hears(of_focus("INVITE", 10, body=dialog().body))
    assert parse(line.sent[-1][1]).status == 481


def test_who_is_hung_up_on_says_so() -> None:
    line = Line(ONE)
    line.until(0.1)
    line.hears(of_focus("INVITE", 1, status=200))
    line.hears(of_focus("BYE", 3))
    line.until(3.9)
    assert line.course.ended == "hung up by the focus"
    assert parse(line.sent[-1][1]).status == 200
    assert not line.of(0, "BYE")


def test_strays_are_counted() -> None:
    line = Line(ONE)
    line.until(0.1)
    line.hears(b"noise")
    line.hears(of_focus("INVITE", 1, call=999, status=200))
    assert line.phones.strays == 2


# -- the judge ------------------------------------------------------------------------------------

HOLES: list[tuple[Callable[[int], bool], int, int]] = [
    (lambda n: True, 0, 0),
    (lambda n: n not in (10, 11, 40), 3, 0),
    (lambda n: n < 10, 40, 1),
    (lambda n: n >= 4, 0, 0),  # nothing is sent before the ACK: it may begin 100 ms after the answer
    (lambda n: n >= 12, 6, 0),  # and the first may be due only 20 ms after that
    (lambda n: False, 50, 1),
]


def arrivals(slots: list[int], times: list[int], sequence: list[int], ssrc: list[int]) -> Arrivals:
    return Arrivals(*(np.array(column, np.int64) for column in (slots, ssrc, sequence, times)))


@pytest.mark.parametrize(("there", "lost", "deaf"), HOLES)
def test_every_missing_packet_is_counted(there: Callable[[int], bool], lost: int, deaf: int) -> None:
    """A call of one second: packets each 20 ms, the first of them 5 ms after the answer. Its neighbour hears all."""
    begin, slot = 10**9, EVEN.slot(3)
    mine = [n for n in range(50) if there(n)]
    slots = [slot] * len(mine) + [slot + 1] * 50
    times = [begin + (5 + 20 * n) * MS for n in (*mine, *range(50))]
    course = Course(call=3, up_ns=begin, bye_ns=begin + 1000 * MS)
    heard = judge(EVEN, [course, Course(call=5)], arrivals(slots, times, [*mine, *range(50)], [9] * len(slots)))
    assert (heard.calls, heard.packets, heard.lost, heard.deaf) == (1, len(mine), lost, deaf)


def test_a_new_key_is_a_new_stream_and_nothing_is_lost_by_it() -> None:
    begin = 10**9
    times = [begin + (5 + 20 * n) * MS for n in range(50)]
    sequence, ssrc = [*range(25), *range(700, 725)], [9] * 25 + [10] * 25
    course = Course(call=3, up_ns=begin, bye_ns=begin + 1000 * MS)
    assert judge(EVEN, [course], arrivals([EVEN.slot(3)] * 50, times, sequence, ssrc)).lost == 0


def test_packets_outside_of_the_call_do_not_make_up_for_lost_ones() -> None:
    begin = 10**9
    numbers = [*range(-20, 0), *range(25, 80)]
    times = [begin + (5 + 20 * n) * MS for n in numbers]
    course = Course(call=3, up_ns=begin, bye_ns=begin + 1000 * MS)
    came = arrivals([EVEN.slot(3)] * len(times), times, [n + 100 for n in numbers], [9] * len(times))
    heard = judge(EVEN, [course], came)
    assert (heard.packets, heard.lost) == (25, 19)


# -- results --------------------------------------------------------------------------------------

COURSES = [
    Course(call=call, invited_ns=1, up_ns=1 + 2 * MS, bye_ns=1, over_ns=1 + MS, status=200)
    for call in range(EVEN.calls)
]
GOOD = Result(
    rate=10,
    concurrent=10,
    seconds=1,
    arrivals="even",
    keying="unique",
    layout="shared",
    set_up=of_courses(
        EVEN,
        [Course(call=call, invited_ns=1, up_ns=1 + 2 * MS, bye_ns=1, over_ns=1 + MS, status=200) for call in range(40)],
    ),
    late_ticks=0,
    lateness_p99_ms=0.1,
    legs=(9, 11),
    heard=Heard(calls=10, packets=5000, lost=0, deaf=0, longest_gap_ms=21),
    unused={},
    kernel_drops=0,
    cpu={name: Share(core=0.1, ms_per_call=2.0) for name in ("focus", "kms", "mixer")},
    memory_mib={"focus": 60.0, "kms": 40.0, "mixer": 100.0},
    problems=[],
)


def test_only_calls_of_the_window_are_counted() -> None:
    begin, end = EVEN.window_s
    inside = sum(begin <= at < end for at in EVEN.begins_s)
    assert GOOD.set_up.offered == GOOD.set_up.answered == inside == 10
    assert GOOD.set_up.invite_ms == Spread(2.0, 2.0, 2.0)
    assert GOOD.set_up.bye_ms == Spread(1.0, 1.0, 1.0)


def test_what_holds_has_no_complaints_and_all_else_has_one() -> None:
    set_up, change = GOOD.set_up, msgspec.structs.replace
    assert GOOD.complaints() == []
    worse = [
        change(GOOD, set_up=change(set_up, answered=9, refused={"503": 1})),
        change(GOOD, set_up=change(set_up, broken=1)),
        change(GOOD, set_up=change(set_up, invite_ms=Spread(1, 200, 200))),
        change(GOOD, late_ticks=1),
        change(GOOD, heard=change(GOOD.heard, lost=1)),
        change(GOOD, heard=change(GOOD.heard, deaf=1)),
        change(GOOD, kernel_drops=1),
        change(GOOD, problems=["caller-01 hears itself"]),
    ]
    assert [len(one.complaints()) for one in worse] == [1] * len(worse)
    page = report(Runs(machine="here", day="today", runs=[GOOD, worse[3]]))
    assert page.startswith("today; here.")
    assert [line.endswith("| holds |") for line in page.splitlines()[4:]] == [True, False]
    assert "1 late ticks" in page


def test_the_search_closes_in_on_the_rate_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def once(options: argparse.Namespace, keying: str, rate: float, seconds: float) -> Result:
        asked.append(rate)
        return msgspec.structs.replace(GOOD, rate=rate, late_ticks=int(rate > 130))

    monkeypatch.setattr(command, "_once", once)
    holds, fails = command.find(command.parser().parse_args([]), "unique")
    assert holds.rate <= 130 < fails.rate <= holds.rate * 1.1
    assert asked[:3] == [50, 100, 200]
    assert len(asked) < 10


def test_a_search_that_nothing_holds_in_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(options: argparse.Namespace, keying: str, rate: float, seconds: float) -> Result:
        return msgspec.structs.replace(GOOD, rate=rate, late_ticks=1)

    monkeypatch.setattr(command, "_once", once)
    (fails,) = command.find(command.parser().parse_args([]), "unique")
    assert fails.rate < 2


def test_what_the_kernel_throws_away_is_told_by_socket() -> None:
    udp = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*udp) as full, socket.socket(*udp) as to:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        full.bind(("127.0.0.1", 0))
        to.bind(("127.0.0.1", 0))
        for _ in range(50):
            to.sendto(bytes(1000), full.getsockname())
        lost = drops({full.getsockname()[1]})
        assert 30 < lost < 50
        assert drops({full.getsockname()[1], to.getsockname()[1]}) == lost
        assert drops({to.getsockname()[1]}) == 0


# -- all of it ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("keying", ["unique", "group"])
async def test_a_few_calls_go_through_a_whole_focus(keying: Keying) -> None:
    table = Timetable(rate=10, concurrent=20, seconds=2, room_size=5, seed="s")
    one = await measure(table, keying, "shared")
    set_up = one.set_up
    assert set_up.answered == set_up.offered > 0
    assert (set_up.broken, one.heard.deaf, one.problems) == (0, 0, [])
    assert one.heard.packets > 500
    assert (set_up.rekeyed > 0) == (keying == "group")

"""The client's half: timers A, B, D, E, F, K and M on a virtual clock, and what goes up to who asked."""

from __future__ import annotations

import pytest

from control.sip.client_transactions import ClientTransaction, InviteClientTransaction, State
from control.sip.errors import SipError, SipTimeout, TransportLost
from control.sip.flows import Flow
from control.sip.message import Envelope, parse
from control.sip.requests import Outgoing
from control.sip.timers import Intervals, Timers
from tests.control.sip.house import OVER_TCP, PEER, Clock, ring_until


class Half:
    """One transaction, what it has sent and told."""

    def __init__(self, method: str, flow: Flow = PEER) -> None:
        self.clock, self.forgotten = Clock(), False
        self.sent: list[tuple[float, str]] = []
        self.told: list[int] = []
        self.errors: list[SipError] = []
        self.timers = Timers(self.clock)
        self.request = Outgoing(
            method,
            "sip:b@192.0.2.9",
            "<sip:a@x>;tag=1",
            "<sip:b@x>",
            "c",
            7,
            "SIP/2.0/UDP h;branch=z9hG4bKx",
            "z9hG4bKx",
        )
        kind = InviteClientTransaction if method == "INVITE" else ClientTransaction
        self.transaction = kind(self.timers, Intervals(), self._send, flow, self.request, self, self._forget)
        self.transaction.begin()

    def hear(self, status: int, tag: str = "b") -> None:
        request = self.request
        self.transaction.receive(
            parse(
                f"SIP/2.0 {status} X\r\nVia: {request.via}\r\nFrom: {request.sender}\r\nTo: {request.to};tag={tag}\r\n"
                f"Call-ID: c\r\nCSeq: 7 {request.method}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        )

    def until(self, when: float) -> list[tuple[float, str]]:
        ring_until(when, self.clock, self.timers)
        drained, self.sent = self.sent, []
        return drained

    def responded(self, envelope: Envelope) -> None:
        self.told.append(envelope.status)

    def failed(self, error: SipError) -> None:
        self.errors.append(error)

    def _send(self, flow: Flow, octets: bytes) -> bool:
        self.sent.append((round(self.clock.now, 6), octets.split(b" ")[0].decode()))
        return True

    def _forget(self) -> None:
        self.forgotten = True


def times(sent: list[tuple[float, str]]) -> list[float]:
    return [when for when, _ in sent]


def test_invite_is_sent_again_by_timer_a_until_timer_b() -> None:
    half = Half("INVITE")
    assert times(half.until(100)) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert [type(error) for error in half.errors] == [SipTimeout]
    assert half.forgotten


def test_others_are_sent_again_by_timer_e_until_timer_f() -> None:
    half = Half("OPTIONS")
    assert times(half.until(100)) == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert [type(error) for error in half.errors] == [SipTimeout]


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_over_tcp_nothing_is_sent_again_but_patience_ends(method: str) -> None:
    half = Half(method, OVER_TCP)
    assert times(half.until(31.99)) == [0]
    assert half.errors == []
    half.until(32)
    assert [type(error) for error in half.errors] == [SipTimeout]


def test_a_provisional_response_stops_the_invite_and_timer_c_starts() -> None:
    half = Half("INVITE")
    half.hear(180)
    assert times(half.until(179)) == [0]
    half.hear(180)
    half.until(358)
    assert half.errors == []
    half.until(359)
    assert [type(error) for error in half.errors] == [SipTimeout]


def test_refusal_is_acknowledged_each_time_until_timer_d() -> None:
    half = Half("INVITE")
    half.hear(486)
    half.hear(486)
    half.hear(180)
    assert half.until(31.99) == [(0.0, "INVITE"), (0.0, "ACK"), (0.0, "ACK")]
    assert half.told == [486]
    assert not half.forgotten
    half.until(32)
    assert half.forgotten


def test_over_tcp_a_refusal_is_acknowledged_and_forgotten() -> None:
    half = Half("INVITE", OVER_TCP)
    half.hear(486)
    assert half.sent[-1][1] == "ACK"
    assert half.forgotten


def test_every_2xx_goes_up_until_timer_m_and_none_is_acknowledged_here() -> None:
    half = Half("INVITE")
    half.hear(200)
    half.hear(200, tag="fork")
    half.hear(180)
    half.hear(486)
    assert half.told == [200, 200]
    assert half.until(31.99) == [(0.0, "INVITE")]
    assert half.transaction.state is State.ACCEPTED
    half.until(32)
    assert half.forgotten


def test_others_absorb_repeated_answers_for_timer_k() -> None:
    half = Half("OPTIONS")
    half.hear(100)
    half.hear(200)
    half.hear(200)
    assert half.told == [100, 200]
    assert times(half.until(4.99)) == [0]
    assert not half.forgotten
    half.until(5)
    assert half.forgotten


def test_a_lost_transport_is_told_once() -> None:
    half = Half("OPTIONS")
    half.transaction.lose(TransportLost("gone"))
    half.transaction.lose(TransportLost("gone"))
    half.hear(200)
    assert [str(error) for error in half.errors] == ["gone"]
    assert half.told == []
    assert half.timers.due() is None

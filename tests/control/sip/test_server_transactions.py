"""The server's half: what is sent again, when it stops, what is absorbed. Timers G, H, I, J, L on a virtual clock."""

from __future__ import annotations

import pytest

from control.sip.flows import Flow
from control.sip.server_transactions import InviteServerTransaction, ServerTransaction, State
from control.sip.timers import Intervals, Timers
from tests.control.sip.house import OVER_TCP, PEER, Clock, ring_until


class Half:
    """One transaction, what it has sent, and whether it is forgotten."""

    def __init__(self, *, invite: bool, flow: Flow = PEER) -> None:
        self.clock, self.sent, self.forgotten = Clock(), [], False  # type: ignore[var-annotated]
        self.timers = Timers(self.clock)
        if invite:
            self.transaction: ServerTransaction = InviteServerTransaction(
                self.timers, Intervals(), self._send, flow, self._forget, lambda: b"100"
            )
        else:
            self.transaction = ServerTransaction(self.timers, Intervals(), self._send, flow, self._forget)

    def until(self, when: float) -> list[tuple[float, bytes]]:
        ring_until(when, self.clock, self.timers)
        drained, self.sent = self.sent, []
        return drained

    def _send(self, flow: Flow, octets: bytes) -> bool:
        self.sent.append((round(self.clock.now, 6), octets))
        return True

    def _forget(self) -> None:
        self.forgotten = True


def test_invite_gets_100_after_200_ms_and_only_then() -> None:
    half = Half(invite=True)
    assert half.until(0.199) == []
    assert half.until(60) == [(0.2, b"100")]


def test_invite_answered_in_time_gets_no_100() -> None:
    half = Half(invite=True)
    half.transaction.respond(180, b"180")
    assert half.until(60) == [(0.0, b"180")]


def test_a_retransmitted_invite_gets_100_at_once_and_then_the_last_response() -> None:
    half = Half(invite=True)
    half.transaction.again()
    half.transaction.respond(180, b"180")
    half.transaction.again()
    assert half.until(1) == [(0.0, b"100"), (0.0, b"180"), (0.0, b"180")]


def test_refusal_is_sent_again_by_timer_g_until_timer_h() -> None:
    half = Half(invite=True)
    half.transaction.respond(180, b"180")
    half.transaction.respond(486, b"486")
    times = [when for when, octets in half.until(100) if octets == b"486"]
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert half.forgotten
    assert half.timers.due() is None


def test_a_refusal_that_is_the_first_word_is_sent_as_often_as_it_is_asked_for() -> None:
    """The address may be a victim's. The phone that lives there asks again until it has heard something."""
    half = Half(invite=True)
    half.transaction.respond(401, b"401")
    half.transaction.again()
    assert half.until(31) == [(0.0, b"401"), (0.0, b"401")]
    assert not half.forgotten
    half.until(32)
    assert half.forgotten


def test_ack_of_a_refusal_stops_it_and_timer_i_forgets_it() -> None:
    half = Half(invite=True)
    half.transaction.respond(180, b"180")
    half.transaction.respond(486, b"486")
    half.until(1)
    assert isinstance(half.transaction, InviteServerTransaction)
    half.transaction.acknowledge()
    half.transaction.again()
    assert half.until(5.99) == []
    assert not half.forgotten
    half.until(6)
    assert half.forgotten


def test_over_tcp_a_refusal_is_sent_once_and_forgotten_with_its_ack() -> None:
    half = Half(invite=True, flow=OVER_TCP)
    half.transaction.respond(486, b"486")
    assert half.until(31) == [(0.0, b"486")]
    assert isinstance(half.transaction, InviteServerTransaction)
    half.transaction.acknowledge()
    assert half.forgotten


def test_2xx_absorbs_the_invite_for_timer_l() -> None:
    half = Half(invite=True)
    half.transaction.respond(200, b"200")
    half.transaction.again()
    assert half.transaction.state is State.ACCEPTED
    assert half.until(31.99) == [(0.0, b"200")]
    assert not half.forgotten
    half.until(32)
    assert half.forgotten


@pytest.mark.parametrize(("flow", "lingers"), [(PEER, 32), (OVER_TCP, 0)])
def test_other_requests_get_the_same_answer_for_timer_j(flow: Flow, lingers: float) -> None:
    half = Half(invite=False, flow=flow)
    half.transaction.again()
    assert half.until(0) == []
    half.transaction.respond(200, b"200")
    if lingers:
        half.transaction.again()
        assert half.until(31.99) == [(0.0, b"200"), (0.0, b"200")]
        assert not half.forgotten
    half.until(lingers)
    assert half.forgotten


@pytest.mark.parametrize("invite", [True, False])
def test_one_final_response_only(invite: bool) -> None:
    half = Half(invite=invite)
    assert half.transaction.respond(100, b"100")
    assert half.transaction.respond(200, b"200")
    assert not half.transaction.respond(200, b"again")
    assert not half.transaction.respond(180, b"180")
    assert [octets for _, octets in half.sent] == [b"100", b"200"]


@pytest.mark.parametrize("invite", [True, False])
def test_what_is_answered_lets_go_of_the_request(invite: bool) -> None:
    half = Half(invite=invite)
    half.transaction.user = object()
    half.transaction.respond(180, b"180")
    assert half.transaction.user is not None
    half.transaction.respond(200, b"200")
    assert half.transaction.user is None
    assert not half.forgotten

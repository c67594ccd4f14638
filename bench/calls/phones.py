"""Phones under load: all calls of a timetable, from INVITE to BYE, with the retransmissions of RFC 3261 over UDP.

Knows: the order of messages, and a clock that is told to it. Must never know: sockets. Sans-IO.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bench.calls import messages
from bench.calls.messages import Arrived, Dialog
from bench.calls.timetable import Course, Timetable

T1_S: Final = 0.5
T2_S: Final = 4.0
GIVE_UP_S: Final = 64 * T1_S


@dataclass(slots=True)
class _Phone:
    """One call."""

    dialog: Dialog
    course: Course
    waits_for: str = "INVITE"
    """The method of our request that has no final answer yet; empty for none."""
    request: bytes = b""
    pause_s: float = T1_S
    """To the next retransmission; 0 for none."""
    since: float = 0.0
    answered: dict[tuple[str, int], bytes] = field(default_factory=dict)
    """Our responses, by method and CSeq."""
    ack: bytes = b""


class Phones:
    """Everybody who calls.

    Args:
        send: puts octets on the way to the focus.
        stamp: CLOCK_REALTIME in ns.
    """

    def __init__(
        self,
        table: Timetable,
        focus: tuple[str, int],
        *,
        port: int,
        media_port: int,
        send: Callable[[bytes], object],
        stamp: Callable[[], int],
    ) -> None:
        self.courses: dict[int, Course] = {}
        self.strays = 0
        """Messages of no call."""
        self._table, self._focus, self._port, self._media_port = table, focus, port, media_port
        self._send, self._stamp = send, stamp
        self._phones: dict[int, _Phone] = {}
        self._alarms: list[tuple[float, int, str]] = [
            (begin, call, "dial") for call, begin in enumerate(table.begins_s)
        ]
        heapq.heapify(self._alarms)

    # -- time ---------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When `advance` has something to do; in seconds from the beginning."""
        return self._alarms[0][0] if self._alarms else None

    def advance(self, now: float) -> None:
        """Do what is due."""
        while self._alarms and self._alarms[0][0] <= now:
            _, call, what = heapq.heappop(self._alarms)
            if what == "dial":
                self._dial(call, now)
            elif what == "hang up":
                self._hang_up(self._phones[call], now)
            else:
                self._repeat(self._phones[call], what, now)

    def _dial(self, call: int, now: float) -> None:
        table = self._table
        dialog = Dialog(call, table.room(call), self._focus, self._port)
        slot = table.address(table.slot(call))
        dialog.body = messages.sdp(slot, self._media_port, table.suite, table.key(call), table.ssrc(call))
        self.courses[call] = Course(call=call, invited_ns=self._stamp())
        phone = self._phones[call] = _Phone(dialog, self.courses[call])
        self._ask(phone, "INVITE", messages.request(dialog, "INVITE", 1, body=dialog.body), now)

    def _hang_up(self, phone: _Phone, now: float) -> None:
        if phone.course.ended:
            return
        phone.course.bye_ns = self._stamp()
        self._ask(phone, "BYE", messages.request(phone.dialog, "BYE", 2), now)

    def _ask(self, phone: _Phone, method: str, octets: bytes, now: float) -> None:
        phone.waits_for, phone.request, phone.pause_s, phone.since = method, octets, T1_S, now
        self._send(octets)
        heapq.heappush(self._alarms, (now + T1_S, phone.course.call, method))

    def _repeat(self, phone: _Phone, method: str, now: float) -> None:
        if phone.waits_for != method:
            return
        if now - phone.since >= GIVE_UP_S:
            phone.waits_for, phone.course.ended = "", f"no answer to {method}"
            return
        if phone.pause_s:
            phone.course.repeated += 1
            self._send(phone.request)
            phone.pause_s = phone.pause_s * 2 if method == "INVITE" else min(T2_S, phone.pause_s * 2)
        again = min(now + (phone.pause_s or GIVE_UP_S), phone.since + GIVE_UP_S)
        heapq.heappush(self._alarms, (again, phone.course.call, method))

    # -- what comes ---------------------------------------------------------------------------

    def receive(self, octets: bytes, now: float) -> None:
        """One message of the focus."""
        try:
            message = messages.read(octets)
            phone = self._phones[message.call]
        except (ValueError, KeyError):
            self.strays += 1
            return
        if message.status:
            self._answered(phone, message, now)
        elif message.method != "ACK":
            self._asked(phone, message, now)

    def _answered(self, phone: _Phone, message: Arrived, now: float) -> None:
        if message.status < 200:
            phone.pause_s = 0.0 if message.method == "INVITE" else phone.pause_s
            return
        if phone.waits_for != message.method:
            phone.course.again += 1
            if message.method == "INVITE":
                self._send(phone.ack)
            return
        phone.waits_for = ""
        if message.method == "BYE":
            phone.course.over_ns = self._stamp()
            return
        phone.course.status = message.status
        phone.dialog.remote_tag = message.tag
        if message.status >= 300:
            phone.course.ended = f"refused with {message.status}"
            phone.ack = messages.request(phone.dialog, "ACK", 1, branch="INVITE")
        else:
            phone.course.up_ns = self._stamp()
            phone.dialog.target = message.contact
            phone.ack = messages.request(phone.dialog, "ACK", 1)
            heapq.heappush(
                self._alarms, (max(now, self._table.ends_s(phone.course.call)), phone.course.call, "hang up")
            )
        self._send(phone.ack)

    def _asked(self, phone: _Phone, message: Arrived, now: float) -> None:
        key = message.method, message.number
        if key in phone.answered:
            phone.course.again += 1
        else:
            phone.answered[key] = self._answer(phone, message, now)
        self._send(phone.answered[key])

    def _answer(self, phone: _Phone, message: Arrived, now: float) -> bytes:
        contact = f"sip:load-{phone.course.call}@{messages.HOST}:{self._port}"
        if message.method == "BYE" and not phone.course.bye_ns:
            phone.waits_for, phone.course.ended = "", "hung up by the focus"
        if message.method != "INVITE":
            return messages.response(message.head, contact)
        if phone.course.bye_ns:
            return messages.response(message.head, contact, status="481 Call/Transaction Does Not Exist")
        phone.course.rekeyed_s.append(now)
        body = messages.answer(phone.dialog, message.body, len(phone.course.rekeyed_s) + 1)
        return messages.response(message.head, contact, body=body)

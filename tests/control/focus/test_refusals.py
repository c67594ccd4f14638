"""What is said of requests refused."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from control.focus.refusals import LINES_PER_S, Refusals
from control.sip.incoming import Incoming
from tests.control.focus.test_identity import asking


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def incoming() -> Incoming:
    asked = asking()
    return Incoming(None, asked.envelope, asked.flow, None, None)  # type: ignore[arg-type]


def test_a_line_tells_who_was_refused_what_and_why() -> None:
    with capture_logs() as lines:
        Refusals(Clock()).note(incoming(), 403, "dial another room")
    assert lines == [
        {
            "event": "refused",
            "log_level": "info",
            "method": "INVITE",
            "status": 403,
            "reason": "dial another room",
            "source": "192.0.2.9",
            "user": "sip:ann@example.net",
            "room": "room",
        }
    ]


def test_a_flood_is_counted_and_does_not_fill_the_log() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    with capture_logs() as lines:
        for _ in range(1000):
            refusals.note(incoming(), 503, "")
        assert len(lines) == LINES_PER_S
        clock.now = 1.0
        refusals.note(incoming(), 503, "")
    assert refusals.by_status == {503: 1001}
    assert lines[LINES_PER_S] == {"event": "more_refused", "log_level": "warning", "requests": 1000 - LINES_PER_S}
    assert len(lines) == LINES_PER_S + 2


def test_what_is_no_room_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.control.focus.test_identity.URI", "tel:+4930123")
    with capture_logs() as lines:
        Refusals(Clock()).note(incoming(), 416, "dial sip: or sips:")
    assert (lines[0]["status"], lines[0]["room"]) == (416, "")

"""Session timers: who refreshes, how often, and what is too often. Table 2 of RFC 4028, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sipmessage import Headers

from control.sip.session_timer import IntervalTooSmall, Terms, Wish, agreed, answer, retried

WISH = Wish(interval=1800, minimum=90)


def headers(**fields: str) -> Headers:
    made = Headers()
    for name, value in fields.items():
        made.add(name.replace("_", "-"), value)
    return made


@pytest.mark.parametrize(
    ("fields", "terms"),
    [
        ({}, Terms(1800, "us", required=False)),
        ({"Supported": "timer"}, Terms(1800, "us")),
        ({"Supported": "100rel, TIMER", "Session_Expires": "600"}, Terms(600, "them")),
        ({"Supported": "timer", "Session_Expires": "600;refresher=uac"}, Terms(600, "them")),
        ({"Supported": "timer", "Session_Expires": "600 ; refresher = UAS"}, Terms(600, "us")),
        ({"Session_Expires": "600;refresher=uac"}, Terms(600, "us", required=False)),
        ({"Session_Expires": "30"}, Terms(90, "us", required=False)),
        ({"Supported": "timer", "Session_Expires": "7200"}, Terms(1800, "them")),
        ({"Supported": "timer", "Session_Expires": "7200", "Min_SE": "3600"}, Terms(3600, "them")),
        ({"Supported": "timer", "Min_SE": "3600"}, Terms(3600, "us")),
        ({"Supported": "timer", "Session_Expires": "soon"}, Terms(1800, "us")),
    ],
)
def test_answer(fields: dict[str, str], terms: Terms) -> None:
    assert answer(headers(**fields), WISH) == terms


def test_too_often_is_422() -> None:
    with pytest.raises(IntervalTooSmall) as refused:
        answer(headers(Supported="timer", Session_Expires="89"), WISH)
    assert refused.value.fields == [("Min-SE", "90")]
    assert answer(headers(Supported="timer", Session_Expires="90"), WISH) == Terms(90, "them")


@pytest.mark.parametrize(
    ("fields", "terms"),
    [
        ({}, Terms(1800, "us", required=False)),
        ({"Session_Expires": "600;refresher=uac"}, Terms(600, "us")),
        ({"Session_Expires": "600;refresher=uas"}, Terms(600, "them")),
        ({"Session_Expires": "1"}, Terms(90, "us")),
    ],
)
def test_agreed(fields: dict[str, str], terms: Terms) -> None:
    assert agreed(headers(**fields), WISH) == terms


def test_after_a_422() -> None:
    assert retried(headers(Min_SE="3600"), WISH) == Wish(3600, 3600)
    assert retried(headers(Min_SE="120"), WISH) == Wish(1800, 120)
    assert retried(headers(), WISH) is None


def test_what_is_said() -> None:
    assert WISH.fields() == [("Session-Expires", "1800"), ("Min-SE", "90")]
    assert Terms(600, "them").fields(we_asked=False) == [("Session-Expires", "600;refresher=uac"), ("Require", "timer")]
    assert Terms(600, "us", required=False).fields(we_asked=False) == [("Session-Expires", "600;refresher=uas")]
    assert Terms(600, "us").fields(we_asked=True) == [("Session-Expires", "600;refresher=uac")]


def test_when() -> None:
    assert (Terms(1800, "us").refresh_after, Terms(1800, "us").hang_up_after) == (900, 1768)
    assert (Terms(90, "them").refresh_after, Terms(90, "them").hang_up_after) == (None, 60)


@given(st.text(), st.text(), st.text())
def test_noise(supported: str, expires: str, least: str) -> None:
    terms = answer(headers(Supported=supported, Session_Expires=expires, Min_SE=least), Wish(1800, 90))
    assert terms is None or terms.interval >= 90

"""Judging an offer by the usual terms, and the warning with which it is refused."""

from __future__ import annotations

import pytest

from control.sdp.answer import Agreed, Unacceptable, agree
from control.sdp.model import Session
from control.sdp.terms import Terms

TERMS = Terms()


def judged(session: Session, terms: Terms = TERMS) -> Agreed:
    return agree(session, terms)


def warning(session: Session, terms: Terms = TERMS, before: Agreed | None = None) -> int:
    with pytest.raises(Unacceptable) as refused:
        agree(session, terms, before=before)
    assert refused.value.text
    return refused.value.warning

"""A verdict to begin with: all was heard, and nothing else."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bench.verdict import Spread, Verdict

_WELL: Final = Verdict(
    sent=10,
    received=10_000,
    lost=0,
    duplicates=0,
    disordered=0,
    gaps=0,
    largest_gap_ms=20.0,
    auth_failures=0,
    rtcp=0,
    stray=0,
    mouth_to_ear_ms=Spread(40.0, 50.0, 60.0),
    heard_db=0.0,
    self_db=-60.0,
    rest_db=-30.0,
    late_ms=Spread(0.1, 0.2, 0.3),
    problems=[],
)


def verdict(**changes: Any) -> Verdict:
    """One that differs in these fields."""
    return msgspec.structs.replace(_WELL, **changes)

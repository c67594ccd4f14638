"""What became of a call, in figures. Knows how to count; must never know SIP."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bench.callers.call import Call
from bench.callers.hearing import tones_db


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """One call of one caller."""

    name: str
    set_up_ms: float
    """From INVITE to the answer; 0 if there was none."""
    first_audio_ms: float
    """From INVITE to the first packet that could be heard; 0 if there was none."""
    ended: str
    """How; empty while it goes on."""
    keys_taken: int
    packets: int
    """Heard."""
    refused: int
    """Packets that no key opened."""
    early: int
    """Packets that came before the answer."""
    lost: int
    longest_gap_ms: float
    streams: int
    """SSRCs heard."""
    heard: dict[int, float] = field(default_factory=dict)
    """The tones that stand out, in dB below full scale."""

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def report_of(name: str, call: Call, until_ns: int | None = None) -> CallReport:
    """Figures of a call until then: now, if omitted."""
    ear = call.media.ear
    found = ear.continuity(until_ns)
    return CallReport(
        name=name,
        set_up_ms=_ms(call.began_ns, call.up_ns),
        first_audio_ms=_ms(call.began_ns, ear.heard_ns[0] if ear.heard_ns else 0),
        ended=call.ended,
        keys_taken=call.keyring.taken,
        packets=len(ear.heard_ns),
        refused=ear.refused,
        early=ear.early,
        lost=found.lost,
        longest_gap_ms=round(found.largest_gap_ms, 1),
        streams=len(ear.ssrcs),
        heard=tones_db(ear.heard(), ear.voice.rate),
    )


def _ms(begin_ns: int, end_ns: int) -> float:
    return round((end_ns - begin_ns) / 1e6, 1) if end_ns else 0.0

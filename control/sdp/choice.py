"""Which of the peer's payload types is taken, and what is agreed to of its parameters.

Knows that some codecs have parameters, and which of them two ends must have alike. Must never know what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from control.sdp import amr, opus
from control.sdp.formats import Format
from control.sdp.parameters import parameters_of
from control.sdp.refusal import Unacceptable, Warn
from control.sdp.terms import Codec, Terms
from mixer.port import Amr, Opus


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A codec with all that belongs to it."""

    codec: Codec
    payload_type: int
    """What the peer wants to receive."""
    payload_type_in: int
    """What it sends."""
    opus: Opus | None = None
    amr: Amr | None = None
    ours: str = ""
    """Our parameters, for a=fmtp."""

    @property
    def bits_per_s(self) -> int:
        """The most that we send. A variable rate may be twice its average for a while."""
        return min(self.codec.bits_per_s, 2 * self.opus.bitrate) if self.opus else self.codec.bits_per_s


def choose(formats: Sequence[Format], codecs: Iterable[Codec], terms: Terms) -> Choice:
    """The first of our codecs that is there and can be taken; of several payload types of it the first.

    Raises:
        Unacceptable: if none is.
    """
    codecs = list(codecs)
    for codec in codecs:
        for taken in _takable(formats, codec, terms):
            return taken
    names = ", ".join(f"{codec.name}/{codec.rate}" for codec in codecs)
    raise Unacceptable(Warn.MEDIA_FORMAT, f"None of the codecs is one of {names}")


def answered(formats: Sequence[Format], offered: Sequence[Format], terms: Terms) -> Choice:
    """The codec that an answer has first, of those we offered. Numbers may differ, but not how packets are written.

    Raises:
        Unacceptable: if it has none.
    """
    for each in formats:
        for codec in terms.codecs:
            for theirs in _takable([each], codec, terms):
                for ours in _takable(offered, codec, terms):
                    if _layout(ours) == _layout(theirs):
                        return replace(theirs, payload_type_in=ours.payload_type)
    raise Unacceptable(Warn.MEDIA_FORMAT, "The answer has no codec that was offered")


def offered_formats(terms: Terms, numbers: Iterator[int]) -> list[Format]:
    """All codecs of an offer; `numbers` for those without a static payload type. AMR is offered in both layouts."""
    formats = []
    for codec in terms.codecs:
        for parameters in _offered_parameters(codec, terms):
            number = next(numbers) if codec.static is None else codec.static
            formats.append(Format(number, codec.name, codec.rate, codec.channels, parameters))
    return formats


def _offered_parameters(codec: Codec, terms: Terms) -> tuple[str, ...]:
    if codec.name == "opus":
        return (opus.told(terms.opus),)
    return ("", "octet-align=1") if codec.name in amr.HIGHEST else ("",)


def _takable(formats: Sequence[Format], codec: Codec, terms: Terms) -> Iterator[Choice]:
    for each in formats:
        taken = _taken(each, codec, terms) if each.is_of(codec) else None
        if taken is not None:
            yield taken


def _taken(offered: Format, codec: Codec, terms: Terms) -> Choice | None:
    parameters, number = parameters_of(offered.parameters), offered.payload_type
    if codec.name == "opus":
        asked, ours = opus.asked(parameters, terms.opus), opus.told(terms.opus)
        return Choice(codec=codec, payload_type=number, payload_type_in=number, opus=asked, ours=ours)
    if codec.name in amr.HIGHEST:
        known = amr.understood(codec.name, parameters)
        if known is None:
            return None
        return Choice(codec=codec, payload_type=number, payload_type_in=number, amr=known[0], ours=known[1])
    return Choice(codec=codec, payload_type=number, payload_type_in=number)


def _layout(choice: Choice) -> tuple[Codec, bool]:
    return choice.codec, choice.amr is not None and choice.amr.octet_aligned

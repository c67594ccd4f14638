"""Pens: encoders of codecs with memory, in use, and where each stands: at rest, amid talk, or amid what was written
before (`memo`) and need not be encoded again.

Knows: encoders and samples. Must never know: legs, streams, and what a prompt is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from mixer.codecs import CODECS, CodecError, Coder, Encoder
from mixer.memo import Memo
from mixer.samples import Samples
from mixer.streams import Format

SETTLED_MS: Final = 400
"""An encoder that was given nothing but zeros for so long is at rest, and the receiver's decoder with it."""
RUN_UP_MS: Final = 60
"""An encoder that was spared packets is given the last of them before it goes on, so that it stands where the
receiver's decoder does, or nearly: Opus clicks with less, and with more it is no nearer. What the decoder would have
to hear to agree is all since the last silence."""


@dataclass(slots=True, eq=False)
class Pen:
    """An encoder in use, by one or by several who hear the same.

    Attributes:
        form, rate: what it writes, as `Streams.form` gives it, and Hz of what it is given.
        silent_ms: how long it was given nothing but zeros.
        last: the packet that it wrote last, empty if none.
        mode: that its receivers ask for, None if they ask for none.
        said: names all that it was given since it was at rest, empty while it is; None if it took part in a talk.
        spared: what it was not given lately, because the packet was known.
        failures: how often its library refused to encode.
    """

    encoder: Encoder
    form: Format
    rate: int
    seamless: bool
    silent_ms: int = 0
    last: bytes = b""
    mode: int | None = None
    said: bytes | None = b""
    spared: deque[Samples] = field(default_factory=deque)
    failures: int = 0

    @classmethod
    def new(cls, form: Format, rate: int) -> Pen:
        """One that has written nothing. Raises `CodecError`."""
        codec = CODECS[form.codec]
        assert isinstance(codec, Coder)
        return cls(codec.encoder(rate, form.ptime, form.settings), form, rate, codec.seamless)

    @property
    def rests(self) -> bool:
        """It need not be called, for its last packet would be the next one, too."""
        return self.silent_ms > SETTLED_MS and bool(self.last)

    def writes(self, form: Format, rate: int) -> bool:
        """It was made for that format, in the present life of it, and that rate."""
        return self.form is form and self.rate == rate

    def ask(self, mode: int | None) -> None:
        """Have it write a mode that its receivers ask for. What it rests in is of the one before."""
        if mode != self.mode:
            self.silent_ms = 0
        self.mode = mode
        self.encoder.request(mode)

    def hear(self, samples: Samples, memo: Memo | None) -> bool:
        """Take note of what is to be written next.

        Args:
            memo: of what nobody but prompts says; None if these samples are of a talk.

        Returns:
            True if `last` is that packet already.
        """
        self.silent_ms = 0 if samples.any() else self.silent_ms + self.form.ptime
        if self.rests:
            self.said = b""
            self.spared.clear()
            return True
        if memo is None:
            self.said = None
        elif self.said is not None and (self.said or not self.silent_ms):  # silence after rest is nothing said
            self.said = self._name(self.said, samples)
            known = memo.get(self.said)
            if known is not None:
                self._spare(samples)
                self.last = known
                return True
        return False

    def write(self, samples: Samples) -> None:
        """Write the next packet. If the library refuses, it is the last one again: one encoder must not silence all
        others."""
        try:
            while self.spared:
                self.encoder.encode(self.spared.popleft())
            self.last = self.encoder.encode(samples)
        except CodecError:
            self.failures += 1
            self.said = None

    def fork(self) -> Pen:
        """Another that goes on where this one stands."""
        other = Pen.new(self.form, self.rate)
        other.take_over(self)
        return other

    def take_over(self, other: Pen) -> None:
        """Go on where another stands. It is not changed."""
        self.encoder.take_over(other.encoder)
        self.silent_ms, self.last, self.said, self.spared = other.silent_ms, other.last, other.said, other.spared.copy()

    def _name(self, said: bytes, samples: Samples) -> bytes:
        kind = self.form.codec, self.form.clock, self.form.ptime, self.form.settings, self.rate, self.mode
        return blake2b(repr(kind).encode() + said + samples.tobytes(), digest_size=16).digest()

    def _spare(self, samples: Samples) -> None:
        self.spared.append(samples.copy())
        if len(self.spared) * self.form.ptime > RUN_UP_MS:
            self.spared.popleft()

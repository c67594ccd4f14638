"""The signals: keys for members who are told them by the signalling, as plain SDES phones are (RFC 4568).

Knows: which key a member is to be told next, and which it was told last. Must never know: SIP, SDP, or who is to
have a key.

Such a member holds one key at a time. Whoever signals sees to it that a message arrives, so nothing is said twice
while it is on its way; an answer settles it, and all that were on their way before it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from control.rekey.keychain import Keychain
from control.rekey.tickets import Counts, Joiner
from mixer.port import Key, StreamPosition

OWN: Final = 0
"""The epoch of a member's own key, which no group key has."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A key that a member is to be told now. Answer with `signalled` or `unsignalled`."""

    member: str
    cohort: int
    epoch: int
    """0 for the member's own key: no group key is wanted any more."""
    key: Key
    streams: tuple[StreamPosition, ...] = ()
    """Those that it will hear, as far as they are known: in style `ssrc` a key that is not yet in use has none, and
    its streams begin at rollover counter 0."""


@dataclass(frozen=True, slots=True)
class Current:
    """A key in use, for the answer to one who is about to join (`admission: current`)."""

    cohort: int
    epoch: int
    key: Key
    streams: tuple[StreamPosition, ...] = ()


@dataclass(slots=True)
class _Line:
    """What there is for one member."""

    own: Key | None
    cohort: int = 0
    holds: int = OWN
    """The epoch that it has."""
    under_way: list[int] = field(default_factory=list)
    """Epochs that it is being told, in order."""


class Signals:
    """Members of one conference whose keys go with the signalling."""

    def __init__(self, keychain: Keychain, counts: Counts) -> None:
        self._keychain, self._counts = keychain, counts
        self._lines: dict[str, _Line] = {}
        self._outgoing: deque[Signal] = deque()

    def open(self, joiner: Joiner, holds: int) -> None:
        """A member comes. `holds`: the epoch that it was told already, or 0."""
        self._lines[joiner.name] = _Line(joiner.leg.tx, holds=holds)

    def close(self, member: str) -> None:
        """A member is gone: it is told nothing more."""
        del self._lines[member]
        if self._outgoing:
            self._outgoing = deque(signal for signal in self._outgoing if signal.member != member)

    def clear(self) -> None:
        """Forget everybody."""
        self._lines.clear()
        self._outgoing.clear()

    def __contains__(self, member: str) -> bool:
        return member in self._lines

    def place(self, member: str, cohort: int) -> None:
        """A member's leg is in that cohort."""
        self._lines[member].cohort = cohort

    def deliver(self, cohort: int, epoch: int, members: tuple[str, ...], streams: tuple[StreamPosition, ...]) -> None:
        """Have members told a key, but for those who are being told it."""
        if not self._keychain.holds(cohort, epoch):
            return
        for name in members:
            line = self._lines[name]
            if epoch not in line.under_way:
                self._say(line, Signal(name, cohort, epoch, self._keychain.key(cohort, epoch), streams))

    def recall(self, cohort: int) -> None:
        """There is no group key any more: who has one, or is being told one, is told its own again."""
        for name, line in self._lines.items():
            last = line.under_way[-1] if line.under_way else line.holds
            if line.cohort == cohort and last != OWN and line.own is not None:
                self._say(line, Signal(name, cohort, OWN, line.own))

    def _say(self, line: _Line, signal: Signal) -> None:
        line.under_way.append(signal.epoch)
        self._counts.signals += 1
        self._outgoing.append(signal)

    def taken(self, member: str, epoch: int) -> bool:
        """A member has taken a key, and has none but that now. False, and counted, if it was not being told it."""
        line = self._lines.get(member)
        if line is None or epoch not in line.under_way:
            self._counts.bad_acks += 1
            return False
        self._counts.acks += 1
        line.holds = epoch
        del line.under_way[: line.under_way.index(epoch) + 1]
        return True

    def refused(self, member: str, epoch: int) -> bool:
        """A member would not take a key, or was not reached. It may be told it again. False if it was not told it."""
        line = self._lines.get(member)
        if line is None or epoch not in line.under_way:
            return False
        line.under_way.remove(epoch)
        return True

    def outgoing(self) -> list[Signal]:
        """What is to be signalled, since the last call."""
        drained = list(self._outgoing)
        self._outgoing.clear()
        return drained

"""The post: key messages to members, and their acknowledgements (MIKEY with pre-shared keys).

Knows: each member's side of the bundle, and what is on its way. Must never know: who is to have a key, or how
datagrams travel.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from control.mikey.errors import MikeyError
from control.mikey.psk import Sender
from control.rekey.keychain import Keychain
from control.rekey.tickets import Counts
from mixer import port
from mixer.secret import Secret


@dataclass(slots=True)
class _Box:
    """What there is for one member."""

    ratchets: bool
    sender: Sender
    cohort: int = 0
    stream: port.StreamPosition | None = None
    """What it hears, as the mixer told when its leg was added."""
    message: bytes = b""
    """The push on its way, to be sent again as it is; empty when it has arrived."""
    epoch: int = 0
    """Of the push that was sent last, and its timestamp."""
    timestamp: int = 0


class Post:
    """Messages of one conference."""

    def __init__(self, keychain: Keychain, counts: Counts, *, identity: bytes) -> None:
        self._keychain, self._counts, self._identity = keychain, counts, identity
        self._boxes: dict[str, _Box] = {}
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._timestamp = 0
        """Of the last push to anybody: none is used twice, not even for one who comes again."""
        self._positions: dict[int, dict[int, port.StreamPosition]] = {}
        """Where the streams of a cohort, by SSRC, stood at its last switch."""

    def open(self, member: str, psk: Secret, *, ratchets: bool) -> None:
        """A member comes. Raises `MikeyError` if its PSK is too short."""
        sender = Sender(
            psk,
            identity=self._identity,
            peer=member.encode(),
            csb_id=self._keychain.csb_id,
            rand=self._keychain.rand,
        )
        self._boxes[member] = _Box(ratchets, sender)

    def close(self, member: str) -> None:
        """A member is gone: what lies here for it is not sent any more."""
        del self._boxes[member]
        if self._outgoing:
            self._outgoing = deque(message for message in self._outgoing if message[0] != member)

    def clear(self) -> None:
        """Forget everybody."""
        self._boxes.clear()
        self._outgoing.clear()
        self._positions.clear()

    def __contains__(self, member: str) -> bool:
        return member in self._boxes

    def place(self, member: str, cohort: int) -> None:
        """A member's leg is in that cohort."""
        self._boxes[member].cohort = cohort

    def hears(self, member: str, stream: port.StreamPosition) -> None:
        """What a member hears, and where that stands."""
        self._boxes[member].stream = stream

    def switched(self, event: port.KeySwitched) -> None:
        """Where streams stood at a switch is what later pushes tell: for one who begins then, or lost count."""
        self._positions[event.cohort] = {position.ssrc: position for position in event.streams}

    def streams_of(self, cohort: int) -> list[port.StreamPosition]:
        """Where the streams of a cohort stood at its last switch."""
        return list(self._positions.get(cohort, {}).values())

    def deliver(self, cohort: int, epoch: int, members: tuple[str, ...], attempt: int) -> None:
        """Send a key. What is sent again is sent as it was, and its acknowledgement is the same."""
        if not self._keychain.holds(cohort, epoch):
            return
        for name in members:
            box = self._boxes[name]
            if box.epoch != epoch or attempt == 1 or not box.message:
                self._write(box, cohort, epoch)
            self._counts.messages += 1
            self._counts.octets += len(box.message)
            self._outgoing.append((name, box.message))

    def _write(self, box: _Box, cohort: int, epoch: int) -> None:
        self._timestamp += 1
        push = self._keychain.push(cohort, epoch, self._heard_by(box), ratchets=box.ratchets)
        box.message = box.sender.push(push, timestamp=self._timestamp)
        box.epoch, box.timestamp = epoch, self._timestamp

    def _heard_by(self, box: _Box) -> list[port.StreamPosition]:
        """The stream that a member hears, where it was last known to stand."""
        if box.stream is None:
            return []
        switched = self._positions.get(box.cohort, {}).get(box.stream.ssrc, box.stream)
        return [max(box.stream, switched, key=lambda position: (position.roc, position.seq))]

    def acknowledged(self, member: str, octets: bytes) -> int | None:
        """The epoch that a member says it has; None, and counted, if that is no word about the push sent last."""
        box = self._boxes.get(member)
        try:
            timestamp = box.sender.acknowledged(octets) if box is not None else None
        except MikeyError:
            timestamp = None
        if box is None or timestamp is None or timestamp != box.timestamp:
            self._counts.bad_acks += 1
            return None
        self._counts.acks += 1
        box.message = b""
        return box.epoch

    def outgoing(self) -> list[tuple[str, bytes]]:
        """(member, octets), since the last call."""
        sent = list(self._outgoing)
        self._outgoing.clear()
        return sent

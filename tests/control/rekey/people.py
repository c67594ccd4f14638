"""Members as the watch of the stage sees them, and the network between them and everything else."""

from __future__ import annotations

from dataclasses import dataclass, field

from control.rekey.epochs import generation_of, step_of


@dataclass(slots=True)
class Person:
    """One who is, or was, a member. A name that comes back is another person."""

    name: str
    joined: float
    ratchets: bool = True
    one_key: bool = False
    hand: int = 0
    """Generation of the key that it took last: all that one has who holds one key. 0 is its own."""
    busy: float = 0.0
    """Until then the signalling tells it a key: one at a time, in order."""
    cohort: int = -1
    sent: dict[int, int] = field(default_factory=dict)
    """By generation, the lowest step that it was sent."""
    said: dict[int, int] = field(default_factory=dict)
    """By generation, the highest step that it acknowledged, and the policy took."""
    left: float | None = None
    heard: float = 0.0
    """Until when it could decrypt what its cohort was sent after it left."""
    hears: bool = False
    """It still can."""
    forgotten: bool = False
    """The focus restarted after it left: nobody keeps its account."""

    def take(self, epoch: int) -> None:
        """It was told a key before it came."""
        self.hand = generation_of(epoch)
        self.sent[self.hand] = step_of(epoch)
        self.say(epoch)

    def say(self, epoch: int) -> None:
        """It has acknowledged a key."""
        generation = generation_of(epoch)
        self.said[generation] = max(self.said.get(generation, 0), step_of(epoch))

    def can_decrypt(self, epoch: int | None) -> bool:
        """With what it was sent, and every step that follows."""
        first = None if epoch is None else self.sent.get(generation_of(epoch))
        return first is not None and epoch is not None and first <= step_of(epoch)


@dataclass(slots=True)
class Network:
    """How long things take, in seconds, and what is lost."""

    kms: float = 0.01
    mixer: float = 0.02
    """Half of it until a switch, the other half until its answer."""
    rtt: float = 0.1
    """On average; half of it to one and a half times."""
    loss: float = 0.0
    kms_fails: float = 0.0
    mixer_fails: float = 0.0
    deaf: set[str] = field(default_factory=set)
    """Members who never acknowledge anything."""

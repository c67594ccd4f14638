"""The channels: how keys reach members; by MIKEY messages (`post`), by the signalling (`signals`), or not at all.

Knows: which member is served by which. Must never know: who is to have a key.

A member who follows no key is `apart`: it has an own key for life, and there is nothing to be told to it.
"""

from __future__ import annotations

from control.rekey.keychain import Keychain
from control.rekey.post import Post
from control.rekey.signals import Current, Signals
from control.rekey.tickets import Counts, Joiner
from mixer import port


class Channels:
    """All channels of one conference."""

    def __init__(self, keychain: Keychain, counts: Counts, *, identity: bytes) -> None:
        self._keychain = keychain
        self.post = Post(keychain, counts, identity=identity)
        self.signals = Signals(keychain, counts)

    def open(self, joiner: Joiner, holds: int) -> None:
        """A member comes; `holds`: the epoch that it was told already. Raises `MikeyError` if its PSK is too short."""
        if joiner.apart:
            return
        if joiner.psk is None:
            self.signals.open(joiner, holds)
        else:
            self.post.open(joiner.name, joiner.psk, ratchets=joiner.ratchets)

    def close(self, member: str) -> None:
        """A member is gone."""
        if member in self.signals:
            self.signals.close(member)
        elif member in self.post:
            self.post.close(member)

    def clear(self) -> None:
        """Forget everybody."""
        self.post.clear()
        self.signals.clear()

    def place(self, member: str, cohort: int) -> None:
        """A member's leg is in that cohort."""
        (self.signals if member in self.signals else self.post).place(member, cohort)

    def hears(self, member: str, stream: port.StreamPosition) -> None:
        """What a member hears, and where that stands."""
        if member in self.post:
            self.post.hears(member, stream)

    def deliver(self, cohort: int, epoch: int, members: tuple[str, ...], attempt: int) -> None:
        """Tell members a key."""
        signalled = tuple([name for name in members if name in self.signals])
        if signalled:
            self.signals.deliver(cohort, epoch, signalled, self._streams(cohort, epoch))
            members = tuple([name for name in members if name not in self.signals])
        self.post.deliver(cohort, epoch, members, attempt)

    def current(self, cohort: int, epoch: int) -> Current | None:
        """A key in use, and where its streams stand; None if it is not here any more."""
        if not self._keychain.holds(cohort, epoch):
            return None
        return Current(cohort, epoch, self._keychain.key(cohort, epoch), self._streams(cohort, epoch))

    def _streams(self, cohort: int, epoch: int) -> tuple[port.StreamPosition, ...]:
        """Streams of a cohort as its last switch left them, if they go on under this key."""
        known = self.post.streams_of(cohort)
        return tuple([stream for stream in known if self._keychain.named or stream.epoch == epoch])

"""Which phones follow a change of key: by what was agreed on, and by what their kind is known to do.

Knows: kinds of phones, learned while the focus runs. Must never know: keys, or when they change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from control.focus.call import Call
from control.focus.settings import RoomSettings

MANY_AGENTS: Final = 256
"""So many kinds of phones are learned to ignore keys; there are not so many, but for liars."""


class Following:
    """What all rooms know of phones."""

    def __init__(self, for_life: Iterable[str]) -> None:
        """`for_life`: words in the User-Agent of phones that hold one key for life."""
        self._words = [word.lower() for word in for_life if word]
        self._learned: set[str] = set()
        """Whole User-Agents: a word of a liar's choice would fit many."""

    def may_follow(self, call: Call, room: RoomSettings) -> bool:
        """It can be given another key later, and one of the suite of the group."""
        agreed = call.agreed
        if call.apart or agreed is None or agreed.crypto is None or agreed.crypto.suite != room.suite:
            return False
        if room.style == "mki":
            return call.psk is not None and agreed.mki
        return self.takes_another(call)

    def takes_another(self, call: Call) -> bool:
        """It can be given another key in a re-INVITE."""
        if call.agreed is None or call.agreed.crypto is None or call.agent in self._learned:
            return False
        return not any(word in call.agent.lower() for word in self._words)

    def learn(self, agent: str) -> None:
        """Phones of this kind ignore new keys."""
        if agent and len(self._learned) < MANY_AGENTS:
            self._learned.add(agent)

"""The register: who is in the conference, as each came, for a mixer that has to be told anew.

Knows: joiners, and who was there before this focus. Must never know: keys, commands, or the mixer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from control.rekey.tickets import Joiner

Renew: TypeAlias = Callable[[Iterable[str]], Awaitable[list[Joiner]]]
"""Signals fresh keys to members whose legs are gone with a mixer, and returns them as they join again. Who is left out
leaves. May raise `ControlError`, and is asked again then."""


class Register:
    """Members of one conference."""

    def __init__(self, renew: Renew) -> None:
        self._renew = renew
        self._joiners: dict[str, Joiner] = {}
        self.adopted: set[str] | None = None
        """Who was there before this focus, until the mixer was asked; None if there was nobody to ask for."""

    def adopt(self, joiners: Iterable[Joiner]) -> None:
        """They were there before."""
        self._joiners |= {joiner.name: joiner for joiner in joiners}
        self.adopted = set(self._joiners)

    def enter(self, joiner: Joiner) -> None:
        """Somebody comes."""
        self._joiners[joiner.name] = joiner

    def strike(self, member: str) -> None:
        """Somebody goes."""
        self._joiners.pop(member, None)

    def names(self) -> set[str]:
        """Whom the mixer may know, if it was told by us."""
        return set(self._joiners) if self.adopted is None else set(self.adopted)

    def joiners(self) -> list[Joiner]:
        """Everybody."""
        return list(self._joiners.values())

    async def refresh(self, names: Iterable[str]) -> list[str]:
        """Have members signalled anew, and return who is to leave. Who comes or goes meanwhile has come or gone."""
        asked = {name: self._joiners[name] for name in names if name in self._joiners}
        if not asked:
            return []
        renewed = {joiner.name: joiner for joiner in await self._renew(list(asked))}
        still = [name for name, former in asked.items() if self._joiners.get(name) is former]
        self._joiners |= {name: renewed[name] for name in still if name in renewed}
        return [name for name in still if name not in renewed]

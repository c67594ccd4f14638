"""How work on many independent things is done: one after another, or, if the shell gives another `Spread`, by threads.

The engine has no threads of its own. What it spreads are calls of codec libraries, which let go of the
interpreter's lock; it waits for all of them, so a tick gives the same packets either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """Like `map`, into a list. No two items may share anything that changes."""

    def __call__(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]: ...


def one_by_one(work: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
    """Do everything here and now."""
    return [work(item) for item in items]

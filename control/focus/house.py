"""What all rooms of a focus share, and why one may not let a call in.

Knows: which parts there are. Must never know: what a room does with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from control.errors import UNREACHABLE, ControlError
from control.focus.errands import Faults
from control.focus.following import Following
from control.focus.settings import FocusSettings
from control.focus.trunk import Trunk
from control.rekey.driver import KeySource


class Ended(ControlError):
    """The call, or its room, has ended while the call came up."""

    def __init__(self) -> None:
        super().__init__(UNREACHABLE, "the call has ended while it came up")


class Full(Exception):
    """The room has all the calls that it may have."""

    def __init__(self) -> None:
        super().__init__("the room is full")


@dataclass(frozen=True, slots=True)
class House:
    """What all rooms share."""

    settings: FocusSettings
    trunk: Trunk
    keys: KeySource
    has_kms: bool
    following: Following
    faults: Faults = field(default_factory=Faults)

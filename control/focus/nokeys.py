"""No KMS: nobody makes group keys, and every room is keyed phone by phone."""

from __future__ import annotations

from control.errors import UNREACHABLE, ControlError
from mixer.secret import Secret
from mixer.suites import SuiteName


class NoKeys:
    """A `KeySource` that has none."""

    async def make(self, conference: str, cohort: int, epoch: int, suite: SuiteName) -> Secret:
        raise ControlError(UNREACHABLE, "this focus has no KMS: say where it is in [keys] kms")

    async def admit(self, conference: str, member: str) -> None:
        """Nobody is to be told."""

    async def expel(self, conference: str, member: str) -> None:
        """Nobody is to be told."""

    async def close(self, conference: str) -> None:
        """Nothing is to be closed."""

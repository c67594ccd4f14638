"""Keys pressed for legs: digits that control wants an endpoint to be told, as telephone events (RFC 4733).

While a digit lasts, and for the pause behind it, its leg is sent events in place of sound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixer.codecs.dialling import Dialling, DiallingError, Event, QueueFull
from mixer.legs import Leg, Mode
from mixer.plans import Plan
from mixer.port import PortError, Refusal
from mixer.state import State


class Dials:
    """All that is being dialled."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._dialling: dict[int, Dialling] = {}
        """By leg row."""

    def dial(self, leg: Leg, digits: str) -> None:
        """Send digits to a leg, after those that wait.

        Raises:
            PortError: INVALID, KEY_MISSING or LIMIT, and nothing has changed.
        """
        legs, row = self._state.legs, leg.row
        if leg.wish.dtmf is None and leg.wish.dtmf_out is None:
            raise PortError(Refusal.INVALID, f"leg {leg.name!r} was added without `dtmf`: it knows no telephone events")
        if legs.mode[row] == Mode.GROUP_MKI and legs.tx_session[row] < 0:
            text = f"leg {leg.name!r} has no key of its own to be told keys under; add it with `tx`"
            raise PortError(Refusal.KEY_MISSING, text)
        dialling = self._dialling.get(row) or Dialling(int(legs.clock[row]), leg.wish.ptime)
        try:
            dialling.dial(digits)
        except QueueFull as error:
            raise PortError(Refusal.LIMIT, str(error)) from None
        except DiallingError as error:
            raise PortError(Refusal.INVALID, str(error)) from None
        self._dialling[row] = dialling

    def forget(self, row: int) -> None:
        """A leg is about to be removed."""
        self._dialling.pop(row, None)

    def step(self, plan: Plan) -> dict[int, Event]:
        """What legs of a plan are told in this packet time, by leg row."""
        if not self._dialling:
            return {}
        told: dict[int, Event] = {}
        for row in plan.leg[np.isin(plan.leg, list(self._dialling))].tolist():
            event = self._dialling[row].step()
            if event is not None:
                told[row] = event
            elif not self._dialling[row].waiting:
                del self._dialling[row]
        return told

    def payload_type(self, row: int) -> int:
        """Of the events that a leg is sent."""
        wish = self._state.legs.at(row).wish
        return (wish.dtmf if wish.dtmf_out is None else wish.dtmf_out) or 0


def among(plan: Plan, rows: dict[int, Event]) -> NDArray[np.bool_]:
    """bool[n], the legs of a plan that are being told something."""
    return np.isin(plan.leg, list(rows)) if rows else np.zeros(len(plan.leg), bool)

"""Ringing: whom we call picks up, or stops to ring. Knows: how long. Must never know: rooms."""

from __future__ import annotations

import asyncio

from sipmessage import Response

from control.focus.errands import Errands
from control.sip.agent import OutgoingCall
from control.sip.dialogs import Dialog
from control.sip.errors import CallRefused, DialogGone


async def picked_up(outgoing: OutgoingCall, within_s: float, errands: Errands) -> tuple[Dialog, Response]:
    """The answer of who is called. Who does not answer in time, or is not wanted any more, stops to ring.

    Raises:
        CallRefused, SipError: if there will be no call.
    """
    try:
        async with asyncio.timeout(within_s):
            dialog, response = await outgoing.answered()
    except TimeoutError:
        errands.run(outgoing.cancel())
        raise CallRefused(408, "nobody picks up") from None
    except asyncio.CancelledError:
        errands.run(outgoing.cancel())
        raise
    if dialog.ended:
        raise DialogGone("who was called has hung up at once")
    return dialog, response

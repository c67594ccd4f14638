"""How a caller answers requests in its call: further offers, keys, and whatever else; well or by its habits.

Knows: one request and the call that it is in. Must never know: dialogs, or how a call ends.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bench.callers.call import Call
from control.sdp.model import SdpError
from control.sdp.refusal import Unacceptable
from control.sip.agent import Incoming

MIKEY: Final = "application/mikey"


async def answer(incoming: Incoming, call: Call) -> None:
    """Answer anything but BYE."""
    if call.habits.silent:
        return
    if incoming.method == "INVITE" or (incoming.method == "UPDATE" and incoming.body):
        await _offered(incoming, call)
    elif incoming.method == "INFO":
        incoming.respond(200, body=call.informed(incoming.body), content_type=MIKEY)
    else:
        incoming.respond(200)


async def _offered(incoming: Incoming, call: Call) -> None:
    if call.habits.late_s:
        await asyncio.sleep(call.habits.late_s)
    if call.habits.refuses_reinvite:
        incoming.respond(488)
        return
    try:
        body = call.answer(incoming.body) if incoming.body else call.negotiation.reoffer()
    except (SdpError, Unacceptable):
        incoming.respond(488)
        return
    incoming.respond(200, body=body)

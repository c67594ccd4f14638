"""How keys reach the phones of a room, and what phones say to them: the carrier of its driver.

A key for an SDES phone goes as a re-INVITE, one for an endpoint that speaks MIKEY as an INFO (RFC 6086).

Knows: calls, and how each takes keys. Must never know: which key is sent, or why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from control.focus.call import Call
from control.focus.errands import Errands
from control.focus.legs import Legs
from control.rekey.driver import Driver
from control.rekey.signals import Signal
from control.sip.errors import SipError

MIKEY: Final = "application/mikey"
PACKAGE: Final = "mrfp-key"
"""The Info-Package of key messages (RFC 6086)."""


class Carrying:
    """Of one room."""

    driver: Driver
    """Is handed what phones answer."""

    def __init__(self, calls: Mapping[str, Call], legs: Legs, errands: Errands) -> None:
        self._calls, self._legs, self._errands = calls, legs, errands

    def signal(self, signal: Signal) -> None:
        """Carry a key to an SDES phone."""
        call = self._calls.get(signal.member)
        if call is not None:
            self._errands.run(self._rekey(call, signal))

    def send(self, member: str, octets: bytes) -> None:
        """Carry a MIKEY message."""
        call = self._calls.get(member)
        if call is not None:
            self._errands.run(self._inform(call, octets))

    def informed(self, call: Call, content: str, octets: bytes) -> None:
        """An INFO of a phone, or what it answered to one of ours: its word that it has a key, or nothing to us."""
        if content.partition(";")[0].strip().lower() == MIKEY:
            self.driver.heard(call.name, octets)

    async def _rekey(self, call: Call, signal: Signal) -> None:
        if await call.rekey(signal.key):
            await self._legs.expect(call)
            self.driver.signalled(call.name, signal.epoch)
        else:
            self.driver.unsignalled(call.name, signal.epoch)

    async def _inform(self, call: Call, octets: bytes) -> None:
        if call.dialog is None:
            return
        headers = (("Info-Package", PACKAGE), ("Content-Disposition", "Info-Package"))
        try:
            response = await call.dialog.request("INFO", headers=headers, body=octets, content_type=MIKEY)
        except SipError as error:
            _log.warning("key_not_carried", leg=call.name, reason=str(error))
            return
        self.informed(call, MIKEY if response.body else "", response.body)


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("focus")

"""Between a connection and the service: one for each peer. See `control.desk.Desk`.

Knows: which peer it serves. Must never know: lines, sockets, or what is asked.
"""

from __future__ import annotations

import asyncio

import msgspec

from control.kms.service import KmsService
from control.listen import Peer
from control.messages import Missed
from mixer import port


class KmsDesk:
    """What stands behind one connection; see `control.desk.Desk`."""

    def __init__(self, service: KmsService, peer: Peer) -> None:
        self._service = service
        self._caller = service.caller(peer)

    async def run(self, params: msgspec.Struct) -> msgspec.Struct:
        """Run a call. Nothing comes between it and its reply, so that no key is wiped in the middle."""
        await asyncio.sleep(0)
        return self._service.run(self._caller, params)

    async def next_event(self) -> port.Event | Missed | None:
        """The KMS says nothing unasked."""
        return None

    def fault(self) -> None:
        """Count an error of our own."""
        self._service.faults += 1

    def close(self) -> None:
        """Nothing is kept for a peer."""

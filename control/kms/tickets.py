"""The ticket side of the KMS: MIKEY-TICKET (RFC 6043) by the rules of the registry.

Knows: who joins the two. Must never know: what is in a ticket.

The ticket protection key lives as long as the process: after a restart no old ticket can be resolved.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from control.kms.service import KmsService
from control.mikey.ticket import TicketAuthority
from mixer.secret import Secret

IDENTITY: Final = "kms"
"""What this KMS is called in MIKEY messages (IDRkms)."""


def authority(service: KmsService, psk_of: Callable[[str], Secret | None]) -> TicketAuthority:
    """A ticket authority that asks the service who may request a group's ticket, and who may resolve it."""
    return TicketAuthority(
        psk_of,
        service.may_request,
        service.may_resolve,
        ticket_key=Secret(secrets.token_bytes(32)),
        identity=IDENTITY,
    )

"""Where a dialog leads: the Contact and the routes of a message (RFC 3261 section 12.1). Pure."""

from __future__ import annotations

from control.sip.message import Envelope
from control.sip.values import parse_name_addr, split_list


def contact_of(envelope: Envelope) -> str:
    """The URI of a Contact that a dialog can use; "" without one."""
    try:
        members = split_list(envelope.headers.get("Contact") or "")
        uri = parse_name_addr(members[0]).uri if members else ""
    except ValueError:
        return ""
    return uri if uri.partition(":")[0].lower() in {"sip", "sips"} else ""


def record_routes(envelope: Envelope) -> tuple[str, ...]:
    """All members of Record-Route, from the top. Each is an address: no other message comes this far."""
    return tuple(route for value in envelope.headers.getlist("Record-Route") for route in split_list(value))

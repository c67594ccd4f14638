"""Origin: what all requests have in common that begin something: one Call-ID, one From tag, rising numbers.

Knows RFC 3261 section 8.1.1, and the dialog that an answer makes (12.1.2).
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from control.sip.dialogs import Dialog
from control.sip.flows import Flow
from control.sip.message import Envelope
from control.sip.requests import Outgoing, new_call_id, new_tag, via_and_branch
from control.sip.targets import contact_of, record_routes
from control.sip.values import parse_name_addr

if TYPE_CHECKING:
    from control.sip.core import Core
    from control.sip.digest import Credentials

Fields = tuple[tuple[str, str], ...]


class Origin:
    """Where a call, a subscription or a single request begins.

    Args:
        uri: whom to ask.
        from_uri: who we say we are: a URI, or a name-addr.
        fields: further fields; Route among them is the way.
    """

    def __init__(self, core: Core, uri: str, from_uri: str, fields: Fields) -> None:
        self._core = core
        self._from = parse_name_addr(from_uri if "<" in from_uri else f"<{from_uri}>")
        self._header = from_uri if "<" in from_uri else f"<{from_uri}>"
        self._routes = tuple(value for name, value in fields if name.lower() == "route")
        self._fields = tuple(pair for pair in fields if pair[0].lower() != "route")
        self.uri = uri
        self.call_id = new_call_id()
        self.tag = new_tag()
        self.cseq = random.randint(1, 2**16)

    @property
    def next_hop(self) -> str:
        """The URI that the first request goes to."""
        return parse_name_addr(self._routes[0]).uri if self._routes else self.uri

    def compose(
        self, method: str, flow: Flow, fields: Fields = (), body: bytes = b"", content_type: str = "application/sdp"
    ) -> Outgoing:
        """A request, with the next number."""
        self.cseq += 1
        via, branch = via_and_branch(flow, self._core.sent_by(flow))
        return Outgoing(
            method=method,
            uri=self.uri,
            sender=f"{self._header};tag={self.tag}",
            to=f"<{self.uri}>",
            call_id=self.call_id,
            cseq=self.cseq,
            via=via,
            branch=branch,
            routes=self._routes,
            fields=(*self._about_us(method, flow), *self._fields, *fields),
            body=body,
            content_type=content_type,
        )

    def dialog(self, envelope: Envelope, credentials: Credentials | None, flow: Flow | None = None) -> Dialog:
        """The dialog that a response makes, or with a flow, a NOTIFY that came on it."""
        asked = flow is not None
        peer = envelope.sender if asked else envelope.to
        flow = flow or self._flow
        routes = record_routes(envelope)
        dialog = Dialog(
            core=self._core,
            call_id=self.call_id,
            local_tag=self.tag,
            remote_tag=peer.tag,
            local_uri=self._from.uri,
            remote_uri=peer.uri,
            remote_target=contact_of(envelope),
            display=peer.display,
            flow=flow,
            secure=flow.secure,
            contact=self._core.contact(flow, self._user()),
            caller=True,
            routes=routes if asked else tuple(reversed(routes)),
            local_cseq=self.cseq,
            early=not asked,
            credentials=credentials,
        )
        self._core.dialogs.add(dialog)
        return dialog

    def _about_us(self, method: str, flow: Flow) -> Fields:
        core = self._core
        self._flow = flow
        fields: Fields = (("User-Agent", core.settings.user_agent),)
        given = {name.lower() for name, _ in self._fields}
        if method in {"INVITE", "SUBSCRIBE", "REFER", "REGISTER"} and "contact" not in given:
            fields = (("Contact", core.contact(flow, self._user())), *fields)
        if method in {"INVITE", "OPTIONS", "SUBSCRIBE", "REFER"}:
            about = (("Allow", ", ".join(core.allow)), ("Supported", ", ".join(core.supported)))
            fields += tuple(pair for pair in about if pair[0].lower() not in given and pair[1])
        return fields

    def _user(self) -> str:
        return self._from.uri.partition(":")[2].rpartition("@")[0].partition(":")[0]

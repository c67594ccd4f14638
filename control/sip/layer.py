"""The transaction layer: to which transaction a message belongs (RFC 3261 sections 17.1.3 and 17.2.3). Sans-IO.

Knows transactions, and makes a new one where there is none. Must never know dialogs: whatever is not a matter of
one transaction goes up to a `User`.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from control.sip import responses
from control.sip.admission import Admission, Limits
from control.sip.client_transactions import Asker, ClientTransaction, InviteClientTransaction
from control.sip.errors import TransportLost
from control.sip.flows import Flow
from control.sip.message import Envelope, Malformed, parse
from control.sip.requests import COOKIE, Fields, Outgoing
from control.sip.server_transactions import InviteServerTransaction, Send, ServerTransaction, State
from control.sip.timers import Intervals, Timers
from control.sip.values import parse_via, split_list

Key = tuple[str, ...]


class User(Protocol):
    """The user agent above."""

    def requested(self, envelope: Envelope, flow: Flow, transaction: ServerTransaction) -> None: ...

    def cancelled(self, transaction: ServerTransaction) -> None: ...

    def acknowledged(self, envelope: Envelope, flow: Flow) -> None: ...


class Layer:
    """All transactions of one user agent.

    Args:
        send: puts octets on a flow; False if it is gone.
        retry_after: what a source is told that asks for too much.
    """

    def __init__(
        self, timers: Timers, intervals: Intervals, send: Send, user: User, limits: Limits, retry_after: int
    ) -> None:
        self._timers = timers
        self._intervals = intervals
        self._user = user
        self._retry_after = retry_after
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._once: dict[Key, Key] = {}
        self.send = send
        self.admission = Admission(limits)
        self.dropped: Counter[str] = Counter()
        """Messages that came to nothing, by why."""

    # -----------------------------------------------------------------------------------------
    # What comes in

    def receive(self, octets: bytes, flow: Flow) -> None:
        """One message, as it came."""
        try:
            envelope = parse(octets)
        except Malformed as error:
            self._malformed(error, flow)
            return
        if envelope.status:
            self._response(envelope)
            return
        try:
            responses.stamp(envelope, flow)
        except ValueError:  # a semicolon within quotes: nobody writes such a Via in earnest
            self.dropped["via"] += 1
            return
        if envelope.method == "ACK":
            self._acknowledge(envelope, flow)
        else:
            self._request(envelope, flow)

    def complain(self, head: bytes, status: int, flow: Flow) -> None:
        """Answer what is not a whole message, if it can be answered."""
        try:
            envelope = parse(head if b"\r\n\r\n" in head else head + b"\r\n\r\n")
        except Malformed as error:
            error.status = status
            self._malformed(error, flow)
            return
        if not envelope.status and envelope.method != "ACK":
            self._refuse(envelope, flow, status)

    def lost(self, flow: Flow) -> None:
        """A connection broke: nothing more comes of what was asked on it."""
        for client in [client for client in self._clients.values() if client.flow == flow]:
            client.lose(TransportLost(f"the connection to {flow.remote[0]}:{flow.remote[1]} broke"))

    def close(self) -> None:
        """Forget all that is asked; what has been answered needs no more."""
        for client in list(self._clients.values()):
            client.lose(TransportLost("the user agent is closed"))

    # -----------------------------------------------------------------------------------------
    # What goes out

    def ask(self, flow: Flow, request: Outgoing, asker: Asker) -> ClientTransaction:
        """Begin a client transaction. Should the transport be gone, the asker hears of it at once."""

        def forget() -> None:
            self._clients.pop(request.key, None)

        kind = InviteClientTransaction if request.method == "INVITE" else ClientTransaction
        client = kind(
            self._timers,
            self._intervals,
            self.send,
            flow,
            request,
            asker,
            forget,
        )
        self._clients[request.key] = client
        if not client.begin():
            client.lose(TransportLost(f"there is no way to {flow.remote[0]}:{flow.remote[1]}"))
        return client

    def respond(self, transaction: ServerTransaction, status: int, octets: bytes) -> bool:
        """Send a response in a transaction; False if it comes too late."""
        pending = isinstance(transaction, InviteServerTransaction) and not transaction.answered
        if not transaction.respond(status, octets):
            return False
        if pending and transaction.answered:
            self.admission.answered(transaction.flow.remote[0])
        return True

    # -----------------------------------------------------------------------------------------

    def _response(self, envelope: Envelope) -> None:
        client = self._clients.get((envelope.via.branch, envelope.method))
        if client is None:
            self.dropped["response"] += 1
        else:
            client.receive(envelope)

    def _acknowledge(self, envelope: Envelope, flow: Flow) -> None:
        server = self._servers.get(key_of(envelope, "INVITE"))
        if isinstance(server, InviteServerTransaction):
            server.acknowledge()
        # Some send the ACK of a 2xx in the INVITE's transaction, where only that of a refusal belongs.
        if server is None or server.state is State.ACCEPTED:
            self._user.acknowledged(envelope, flow)

    def _request(self, envelope: Envelope, flow: Flow) -> None:
        key = key_of(envelope, envelope.method)
        known = self._servers.get(key)
        if known is not None:
            known.again()
            return
        invite = envelope.method == "INVITE"
        if not self.admission.admit(flow.remote[0], pending=invite):
            self._refuse(envelope, flow, 503, [("Retry-After", str(self._retry_after))])
            return
        server = self._open(envelope, flow, key)
        once = (envelope.call_id, str(envelope.cseq), envelope.sender.tag, envelope.method)
        if envelope.method == "CANCEL":
            self._cancel(envelope, server)
        elif not envelope.to.tag and self._once.setdefault(once, key) != key:
            self._answer(envelope, server, 482)  # section 8.2.2.2: it has come on two ways
        else:
            self._user.requested(envelope, flow, server)

    def _open(self, envelope: Envelope, flow: Flow, key: Key) -> ServerTransaction:
        back, source = responses.way_back(envelope.via, flow), flow.remote[0]
        once = (envelope.call_id, str(envelope.cseq), envelope.sender.tag, envelope.method)

        def forget() -> None:
            if self._servers.pop(key, None) is not None:
                self.admission.forgotten(source)
            if self._once.get(once) == key:
                del self._once[once]

        def crowded() -> bool:
            return self.admission.crowded

        parts = self._timers, self._intervals, self.send, back, forget
        server: ServerTransaction
        if envelope.method == "INVITE":
            request = envelope.request
            server = InviteServerTransaction(*parts, lambda: responses.encode(request, 100), crowded)
        else:
            server = ServerTransaction(*parts, crowded)
        self._servers[key] = server
        return server

    def _cancel(self, envelope: Envelope, server: ServerTransaction) -> None:
        invite = self._servers.get(key_of(envelope, "INVITE"))
        if invite is not None and not _same_peer(invite.flow, server.flow):
            invite = None
        self._answer(envelope, server, 481 if invite is None else 200)
        if invite is not None:
            self._user.cancelled(invite)

    def _answer(self, envelope: Envelope, server: ServerTransaction, status: int) -> None:
        tag = responses.stateless_tag(envelope.request)
        self.respond(server, status, responses.encode(envelope.request, status, to_tag=tag))

    def _refuse(self, envelope: Envelope, flow: Flow, status: int, fields: Fields = ()) -> None:
        """Answer without remembering it."""
        request = envelope.request
        octets = responses.encode(request, status, to_tag=responses.stateless_tag(request), fields=fields)
        self.send(responses.way_back(envelope.via, flow), octets)

    def _malformed(self, error: Malformed, flow: Flow) -> None:
        request = error.request
        try:
            if request is None:
                raise ValueError("nothing to answer")
            via = parse_via(split_list(request.headers["Via"])[0])
            via = responses.stamp_via(request, via, flow)
        except (ValueError, IndexError):
            self.dropped["malformed"] += 1
            return
        reason = str(error) if error.status == 400 else ""
        tag = responses.stateless_tag(request)
        self.send(responses.way_back(via, flow), responses.encode(request, error.status, reason, to_tag=tag))


def _same_peer(one: Flow, other: Flow) -> bool:
    """A CANCEL comes from whoever sent the INVITE: on its connection, or from its address."""
    return one == other if one.reliable else one.remote[0] == other.remote[0] and not other.reliable


def key_of(envelope: Envelope, method: str) -> Key:
    """What a retransmission has in common with its request (section 17.2.3)."""
    via = envelope.via
    if via.branch.startswith(COOKIE):
        return via.branch, via.sent_by, method
    tag = "" if method == "INVITE" else envelope.to.tag  # from before RFC 3261: an ACK has a tag, its INVITE none
    return envelope.call_id, str(envelope.cseq), envelope.sender.tag, tag, via.sent_by, method

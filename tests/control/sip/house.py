"""A user agent without sockets, on a clock that the test moves; and two of them on a wire that can lose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from control.sip.agent import ALLOW, SUPPORTED
from control.sip.core import Core
from control.sip.dialogs import Dialog
from control.sip.flows import Flow
from control.sip.incoming import Incoming
from control.sip.message import Envelope, parse
from control.sip.settings import SipSettings
from control.sip.timers import Timers

US = ("192.0.2.1", 5060)
PEER = Flow("udp", US, ("192.0.2.9", 5060))
OVER_TCP = Flow("tcp", US, ("192.0.2.9", 40000), connection=1)
OVER_TLS = Flow("tls", ("192.0.2.1", 5061), ("192.0.2.9", 40001), connection=2)


class Clock:
    """Seconds since the test began."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ring_until(when: float, clock: Clock, timers: Timers) -> None:
    """Let time pass, and what is due happen."""
    while (due := timers.due()) is not None and due <= when:
        clock.now = due
        timers.ring()
    clock.now = when


@dataclass
class Recorder:
    """An application that notes what it hears, and does what it is told."""

    heard: list[str] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    act: Callable[[Incoming], object] = lambda incoming: None
    bodies: list[bytes] = field(default_factory=list)

    def arrived(self, incoming: Incoming) -> None:
        self.heard.append(incoming.method)
        self.incoming.append(incoming)
        self.act(incoming)

    def cancelled(self, incoming: Incoming) -> None:
        self.heard.append("cancelled")

    def acknowledged(self, dialog: Dialog, body: bytes) -> None:
        self.heard.append("acknowledged")
        self.bodies.append(body)

    def unacknowledged(self, dialog: Dialog) -> None:
        self.heard.append("unacknowledged")

    def failed(self, dialog: Dialog) -> None:
        self.heard.append("failed")


class House:
    """One user agent."""

    def __init__(
        self,
        clock: Clock | None = None,
        settings: SipSettings | None = None,
        supported: tuple[str, ...] = SUPPORTED,
        address: tuple[str, int] = US,
    ) -> None:
        self.clock = clock or Clock()
        self.timers = Timers(self.clock)
        self.application = Recorder()
        self.out: list[tuple[Flow, bytes]] = []
        self.alive = True
        self.mute = False  # for what answers nonsense with nonsense
        self.address = address
        self.core = Core(
            settings or SipSettings(),
            self.application,
            self.timers,
            self.send,
            allow=ALLOW,
            supported=supported,
            contact_params=";isfocus",
            here=lambda _: address,
        )

    def send(self, flow: Flow, octets: bytes) -> bool:
        if not self.mute:
            self.out.append((flow, octets))
        return self.alive

    def hear(self, octets: bytes | str, flow: Flow = PEER) -> list[Envelope]:
        """Receive, and return what is said at once."""
        octets = octets.encode() if isinstance(octets, str) else octets
        self.core.layer.receive(octets, flow)
        return self.said()

    def said(self) -> list[Envelope]:
        """What has been sent since the last call."""
        drained, self.out = self.out, []
        return [parse(octets) for _, octets in drained]

    def until(self, when: float) -> list[tuple[float, Envelope]]:
        """Let time pass: what is sent, and when."""
        spoken: list[tuple[float, Envelope]] = []
        while (due := self.timers.due()) is not None and due <= when:
            self.clock.now = max(self.clock.now, due)
            self.timers.ring()
            spoken += [(round(self.clock.now, 6), envelope) for envelope in self.said()]
        self.clock.now = max(self.clock.now, when)
        return spoken


class Wire:
    """Two user agents. `lose` says which octets are lost."""

    def __init__(self, settings: SipSettings | None = None) -> None:
        self.clock = Clock()
        self.caller = House(self.clock, settings, address=("192.0.2.1", 5060))
        self.callee = House(self.clock, settings, address=("192.0.2.2", 5060))
        self.lose: Callable[[bytes], bool] = lambda _: False
        self.passed: list[str] = []
        self.to_callee = Flow("udp", self.caller.address, self.callee.address)
        self.to_caller = Flow("udp", self.callee.address, self.caller.address)

    def settle(self) -> None:
        """Deliver until nobody says anything more."""
        while self.caller.out or self.callee.out:
            for one, other, flow in (
                (self.caller, self.callee, self.to_caller),
                (self.callee, self.caller, self.to_callee),
            ):
                drained, one.out = one.out, []
                for _, octets in drained:
                    if not self.lose(octets):
                        self.passed.append(octets.split(b" SIP/2.0")[0].partition(b"\r")[0].decode())
                        other.core.layer.receive(octets, flow)

    def until(self, when: float) -> None:
        """Let time pass on both ends."""
        self.settle()
        while True:
            dues = [due for house in (self.caller, self.callee) if (due := house.timers.due()) is not None]
            if not dues or min(dues) > when:
                break
            self.clock.now = max(self.clock.now, min(dues))
            for house in (self.caller, self.callee):
                house.timers.ring()
            self.settle()
        self.clock.now = when


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bK1",
    to_tag: str = "",
    from_tag: str = "a1",
    call_id: str = "call-1",
    cseq: int = 1,
    extra: tuple[str, ...] = (),
    body: str = "",
    transport: str = "UDP",
    uri: str = "sip:conf@192.0.2.1",
    without: tuple[str, ...] = (),
) -> str:
    """A request of a phone at 192.0.2.9, as text."""
    lines = [
        f"Via: SIP/2.0/{transport} 192.0.2.9:5060;rport;branch={branch}",
        "Max-Forwards: 70",
        f"From: Alice <sip:alice@example.net>;tag={from_tag}",
        "To: <sip:conf@192.0.2.1>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:alice@192.0.2.9:5060>",
        *extra,
        f"Content-Length: {len(body)}",
    ]
    kept = [line for line in lines if line.partition(":")[0] not in without]
    return f"{method} {uri} SIP/2.0\r\n" + "\r\n".join(kept) + "\r\n\r\n" + body


def call(house: House, flow: Flow = PEER, **more: object) -> Dialog:
    """A call that has come in, was answered and acknowledged."""
    transport = flow.transport.upper()
    house.hear(request(body="offer", transport=transport, **more), flow)  # type: ignore[arg-type]
    dialog = house.application.incoming[-1].respond(200, body=b"answer")
    assert dialog is not None
    house.hear(request("ACK", branch="z9hG4bKack", to_tag=dialog.local_tag, transport=transport), flow)
    house.said()
    house.application.heard.clear()
    return dialog

"""What two ends have agreed to, and what our end puts into its SDP. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from control.sdp.crypto import CryptoLine, InlineKey
from control.sdp.dtls import Fingerprint, Setup
from control.sdp.terms import Security
from mixer.port import Amr, CodecName, Direction, Opus, Ptime, Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The one m-line that is in use."""

    index: int
    """Of the m-line."""
    profile: str
    codec: CodecName
    rate: Rate
    """The clock rate, Hz."""
    payload_type: int
    """What the peer wants to receive."""
    payload_type_in: int
    """What the peer sends. Another than `payload_type` only if the peer answered so (RFC 3264 section 5.1)."""
    ptime: Ptime
    """Milliseconds in each packet for the peer."""
    direction: Direction
    """As the peer sees it."""
    remote: str | None
    """Where to send, None if the peer has not said it (on hold by 0.0.0.0, or ICE)."""
    rtcp_mux: bool
    rtcp_port: int | None
    """Where the peer wants RTCP, if neither on the RTP port nor on the one above."""
    security: Security
    crypto: CryptoLine | None = None
    """SDES: the line of the peer, with what it sends under."""
    setup: Setup | None = None
    """DTLS: the role that we take."""
    fingerprints: tuple[Fingerprint, ...] = ()
    """DTLS: the peer's certificate must have one of these."""
    ssrcs: tuple[int, ...] = ()
    opus: Opus | None = None
    """With opus: how to encode for the peer."""
    amr: Amr | None = None
    """With AMR and AMR-WB: how packets are written both ways, and in which modes we send."""
    parameters: str = ""
    """What our SDP says of the codec behind a=fmtp; empty for nothing."""
    comfort_noise: int | None = None
    """The payload type of comfort noise, both ways."""
    telephone_event: int | None = None
    """The payload type of DTMF that the peer wants to receive."""
    telephone_event_in: int | None = None
    """That of the DTMF that it sends."""
    telephone_rate: int = 0
    """The clock rate of both, Hz; 0 if there are none."""
    level_in: int | None = None
    level_out: int | None = None
    mki: bool = False
    """The peer sends an MKI in each packet, and so understands one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Our end of the session."""

    host: str
    """A numeric address."""
    port: int
    session_id: int
    version: int
    """Must go up by one with each SDP that differs from the one before (RFC 3264 section 8)."""
    ssrc: int | None = None
    cname: str = ""
    keys: tuple[InlineKey, ...] = ()
    """SDES: what we send under. Several have an MKI each."""
    fingerprint: Fingerprint | None = None
    direction: Direction = "sendrecv"
    """As we see it: what we are ready for."""

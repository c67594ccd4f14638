"""DTLS-SRTP with somebody else's endpoint: aiortc's transport, with its own SRTP sessions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from mixer import port
from mixer.port import LegInsecure, LegSecured
from tests import naive
from tests.mixer.phone import Phone, tone
from tests.mixer.room import Room
from tests.mixer.test_dtls import room_with_bob
from tests.tones import assert_hears


class Pipe:
    """What aiortc takes for its ICE transport."""

    state, role = "completed", "controlling"

    def __init__(self) -> None:
        self.inward: asyncio.Queue[bytes] = asyncio.Queue()
        self.outward: list[bytes] = []

    async def _recv(self) -> bytes:
        return await self.inward.get()

    async def _send(self, octets: bytes) -> None:
        self.outward.append(octets)


class Browser(Phone):
    """A phone whose datagrams go through aiortc."""

    pipe: Pipe
    transport: Any

    def talk(self, now_ns: int) -> list[bytes]:
        packets, self.pipe.outward = self.pipe.outward, []
        if self.transport.state != "connected":
            return packets
        return packets + [self.transport._tx_srtp.protect(clear) for clear in super().talk(now_ns)]

    def receive(self, octets: bytes, at_ns: int) -> None:
        if 20 <= octets[0] < 64:
            self.pipe.inward.put_nowait(octets)
        elif self.transport.state == "connected" and naive.kind_of(octets) != "rtcp":
            super().receive(self.transport._rx_srtp.unprotect(octets), at_ns)


async def browser(room: Room, role: port.DtlsRole, mixer_shows: str = "") -> Browser:
    certificate = RTCCertificate.generateCertificate()
    phone = Browser("ann", "192.0.2.200:7000", 4711, voice=tone(440), born_ns=room.now_ns)
    phone.pipe = Pipe()
    phone.transport = RTCDtlsTransport(phone.pipe, [certificate])  # type: ignore[arg-type]
    phone.transport._set_role("client" if role == "passive" else "server")
    promised = tuple(
        port.Fingerprint(hash=one.algorithm, value=one.value)  # type: ignore[arg-type]
        for one in certificate.getFingerprints()
    )
    wish = port.Dtls(role=role, fingerprints=promised)
    room.apply(port.LegAdd(conference="c", leg="ann", remote=phone.address, dtls=wish))
    room.phones["ann"] = phone
    algorithm, value = (mixer_shows or room.engine.identity.fingerprint).split()
    ours = RTCDtlsParameters(fingerprints=[RTCDtlsFingerprint(algorithm=algorithm, value=value)])
    started = asyncio.ensure_future(phone.transport.start(ours))
    for _ in range(20):
        room.step()
        for _ in range(10):
            await asyncio.sleep(0)
    await started
    return phone


@pytest.mark.parametrize("role", ["passive", "active"])
async def test_aiortc_and_the_mixer_hear_each_other(role: port.DtlsRole) -> None:
    room = room_with_bob()
    phone = await browser(room, role)
    assert phone.transport.state == "connected"
    assert len(room.named(LegSecured)) == 1
    assert not room.named(LegInsecure)
    room.phones["bob"].forget()
    phone.forget()
    room.run(1500)
    assert_hears(phone.sound(), present={600}, absent={440}, seconds=1.0, sent_db=-21.0)
    assert_hears(room.phones["bob"].sound(), present={440}, absent={600}, seconds=1.0, sent_db=-21.0)
    await phone.transport.stop()


async def test_aiortc_refuses_a_mixer_that_is_not_the_one_of_the_answer() -> None:
    room = room_with_bob()
    phone = await browser(room, "passive", "sha-256 " + ":".join(["AB"] * 32))
    assert phone.transport.state == "failed"

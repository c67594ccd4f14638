"""OpenSSL's own program shakes hands with a real daemon; its keys are the leg's."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from control.client import MixerClient
from control.messages import NodeInfo
from mixer import port
from tests.interop.wire import Address, open_wire
from tests.naive import Rtp
from tests.reference.srtp import SUITES, Context, Suite

PATIENCE_S = 10.0

pytestmark = pytest.mark.needs("openssl")


async def run(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(*words, stdout=-1, stderr=-1)
    out, _ = await process.communicate()
    return out.decode()


async def certificate(folder: Path) -> str:
    """A certificate by the program itself; its fingerprint."""
    names = ("-keyout", str(folder / "key"), "-out", str(folder / "cert"))
    subject = ("-subj", "/CN=phone", "-days", "2", "-nodes", "-newkey", "rsa:2048")
    await run("openssl", "req", "-x509", *subject, *names)
    shown = await run("openssl", "x509", "-in", str(folder / "cert"), "-noout", "-fingerprint", "-sha256")
    return shown.strip().partition("=")[2]


@pytest.mark.parametrize(
    ("profile", "suite"),
    [
        ("SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80"),
        ("SRTP_AES128_CM_SHA1_32", "AES_CM_128_HMAC_SHA1_32"),
        ("SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM"),
        ("SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM"),
    ],
)
async def test_media_under_the_keys_that_openssl_exports(
    mixer: MixerClient, media: Address, tmp_path: Path, profile: str, suite: str
) -> None:
    promised = port.Fingerprint(value=await certificate(tmp_path))
    await mixer.call(port.ConferenceCreate(conference="room"))
    wish = port.Dtls(fingerprints=(promised,))
    await mixer.call(port.LegAdd(conference="room", leg="phone", dtls=wish, ssrc=7, direction="sendonly"))
    context = Context(suite, await client_key(media, tmp_path, profile, SUITES[suite]))
    shown = (await mixer.call(NodeInfo())).dtls_fingerprint
    assert re.fullmatch(r"sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}", shown)
    async with open_wire(media) as wire:
        for seq in range(5):
            packet = Rtp(payload_type=0, seq=seq, timestamp=160 * seq, ssrc=7, payload=bytes(160)).pack()
            wire.send(context.protect(packet))
        async with asyncio.timeout(PATIENCE_S):
            while (await status(mixer)).received < 5:
                await asyncio.sleep(0.02)
        assert (await status(mixer)).suite == suite
        assert (await status(mixer)).auth_failures == 0


async def client_key(media: Address, folder: Path, profile: str, suite: Suite) -> bytes:
    """Key and salt of what the client sends, as its program exports them (RFC 5764 section 4.2)."""
    size = 2 * (suite.key + suite.salt)
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-dtls1_2", "-connect", f"{media[0]}:{media[1]}", "-use_srtp", profile),
        *("-cert", str(folder / "cert"), "-key", str(folder / "key")),
        *("-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", str(size)),
        stdin=-1,
        stdout=-1,
        stderr=-1,
    )
    assert process.stdout
    assert process.stdin
    try:
        async with asyncio.timeout(PATIENCE_S):
            said = await process.stdout.readuntil(b"Keying material: ") + await process.stdout.readline()
    finally:
        process.stdin.write_eof()
        process.kill()
        await process.wait()
    assert profile in said.decode()
    exported = re.search(rf"Keying material: ([0-9A-F]{{{2 * size}}})\b", said.decode())
    assert exported, said
    octets = bytes.fromhex(exported[1])
    return octets[: suite.key] + octets[2 * suite.key :][: suite.salt]


async def status(mixer: MixerClient) -> port.LegStatus:
    (leg,) = (await mixer.call(port.ConferenceShow(conference="room"))).legs
    return leg

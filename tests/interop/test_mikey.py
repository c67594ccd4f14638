"""MIKEY messages before other implementations: GStreamer's libgstsdp and Wireshark's dissector.

What they can judge is the form of RFC 3830 messages: header, maps, T, RAND, ID, V, SP, KEMAC, ERR, and key
data if they are in clear. What they cannot:

- libgstsdp neither encrypts nor checks a MAC, and its parser never returns from a message with an ID, V
  or ERR payload, nor would it from an encrypted key that happens to look like one. So pushes go to it
  without identities, and verification messages not at all.
- Neither derives a key. For PRF, IV and MACs there are only RFC 3830 and tests/control/mikey/naive.py.
- Neither knows RFC 6043: tshark 4.0 takes each of the six ticket messages for no MIKEY at all, and
  libgstsdp has no map, payload or key type of them. Of tickets they judge nothing.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from control.mikey.header import Header, SrtpMap, SrtpSession
from control.mikey.keydata import Kemac, KeyData, Spi, read_keys
from control.mikey.message import Message, decode
from control.mikey.numbers import DataType, EncrAlg, ErrorNo, KeyType, MacAlg, TsType
from control.mikey.payloads import Payload, Rand, Timestamp
from control.mikey.policy import SecurityPolicy, policy_of, suite_of
from control.mikey.psk import Receiver, Sender
from control.mikey.push import Push
from control.mikey.report import complain
from mixer.secret import Secret
from mixer.suites import SUITES
from tests.conftest import SYSTEM_PYTHON
from tests.interop.wire import Datagram, write_pcap

MIKEY_PORT = 2269
AT = 0xEA00_0000_8000_0000
CSB, RAND, PSK = 0xC0FFEE01, bytes(range(16)), Secret(bytes(range(32)))
FOCUS, MEMBER = b"sip:focus@example.net", b"sip:member@example.net"
SESSIONS = SrtpSession(0, 0x11223344, 1), SrtpSession(0, 0x55667788, 0)
TGK = Push(SESSIONS, "AEAD_AES_128_GCM", "tgk", Secret(bytes(range(32))), b"\0\0\0\2")
TEKS = [
    Push(SESSIONS, suite, "tek", Secret(bytes(range(1, 1 + SUITES[suite].secret))), b"\xff\0\0\3")
    for suite in sorted(SUITES)
]


def in_clear(offer: Push) -> bytes:
    """A push with NULL encryption and no MAC: for parsers only. No Sender makes one, no Receiver takes one."""
    parts: tuple[Payload, ...] = (
        Timestamp(AT),
        Rand(RAND),
        *offer.policies(),
        Kemac(offer.key_data(), EncrAlg.NULL, MacAlg.NULL),
    )
    return Message(Header(DataType.PSK, CSB, offer.map, offer.verify), parts).encode()


def encrypted(offer: Push, clock: TsType = TsType.NTP_UTC, named: bool = False) -> bytes:
    """A push as it is sent."""
    focus = Sender(PSK, identity=FOCUS, peer=MEMBER, csb_id=CSB, rand=RAND, clock=clock, named=named)
    return focus.push(offer, timestamp=AT if clock == TsType.NTP_UTC else 7)


# ---------------------------------------------------------------------------------------------
# GStreamer


@dataclass(frozen=True)
class GStreamer:
    """What libgstsdp made of our messages, and messages that it made."""

    parsed: dict[bytes, Any]
    of_caps: bytes
    of_pieces: bytes


@pytest.fixture(scope="module")
def gstreamer() -> GStreamer:
    messages = [*map(in_clear, (TGK, *TEKS)), encrypted(TGK), encrypted(TEKS[0], TsType.COUNTER)]
    said = subprocess.run(
        [SYSTEM_PYTHON, str(Path(__file__).with_name("gst_mikey.py"))],
        input="\n".join(message.hex() for message in messages),
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    words = json.loads(said.stdout)
    of_caps, of_pieces = map(bytes.fromhex, words["built"])
    return GStreamer(dict(zip(messages, words["parsed"], strict=True)), of_caps, of_pieces)


def payload(description: Any, kind: str) -> Any:
    """The only payload of a kind that libgstsdp found."""
    (found,) = (each[kind] for each in description["payloads"] if kind in each)
    return found


@pytest.mark.needs("gstreamer")
@pytest.mark.parametrize("offer", [TGK, *TEKS], ids=lambda offer: f"{offer.kind}-{offer.suite}")
def test_gstreamer_reads_a_push_in_clear(gstreamer: GStreamer, offer: Push) -> None:
    octets = in_clear(offer)
    found = gstreamer.parsed[octets]
    assert found["head"] == [1, 0, True, 0, CSB, 0]
    assert found["sessions"] == [[each.policy, each.ssrc, each.roc] for each in SESSIONS]
    assert payload(found, "T") == [0, AT.to_bytes(8).hex()]
    assert payload(found, "RAND") == RAND.hex()
    policy = policy_of(offer.suite)
    assert payload(found, "SP") == [0, 0, [[kind, value.hex()] for kind, value in policy.params]]
    length = 32 if offer.kind == "tgk" else SUITES[offer.suite].key
    key = {
        "type": 0 if offer.kind == "tgk" else 2,  # it tells salted keys by their salt
        "key": offer.secret.reveal()[:length].hex(),
        "salt": offer.secret.reveal()[length:].hex(),
        "validity": 1,
        "spi": offer.mki.hex(),
    }
    assert payload(found, "KEMAC") == [0, 0, [key]]


@pytest.mark.needs("gstreamer")
@pytest.mark.parametrize("offer", [TGK, *TEKS], ids=lambda offer: f"{offer.kind}-{offer.suite}")
def test_gstreamer_writes_what_it_read_as_we_wrote_it(gstreamer: GStreamer, offer: Push) -> None:
    octets = in_clear(offer)
    assert bytes.fromhex(gstreamer.parsed[octets]["encoded"]) == octets


@pytest.mark.needs("gstreamer")
@pytest.mark.parametrize(
    ("octets", "stamp", "encryption"),
    [
        (encrypted(TGK), [0, AT.to_bytes(8).hex()], 1),
        (encrypted(TEKS[0], TsType.COUNTER), [2, "00000007"], 1),
    ],
    ids=("NTP-UTC", "COUNTER"),
)
def test_gstreamer_reads_an_encrypted_push(gstreamer: GStreamer, octets: bytes, stamp: Any, encryption: int) -> None:
    """All but the key: it knows that there is one, and by which algorithms it is hidden."""
    found = gstreamer.parsed[octets]
    assert found["head"] == [1, 0, True, 0, CSB, 0]
    assert payload(found, "T") == stamp
    assert payload(found, "KEMAC") == [encryption, 1, []]


@pytest.mark.needs("gstreamer")
def test_we_read_what_gstreamer_makes_of_caps(gstreamer: GStreamer) -> None:
    """As it stands in the SDP of its RTSP clients. They put the length of the tag where that of the key belongs."""
    message = decode(gstreamer.of_caps)
    assert message.encode() == gstreamer.of_caps
    assert message.header.map == SrtpMap((SrtpSession(0, 0x11223344, 5),))
    assert message.one(Timestamp).kind == TsType.NTP_UTC
    assert len(message.one(Rand).octets) == 16
    assert dict(message.one(SecurityPolicy).params)[3] == b"\x0a"
    (key,) = read_keys(message.one(Kemac).data)
    assert key == KeyData(KeyType.TEK, Secret(bytes(range(30))))


@pytest.mark.needs("gstreamer")
def test_we_read_what_gstreamer_puts_together(gstreamer: GStreamer) -> None:
    message = decode(gstreamer.of_pieces)
    assert message.encode() == gstreamer.of_pieces
    sessions = SrtpSession(0, 0x11223344, 5), SrtpSession(0, 0x55667788, 0)
    assert message.header == Header(DataType.PSK, 0xC0FFEE01, SrtpMap(sessions), verify=True)
    assert message.one(Rand).octets == bytes(range(16))
    assert suite_of(message.one(SecurityPolicy)) == "AEAD_AES_128_GCM"
    (key,) = read_keys(message.one(Kemac).data)
    salt = Secret(bytes(range(101, 113)))
    assert key == KeyData(KeyType.TEK_SALT, Secret(bytes(range(1, 17))), salt, Spi(b"\x01\x02\x03\x04"))


# ---------------------------------------------------------------------------------------------
# Wireshark


def dissected(folder: Path, message: bytes, *fields: str) -> list[str]:
    """The fields that tshark finds in one message; it must take it for MIKEY and find nothing amiss."""
    capture = folder / "mikey.pcap"
    write_pcap(capture, [Datagram(1.0, message)], MIKEY_PORT, MIKEY_PORT)
    names = ("_ws.malformed", "_ws.expert.message", "mikey.type", *fields)
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", str(capture), "-Y", "mikey", "-T", "fields", *wanted]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(table) == 1, "tshark takes the message for no MIKEY"
    malformed, complaint, kind, *rest = table[0].split("\t")
    assert (malformed, complaint, kind) == ("", "", str(message[1]))
    return rest


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("offer", [TGK, *TEKS], ids=lambda offer: f"{offer.kind}-{offer.suite}")
def test_tshark_reads_an_encrypted_push(tmp_path: Path, offer: Push) -> None:
    octets = encrypted(offer, named=True)
    sealed = decode(octets).one(Kemac)
    assert dissected(
        tmp_path,
        octets,
        *("mikey.v.set", "mikey.prf_func", "mikey.csb_id", "mikey.cs_count", "mikey.cs_id_map_type"),
        *("mikey.srtp_id.policy_no", "mikey.srtp_id.ssrc", "mikey.srtp_id.roc"),
        *("mikey.t.ts_type", "mikey.rand.data", "mikey.id.type", "mikey.id.data"),
        *("mikey.kemac.encr_alg", "mikey.kemac.key_data", "mikey.kemac.mac_alg", "mikey.kemac.mac"),
    ) == [
        *("1", "0", "0xc0ffee01", "2", "0"),
        *("0,0", "0x11223344,0x55667788", "0x00000001,0x00000000"),
        *("0", RAND.hex(), "1,1", f"{FOCUS.decode()},{MEMBER.decode()}"),
        *("1", sealed.data.hex(), "1", sealed.mac.hex()),
    ]


@pytest.mark.needs("tshark")
@pytest.mark.parametrize(
    ("offer", "encryption", "key", "authentication", "salt"),
    [
        (TEKS[0], "6", "16", "0", "12"),
        (TEKS[1], "6", "32", "0", "12"),
        (TEKS[2], "1", "32", "1", "14"),
        (TEKS[3], "1", "16", "1", "14"),
        (TEKS[4], "1", "16", "1", "14"),
    ],
    ids=lambda each: each.suite if isinstance(each, Push) else "",
)
def test_tshark_reads_the_policy(
    tmp_path: Path, offer: Push, encryption: str, key: str, authentication: str, salt: str
) -> None:
    names = ("encr_alg", "encr_len", "auth_alg", "salt_len", "srtp_encr", "srtcp_encr")
    found = dissected(tmp_path, in_clear(offer), *(f"mikey.sp.{name}" for name in names))
    assert found == [encryption, key, authentication, salt, "1", "1"]


@pytest.mark.needs("tshark")
def test_tshark_reads_a_key_in_clear(tmp_path: Path) -> None:
    names = ("type", "kv", "data", "salt", "kv.spi")
    found = dissected(tmp_path, in_clear(TEKS[0]), *(f"mikey.key.{name}" for name in names))
    key = TEKS[0].secret.reveal()
    assert found == ["3", "1", key[:16].hex(), key[16:].hex(), TEKS[0].mki.hex()]


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("clock", [TsType.NTP_UTC, TsType.COUNTER])
def test_tshark_reads_a_verification_message(tmp_path: Path, clock: TsType) -> None:
    member = Receiver(PSK, identity=MEMBER, peer=FOCUS)
    _, answer = member.accept(encrypted(TGK, clock, named=True))
    assert answer is not None
    found = dissected(tmp_path, answer, "mikey.t.ts_type", "mikey.id.data", "mikey.v.auth_alg", "mikey.v.ver_data")
    assert found == [str(int(clock)), MEMBER.decode(), "1", answer[-20:].hex()]


@pytest.mark.needs("tshark")
def test_tshark_reads_an_error_message(tmp_path: Path) -> None:
    error = complain(Header(DataType.PSK, CSB), ErrorNo.INVALID_SP, Timestamp(AT), None)
    assert dissected(tmp_path, error, "mikey.err.no", "mikey.csb_id") == ["9", "0xc0ffee01"]

"""GStreamer's MIKEY (libgstsdp), by ctypes: gi cannot pass the null pointers that its parser wants.

Reads messages in hex, one a line; prints JSON: `parsed`, what the library makes of each and how it writes
it again, and `built`, messages of its own. Its parser never returns from a message with a payload that it
does not know (ID and V among them), so the caller must not wait for ever.
"""

from __future__ import annotations

import json
import sys
from ctypes import CDLL, POINTER, Structure, c_char_p, c_int, c_size_t, c_uint8, c_uint16, c_uint32, c_void_p, string_at
from typing import Any

SDP = CDLL("libgstsdp-1.0.so.0")
GST = CDLL("libgstreamer-1.0.so.0")
GLIB = CDLL("libglib-2.0.so.0")

PT_KEMAC, PT_T, PT_SP, PT_RAND, PT_KEY_DATA = 1, 5, 10, 11, 20


class MiniObject(Structure):
    _fields_ = [("opaque", c_uint8 * 64)]


class MessageHead(Structure):
    _fields_ = [
        ("object", MiniObject),
        ("version", c_uint8),
        ("type", c_int),
        ("verify", c_int),
        ("prf", c_int),
        ("csb_id", c_uint32),
        ("map_type", c_int),
    ]


class Session(Structure):
    _fields_ = [("policy", c_uint8), ("ssrc", c_uint32), ("roc", c_uint32)]


class Payload(Structure):
    _fields_ = [("object", MiniObject), ("type", c_int), ("length", c_uint32)]


class Kemac(Structure):
    _fields_ = [("payload", Payload), ("encryption", c_int), ("mac", c_int)]


class Stamp(Structure):
    _fields_ = [("payload", Payload), ("kind", c_int), ("value", c_void_p)]


class Rand(Structure):
    _fields_ = [("payload", Payload), ("length", c_uint8), ("octets", c_void_p)]


class Policy(Structure):
    _fields_ = [("payload", Payload), ("number", c_uint8), ("protocol", c_int)]


class Param(Structure):
    _fields_ = [("type", c_uint8), ("length", c_uint8), ("value", c_void_p)]


class KeyData(Structure):
    _fields_ = [
        ("payload", Payload),
        ("type", c_int),
        ("key_length", c_uint16),
        ("key", c_void_p),
        ("salt_length", c_uint16),
        ("salt", c_void_p),
        ("validity", c_int),
        ("validity_length", c_uint8 * 2),
        ("validity_octets", c_void_p * 2),
    ]


def function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of the library with its types."""
    found = getattr(SDP, f"gst_mikey_{name}")
    found.restype, found.argtypes = result, arguments
    return found


parse = function("message_new_from_data", POINTER(MessageHead), c_char_p, c_size_t, c_void_p, c_void_p)
to_bytes = function("message_to_bytes", c_void_p, c_void_p, c_void_p, c_void_p)
from_caps = function("message_new_from_caps", c_void_p, c_void_p)
new_message = function("message_new", c_void_p)
set_info = function("message_set_info", c_int, c_void_p, c_uint8, c_int, c_int, c_int, c_uint32, c_int)
add_session = function("message_add_cs_srtp", c_int, c_void_p, c_uint8, c_uint32, c_uint32)
session_count = function("message_get_n_cs", c_uint32, c_void_p)
session_at = function("message_get_cs_srtp", POINTER(Session), c_void_p, c_uint32)
add_now = function("message_add_t_now_ntp_utc", c_int, c_void_p)
add_rand = function("message_add_rand", c_int, c_void_p, c_uint8, c_char_p)
payload_count = function("message_get_n_payloads", c_uint32, c_void_p)
payload_at = function("message_get_payload", c_void_p, c_void_p, c_uint32)
insert = function("message_insert_payload", c_int, c_void_p, c_uint32, c_void_p)
new_payload = function("payload_new", c_void_p, c_int)
set_policy = function("payload_sp_set", c_int, c_void_p, c_uint32, c_int)
add_param = function("payload_sp_add_param", c_int, c_void_p, c_uint8, c_uint8, c_char_p)
param_count = function("payload_sp_get_n_params", c_uint32, c_void_p)
param_at = function("payload_sp_get_param", POINTER(Param), c_void_p, c_uint32)
set_kemac = function("payload_kemac_set", c_int, c_void_p, c_int, c_int)
add_key = function("payload_kemac_add_sub", c_int, c_void_p, c_void_p)
key_count = function("payload_kemac_get_n_sub", c_uint32, c_void_p)
key_at = function("payload_kemac_get_sub", c_void_p, c_void_p, c_uint32)
set_key = function("payload_key_data_set_key", c_int, c_void_p, c_int, c_uint16, c_char_p)
set_salt = function("payload_key_data_set_salt", c_int, c_void_p, c_uint16, c_char_p)
set_spi = function("payload_key_data_set_spi", c_int, c_void_p, c_uint8, c_char_p)


def at(kind: Any, address: int) -> Any:
    return kind.from_address(address)


def octets(address: int | None, length: int) -> str:
    return string_at(address, length).hex() if address else ""


def encoded(message: Any) -> str:
    """The message as the library writes it."""
    GLIB.g_bytes_get_data.restype, GLIB.g_bytes_get_data.argtypes = c_void_p, (c_void_p, POINTER(c_size_t))
    size = c_size_t()
    data = GLIB.g_bytes_get_data(to_bytes(message, None, None), size)
    return octets(data, size.value)


def key_of(address: int) -> dict[str, Any]:
    key = at(KeyData, address)
    return {
        "type": key.type,
        "key": octets(key.key, key.key_length),
        "salt": octets(key.salt, key.salt_length),
        "validity": key.validity,
        "spi": octets(key.validity_octets[0], key.validity_length[0]),
    }


def payload_of(address: int) -> dict[str, Any]:
    kind = at(Payload, address).type
    if kind == PT_T:
        stamp = at(Stamp, address)
        return {"T": [stamp.kind, octets(stamp.value, 4 if stamp.kind == 2 else 8)]}
    if kind == PT_RAND:
        rand = at(Rand, address)
        return {"RAND": octets(rand.octets, rand.length)}
    if kind == PT_SP:
        params = [param_at(address, index).contents for index in range(param_count(address))]
        policy = at(Policy, address)
        values = [[each.type, octets(each.value, each.length)] for each in params]
        return {"SP": [policy.number, policy.protocol, values]}
    if kind == PT_KEMAC:
        kemac = at(Kemac, address)
        keys = [key_of(key_at(address, index)) for index in range(key_count(address))]
        return {"KEMAC": [kemac.encryption, kemac.mac, keys]}
    return {"other": kind}


def description(message: bytes) -> Any:
    """What the library makes of a message, or null if it refuses it."""
    found = parse(message, len(message), None, None)
    if not found:
        return None
    head = found.contents
    sessions = [session_at(found, index).contents for index in range(session_count(found))]
    return {
        "head": [head.version, head.type, bool(head.verify), head.prf, head.csb_id, head.map_type],
        "sessions": [[each.policy, each.ssrc, each.roc] for each in sessions],
        "payloads": [payload_of(payload_at(found, index)) for index in range(payload_count(found))],
        "encoded": encoded(found),
    }


def built_of_caps() -> str:
    """As rtspclientsink makes one."""
    GST.gst_caps_from_string.restype, GST.gst_caps_from_string.argtypes = c_void_p, (c_char_p,)
    text = (
        f"application/x-srtp, srtp-key=(buffer){bytes(range(30)).hex()}, srtp-cipher=(string)aes-128-icm, "
        "srtp-auth=(string)hmac-sha1-80, srtcp-cipher=(string)aes-128-icm, srtcp-auth=(string)hmac-sha1-80"
    )
    message = from_caps(GST.gst_caps_from_string(text.encode()))
    add_session(message, 0, 0x11223344, 5)
    return encoded(message)


def built_of_pieces() -> str:
    """A TEK with salt and SPI, two streams, every kind of payload that the library can write."""
    message = new_message()
    set_info(message, 1, 0, 1, 0, 0xC0FFEE01, 0)
    add_session(message, 0, 0x11223344, 5)
    add_session(message, 0, 0x55667788, 0)
    add_now(message)
    add_rand(message, 16, bytes(range(16)))
    policy = new_payload(PT_SP)
    set_policy(policy, 0, 0)
    for kind, value in ((0, 6), (1, 16), (2, 0), (4, 12), (20, 16)):
        add_param(policy, kind, 1, bytes((value,)))
    insert(message, 0xFFFFFFFF, policy)
    key = new_payload(PT_KEY_DATA)
    set_key(key, 2, 16, bytes(range(1, 17)))
    set_salt(key, 12, bytes(range(101, 113)))
    set_spi(key, 4, b"\x01\x02\x03\x04")
    kemac = new_payload(PT_KEMAC)
    set_kemac(kemac, 0, 0)
    add_key(kemac, key)
    insert(message, 0xFFFFFFFF, kemac)
    return encoded(message)


def main() -> None:
    GST.gst_init(None, None)
    parsed = [description(bytes.fromhex(line)) for line in sys.stdin.read().split()]
    print(json.dumps({"parsed": parsed, "built": [built_of_caps(), built_of_pieces()]}))


if __name__ == "__main__":
    main()

"""MIKEY's cryptography again, out of loops and bits that nobody can doubt. Shares no code with the product."""

from __future__ import annotations

import hashlib
import math

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def hmac(digest: str, key: bytes, octets: bytes) -> bytes:
    """RFC 2104, with blocks of 64 octets."""
    block = (hashlib.new(digest, key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.new(digest, bytes(octet ^ 0x36 for octet in block) + octets).digest()
    return hashlib.new(digest, bytes(octet ^ 0x5C for octet in block) + inner).digest()


def p(digest: str, s: bytes, label: bytes, m: int) -> bytes:
    """RFC 3830 section 4.1.2: P (s, label, m)."""
    a = [label]
    for i in range(1, m + 1):
        a.append(hmac(digest, s, a[i - 1]))
    result = b""
    for i in range(1, m + 1):
        result += hmac(digest, s, a[i] + label)
    return result


def prf(digest: str, inkey: bytes, label: bytes, outkey_bits: int) -> bytes:
    """RFC 3830 section 4.1.2: PRF (inkey, label), in bits as it is written there."""
    out_bits = {"sha1": 160, "sha256": 256}[digest]
    n = math.ceil(len(inkey) * 8 / 256)
    m = math.ceil(outkey_bits / out_bits)
    result = [0] * (m * out_bits // 8)
    for i in range(n):
        s_i = inkey[32 * i : 32 * i + 32]
        for at, octet in enumerate(p(digest, s_i, label, m)):
            result[at] ^= octet
    return bytes(result[: outkey_bits // 8])


def iv(salt: bytes, csb_id: int, timestamp: int) -> bytes:
    """RFC 3830 section 4.2.3: IV = (S XOR (0x0000 || CSB ID || T)) || 0x0000."""
    other = b"\x00\x00" + csb_id.to_bytes(4, "big") + timestamp.to_bytes(8, "big")
    return bytes(a ^ b for a, b in zip(salt, other, strict=True)) + b"\x00\x00"


def aes_cm(key: bytes, salt: bytes, csb_id: int, timestamp: int, octets: bytes) -> bytes:
    """Counter mode by the library's own counter mode."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv(salt, csb_id, timestamp))).encryptor()
    return encryptor.update(octets)

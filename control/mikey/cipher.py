"""AES in counter mode and the MACs of MIKEY: RFC 3830 sections 4.2.3 and 4.2.4, RFC 6043 section 6.2.

Knows one pair of keys; must never know where the octets come from.

    IV = (salt xor (0x0000 || CSB ID || 64-bit timestamp)) || 0x0000

The last two octets count the blocks. Under one key a (CSB ID, timestamp) is used for one message only:
a second would lie under the same keystream. Who encrypts must see to that.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from control.mikey.errors import Forged
from control.mikey.numbers import MAC_LENGTH, MacAlg
from mixer.secret import Secret


class KeyStream:
    """AES-CM under one key and salt. Encryption and decryption are the same.

    The block cipher is set up once, and counter mode built from it: a cipher context per message would
    cost more than the rest of a key push together.
    """

    def __init__(self, key: Secret, salt: Secret) -> None:
        """Take 16 or 32 octets of key and 14 of salt."""
        # The blocks are counters, each used once; ECB is the bare block cipher here.
        self._aes: CipherContext = Cipher(AES(key.reveal()), ECB()).encryptor()
        self._salt = Secret(salt.reveal() + bytes(2))

    def apply(self, octets: bytes, *, csb_id: int, timestamp: int) -> bytes:
        """The octets xor the keystream of one message; less than 2**20 octets of it exist."""
        length = len(octets)
        iv = int.from_bytes(self._salt.reveal()) ^ csb_id << 80 ^ timestamp << 16
        blocks = -(-length // 16)
        counters = b"".join([(iv + block).to_bytes(16) for block in range(blocks)])
        stream = self._aes.update(counters)[:length]
        return (int.from_bytes(octets) ^ int.from_bytes(stream)).to_bytes(length)


def mac(algorithm: MacAlg, key: Secret, octets: bytes) -> bytes:
    """The MAC of some octets; none with the NULL algorithm."""
    if algorithm == MacAlg.NULL:
        return b""
    return hmac.digest(key.reveal(), octets, "sha1" if algorithm == MacAlg.HMAC_SHA_1_160 else "sha256")


def check_mac(algorithm: MacAlg, key: Secret, octets: bytes, claimed: bytes) -> None:
    """Compare in constant time.

    Raises:
        Forged: unless the MAC is there and right. The NULL algorithm vouches for nothing and never passes.
    """
    wanted = mac(algorithm, key, octets)
    if MAC_LENGTH[algorithm] == 0 or not hmac.compare_digest(wanted, claimed):
        raise Forged("the MAC is wrong: another key, another peer, or octets changed on the way")

"""Initiator data: who asked for a ticket vouches for the TRANSFER_INIT that carries it (RFC 6043 section 6.10).

Knows MPKr, which only the initiator and the KMS hold; must never know what was transferred.

    initiator data = first payload, Vi, Vr      Vi has the MAC of the TRANSFER_INIT, Vr that of this
"""

from __future__ import annotations

from control.mikey.cipher import check_mac, mac
from control.mikey.errors import Malformed
from control.mikey.message import read_data, write_data
from control.mikey.payloads import Verification
from control.mikey.prf import initiator_data_key
from control.mikey.protection import MAC, MAC_OCTETS
from mixer.secret import Secret


def vouch(transfer_mac: bytes, mpk_r: Secret) -> bytes:
    """Initiator data for a TRANSFER_INIT that ends with this MAC."""
    octets = write_data((Verification(MAC, transfer_mac), Verification(MAC, b"")))
    return octets + mac(MAC, initiator_data_key(mpk_r), octets)


def vouched_mac(octets: bytes) -> bytes:
    """The MAC of the TRANSFER_INIT that initiator data are for. Raises Malformed."""
    return _pair(octets)[0].mac


def check_vouched(octets: bytes, mpk_r: Secret) -> None:
    """Raise Forged unless initiator data were made by one who holds MPKr, Malformed if they are none."""
    claimed = _pair(octets)[1].mac
    check_mac(MAC, initiator_data_key(mpk_r), octets[:-MAC_OCTETS], claimed)


def _pair(octets: bytes) -> tuple[Verification, Verification]:
    parts = read_data(octets)
    match parts:
        case (Verification(algorithm=first) as vi, Verification(algorithm=second) as vr) if first == second == MAC:
            return vi, vr
    raise Malformed("the initiator data are not two MACs of the kind that is taken")

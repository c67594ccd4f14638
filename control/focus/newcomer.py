"""Newcomers: what a call begins with, before anything is agreed on.

Knows: names of legs, and what a phone says of how it takes keys. Must never know: SDP, or the order of things.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final

from control.focus import media
from control.focus.call import Call
from control.focus.carrying import PACKAGE
from control.focus.house import House
from control.focus.identity import Identity
from control.focus.room import Room
from control.sip.incoming import Incoming
from mixer import port
from mixer.secret import Secret

OWN_MKI: Final = 1 << 31
"""The MKI of a leg's own key has this bit, group keys' have not (`control.rekey.epochs`)."""
MEMBER_HEADER: Final = "Mrfp-Member"
"""Tells an endpoint that takes keys by MIKEY what it and the focus are called in them."""


def new_call(house: House, room: Room, identity: Identity, agent: str = "") -> Call:
    """One that nothing is known of but who it is."""
    user = _UNFIT.sub("", identity.uri.partition(":")[2].partition("@")[0])[:40]
    name = f"{user or 'anonymous'}.{secrets.token_hex(4)}"
    node = house.trunk.node
    terms, place = media.terms(house.settings, room.settings, node), media.place(house.settings, node)
    call = Call(name, identity, terms, place, cname=room.name)
    call.agent = agent
    return call


def take_mikey(incoming: Incoming, room: Room, call: Call, psks: Mapping[str, Secret]) -> None:
    """It can take keys in INFO, and shares a key with us."""
    packages = {word.strip() for line in incoming.all("Recv-Info") for word in line.split(",")}
    if PACKAGE in packages and room.settings.style == "mki":
        call.psk = psks.get(call.identity.uri)


def mikey_headers(room: Room, call: Call) -> list[tuple[str, str]]:
    """What it is told of that."""
    if call.psk is None:
        return []
    names = f"{call.name} {room.identity} {room.name}"
    return [("Recv-Info", PACKAGE), (MEMBER_HEADER, names)]


def own_key(call: Call) -> port.Key | None:
    """A key for one phone alone; none if it has no SDES."""
    agreed = call.agreed
    if agreed is None or agreed.crypto is None:
        return None
    mki = (OWN_MKI | secrets.randbits(31)).to_bytes(4).hex() if agreed.mki else ""
    return port.Key(suite=agreed.crypto.suite, secret=media.fresh_key(agreed.crypto.suite), mki=mki)


_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]")
"""What the name of a leg cannot hold."""

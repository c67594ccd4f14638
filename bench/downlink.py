"""Downlink: what arrived, opened after the run.

Every packet of every leg is authenticated. Under a group key all listeners are sent the same octets,
so each distinct packet is decrypted once and the copies must equal it octet by octet: that is the same
proof, and a thousand times cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.codec import Samples
from bench.copies import originals
from bench.plan import FIRST_ADDRESS, Plan
from bench.srtp import Handle, open_session, strip_mki, unprotect_rows

HEADER = 12


@dataclass
class Arrivals:
    """RTP packets in order of arrival, one row each; `octets` are still encrypted."""

    octets: NDArray[np.uint8]
    length: NDArray[np.int32]
    leg: NDArray[np.intp]
    ssrc: NDArray[np.int64]
    sequence: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    rtcp: int
    """Control packets beside them, left out."""
    stray: int
    """Datagrams that are no RTP, or for no leg of ours."""


def arrivals(
    plan: Plan,
    octets: NDArray[np.uint8],
    length: NDArray[np.int32],
    destination: NDArray[np.int64],
    arrival_ns: NDArray[np.int64],
) -> Arrivals:
    """Sort captured datagrams: RTP for a leg stays, the rest is counted."""
    leg = destination - FIRST_ADDRESS
    known = (leg >= 0) & (leg < plan.legs) & (length >= HEADER) & (octets[:, 0] >> 6 == 2)
    control = known & (octets[:, 1] >= 192) & (octets[:, 1] <= 223)
    rows = np.flatnonzero(known & ~control)
    kept = octets if len(rows) == len(octets) else octets[rows]
    return Arrivals(
        octets=kept,
        length=length[rows].copy(),
        leg=leg[rows].astype(np.intp),
        ssrc=_big_endian(kept[:, 8:12]),
        sequence=_big_endian(kept[:, 2:4]),
        arrival_ns=arrival_ns[rows],
        rtcp=int(control.sum()),
        stray=int((~known).sum()),
    )


def open_all(plan: Plan, got: Arrivals) -> NDArray[np.intp]:
    """Decrypt in place; returns for each row the row that holds its clear text, -1 if it is not authentic.

    In clear every row is its own: there is nothing to prove.
    """
    if plan.clear:
        return np.arange(len(got.leg))
    mki = strip_mki(got.octets, got.length, plan.mki, plan.parameters)
    conference = plan.conference()[got.leg]
    grouped = _under_group_key(plan, mki)
    origin = np.arange(len(got.leg))
    if grouped.any():
        name = conference << 48 | got.ssrc << 16 | got.sequence
        origin[grouped] = originals(got.octets, got.length, np.flatnonzero(grouped), name[grouped])
    good = np.zeros(len(origin), np.bool_)
    _open(plan, got, np.flatnonzero(grouped & (origin == np.arange(len(origin)))), good, conference)
    _open(plan, got, np.flatnonzero(~grouped), good, None)
    return np.where((origin >= 0) & good[origin], origin, -1)


def audio(plan: Plan, got: Arrivals, rows: NDArray[np.intp]) -> tuple[Samples, NDArray[np.int64]]:
    """Decode clear rows of one leg.

    Returns:
        float32[n * rate / 50]: the packets' sound one after the other, at the rate of the plan's coder.
        int64[n]: when each packet arrived. Packets with a payload of another size or type are left out.
    """
    coder = plan.coder
    parts, times = [], []
    for row, origin in rows.reshape(-1, 2):
        packet = got.octets[origin, : got.length[origin]]
        start = _payload_start(packet)
        size = len(packet) - start
        right = size == coder.largest if coder.fixed else 0 < size <= coder.largest
        if right and packet[1] & 0x7F == coder.payload_type:
            parts.append(packet[start:])
            times.append(got.arrival_ns[row])
    return coder.sound(parts), np.array(times, np.int64)


def _payload_start(packet: NDArray[np.uint8]) -> int:
    start = HEADER + 4 * int(packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * (int(packet[start + 2]) << 8 | int(packet[start + 3]))
    return start


def _under_group_key(plan: Plan, mki: NDArray[np.uint32]) -> NDArray[np.bool_]:
    if plan.keying == "unique":
        return np.zeros(len(mki), np.bool_)
    if not plan.mki:
        return np.ones(len(mki), np.bool_)
    return np.asarray(mki == int.from_bytes(plan.mki_of("group"), "big"))


def _open(
    plan: Plan,
    got: Arrivals,
    rows: NDArray[np.intp],
    good: NDArray[np.bool_],
    conference: NDArray[np.intp] | None,
) -> None:
    """Decrypt rows with the group key of their conference, or with the own key of their leg."""
    owner = got.leg[rows] if conference is None else conference[rows]
    session: dict[int, Handle] = {}
    for name in np.unique(owner):
        secret = plan.tx_key(int(name)) if conference is None else plan.group_key(int(name))
        session[int(name)] = open_session(plan.parameters, secret)
    status = unprotect_rows([session[name] for name in owner.tolist()], got.octets, got.length, rows)
    good[rows] = status == 0


def _big_endian(octets: NDArray[np.uint8]) -> NDArray[np.int64]:
    value = np.zeros(len(octets), np.int64)
    for column in octets.T:
        value = value << 8 | column
    return value

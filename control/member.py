"""The member's side of group keys: what an endpoint does with the key messages that it gets. Sans-IO.

    member = Member("alice", psk, focus="focus", conference="room")
    member.own(mki, secret, suite)                 the leg's own key, from the signalling

    answer = member.receive(octets, now=...)       a MIKEY message came: send `answer` back, if there is one
    key = member.key(mki)                          an SRTP packet came: open it with this key
    member.used(mki, now=...)                      ... and it was authentic
    member.advance(now=...)                        now and then: old keys are wiped

Knows: secrets, epochs and their MKIs, the ratchet. Must never know: sockets, clocks, SRTP: the packets are opened
by whoever asks for keys, with libsrtp or anything else.

Rules that make it safe:

* A message changes nothing before its MAC has proved right; a repeated one is answered again, and does nothing.
* The MKI of a packet is not authenticated. One that is up to eight ratchet steps ahead yields a candidate key; only
  `used`, after the packet has authenticated, keeps the step and wipes what was before it.
* The key before is kept for a second after the first packet under a new one, for packets that were overtaken, and
  no longer: whoever left may know it, and could forge with it.
* SSRC, sequence and rollover counter are not part of a key: a receiver keeps one rollover counter for each SSRC,
  whatever the key (RFC 3711 section 3.2.3), and begins where the signalling said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from control.mikey import prf
from control.mikey.errors import MikeyError
from control.mikey.psk import Receiver
from control.mikey.push import Delivery
from control.rekey import ratchet
from control.rekey.epochs import STEP_MAX, generation_of, mki_of, step_of
from mixer.secret import Secret
from mixer.suites import SuiteName

RETENTION_S: Final = 1.0
"""How long a key is kept after the first packet under a newer one."""
MAX_KEYS: Final = 3
"""Group keys held at a time: the one in use, the one before, and the one to come."""


@dataclass(slots=True)
class MemberKey:
    """One key to open packets with."""

    suite: SuiteName
    secret: Secret
    """master key || master salt."""
    mki: bytes
    streams: tuple[tuple[int, int], ...] = ()
    """(SSRC, ROC) of the streams that it was announced for."""
    retires: float | None = None
    """When it is to be wiped; None while it is not superseded."""


@dataclass(slots=True)
class _Epoch:
    """A secret that can be ratcheted, at the step that was last proved to be in use."""

    secret: Secret
    number: int
    delivery: Delivery


class Member:
    """One endpoint in one conference."""

    def __init__(self, name: str, psk: Secret, *, focus: str, conference: str) -> None:
        """`name` and `focus`: the identities in MIKEY messages; `psk`: pre-shared between them."""
        self.name, self.conference = name, conference
        self.refused = 0
        """Messages that changed nothing: forged, replayed, malformed, or not for us."""
        self._receiver = Receiver(psk, identity=name.encode(), peer=focus.encode())
        self._keys: dict[bytes, MemberKey] = {}
        self._group: list[int] = []
        """Epochs of the group keys held, in the order in which they rise."""
        self._epochs: dict[int, _Epoch] = {}
        """Secrets that can be ratcheted, by generation."""
        self._candidates: dict[bytes, MemberKey] = {}

    # -- what comes over the key channel ------------------------------------------------------

    def own(self, mki: bytes, secret: Secret, suite: SuiteName) -> None:
        """Hold the leg's own key. It is never superseded by a group key; a second one replaces the first."""
        for former in [key for key in self._keys.values() if not self._is_group(key.mki) and key.mki != mki]:
            self._wipe(former.mki)
        self._keys[mki] = MemberKey(suite, Secret(secret.reveal()), mki)

    def receive(self, octets: bytes, *, now: float) -> bytes | None:
        """Take a key message; the acknowledgement to send back, or None if there is nothing to say."""
        try:
            delivery, answer = self._receiver.accept(octets)
        except MikeyError:
            self.refused += 1
            return None
        if delivery is not None:
            self._install(delivery)
        self.advance(now=now)
        return answer

    def _install(self, delivery: Delivery) -> None:
        push, epoch = delivery.push, delivery.push.epoch
        if self._group and epoch <= self._group[-1]:
            return  # of before: acknowledged all the same, so that the focus need not ask again
        if push.kind == "tgk":
            self._epochs[generation_of(epoch)] = _Epoch(push.secret, epoch, delivery)
        streams = tuple((session.ssrc, session.roc) for session in push.sessions)
        self._hold(epoch, MemberKey(push.suite, delivery.srtp_key(), push.mki, streams))

    def _hold(self, epoch: int, key: MemberKey) -> None:
        self._keys[key.mki] = key
        self._group.append(epoch)
        while len(self._group) > MAX_KEYS:
            self._drop(self._group[0])

    # -- what comes over the media ------------------------------------------------------------

    def key(self, mki: bytes) -> MemberKey | None:
        """The key that a packet with this MKI may be under. A candidate until `used` says so."""
        known = self._keys.get(mki) or self._candidates.get(mki)
        if known is not None or not self._is_group(mki):
            return known
        number = int.from_bytes(mki)
        held = self._epochs.get(generation_of(number))
        if held is None or not held.number < number <= held.number + ratchet.WINDOW:
            return None
        candidate = MemberKey(held.delivery.push.suite, self._derived(held, number), mki)
        self._candidates = {mki: candidate}
        return candidate

    def used(self, mki: bytes, *, now: float) -> None:
        """A packet has authenticated under the key of this MKI."""
        candidate = self._candidates.pop(mki, None)
        if candidate is not None:
            self._commit(int.from_bytes(mki), candidate)
        key = self._keys.get(mki)
        if key is None or not self._is_group(mki):
            return
        number = int.from_bytes(mki)
        for epoch in self._group:
            before = self._keys[mki_of(epoch)]
            if epoch < number and before.retires is None:
                before.retires = now + RETENTION_S

    def _commit(self, number: int, key: MemberKey) -> None:
        """The ratchet has moved on: keep this step's secret, and none before it."""
        held = self._epochs[generation_of(number)]
        held.secret, before = self._stepped(held, number), held.secret
        held.number = number
        before.wipe()
        if not self._group or number > self._group[-1]:
            self._hold(number, key)
        else:
            self._keys[key.mki] = key
            self._group = sorted({*self._group, number})

    def _derived(self, held: _Epoch, number: int) -> Secret:
        stepped = self._stepped(held, number)
        delivery = held.delivery
        try:
            return prf.srtp_key(stepped, csb_id=delivery.csb_id, cs_id=1, rand=delivery.rand, suite=delivery.push.suite)
        finally:
            stepped.wipe()

    def _stepped(self, held: _Epoch, number: int) -> Secret:
        return ratchet.ratchet_to(
            held.secret,
            conference=self.conference,
            generation=generation_of(number),
            have=step_of(held.number),
            want=step_of(number),
        )

    # -- what goes ----------------------------------------------------------------------------

    def advance(self, *, now: float) -> None:
        """Wipe the keys whose time is over."""
        for epoch in list(self._group):
            retires = self._keys[mki_of(epoch)].retires
            if retires is not None and retires <= now:
                self._drop(epoch)

    def close(self) -> None:
        """Leave: wipe everything."""
        for mki in list(self._keys):
            self._wipe(mki)
        for held in self._epochs.values():
            held.secret.wipe()
        self._group.clear()
        self._epochs.clear()
        self._candidates.clear()

    def held(self) -> list[MemberKey]:
        """All keys held: group keys in the order of their epochs, and own ones."""
        return sorted(self._keys.values(), key=lambda key: key.mki)

    @property
    def epoch(self) -> int:
        """The newest group epoch held, 0 if none."""
        return self._group[-1] if self._group else 0

    def _drop(self, epoch: int) -> None:
        self._group.remove(epoch)
        self._wipe(mki_of(epoch))
        generation = generation_of(epoch)
        if all(generation_of(other) != generation for other in self._group) and generation in self._epochs:
            self._epochs.pop(generation).secret.wipe()

    def _wipe(self, mki: bytes) -> None:
        key = self._keys.pop(mki, None)
        if key is not None:
            key.secret.wipe()

    @staticmethod
    def _is_group(mki: bytes) -> bool:
        """Own keys have the highest bit set (`control.rekey.epochs`)."""
        return len(mki) == 4 and not mki[0] & 0x80 and int.from_bytes(mki) > STEP_MAX

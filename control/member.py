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
* Epochs rise in one life of a focus, which a bundle of MIKEY stands for. Another life begins where it likes, and its
  keys supersede those of the life before.
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
MAX_KEYS: Final = 6
"""Group keys held at a time: the one before, the one in use, two that evictions may have thrown away on their way
here, the one to come, and one to spare. Nobody tells a member which were thrown away: the first packet under
the next key does."""


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
        self._owns: list[bytes] = []
        """MKIs of the leg's own keys: the one before, if it is still held, and the newest."""
        self._lives: dict[int, int] = {}
        """CSB IDs, each with its place among the lives of the focus."""
        self._group: dict[int, int] = {}
        """Epochs of the group keys held, each with the life that it is of."""
        self._proved = (-1, 0)
        """Life and epoch of the newest key that a packet has authenticated under."""
        self._epochs: dict[int, _Epoch] = {}
        """Secrets that can be ratcheted, by generation."""
        self._candidates: dict[bytes, MemberKey] = {}

    # -- what comes over the key channel ------------------------------------------------------

    def own(self, mki: bytes, secret: Secret, suite: SuiteName) -> None:
        """Hold the leg's own key; no group key supersedes it. The one before is kept as a group key would be."""
        self._owns = [former for former in self._owns if former != mki]
        for former in self._owns[:-1]:
            self._wipe(former)
        self._wipe(mki)
        self._owns = [*self._owns[-1:], mki]
        self._keys[mki] = MemberKey(suite, Secret(secret.reveal()), mki)

    def receive(self, octets: bytes, *, now: float) -> bytes | None:
        """Take a key message; the acknowledgement to send back, or None if there is nothing to say."""
        try:
            delivery, answer = self._receiver.accept(octets)
        except MikeyError:
            self.refused += 1
            return None
        if delivery is not None:
            self._install(delivery, now)
        self.advance(now=now)
        return answer

    def _install(self, delivery: Delivery, now: float) -> None:
        """Hold what is acknowledged, though it is not the newest: the focus may have thrown that away."""
        push, epoch = delivery.push, delivery.push.epoch
        life = self._lives.setdefault(delivery.csb_id, len(self._lives))
        if not self._is_group(push.mki) or self._group.get(epoch) == life or life < len(self._lives) - 1:
            return
        known = self._epochs.get(generation_of(epoch))
        fresh = known is None or self._lives[known.delivery.csb_id] != life
        if push.kind == "tgk" and (fresh or known is None or known.number < epoch):
            self._forget_generation(epoch)
            self._epochs[generation_of(epoch)] = _Epoch(push.secret, epoch, delivery)
        streams = tuple((session.ssrc, session.roc) for session in push.sessions)
        key = MemberKey(push.suite, delivery.srtp_key(), push.mki, streams)
        if (life, epoch) < self._proved:
            key.retires = now + RETENTION_S
        self._hold(epoch, life, key)

    def _hold(self, epoch: int, life: int, key: MemberKey) -> None:
        self._wipe(key.mki)
        self._keys[key.mki], self._group[epoch] = key, life
        ranked = sorted((life, epoch) for epoch, life in self._group.items())
        spare = [number for rank, number in ranked[:-1] if number != epoch and (rank, number) != self._proved]
        for number in spare[: len(ranked) - MAX_KEYS] if len(ranked) > MAX_KEYS else ():
            self._drop(number)

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
        if mki not in self._keys:
            return
        if self._is_group(mki):
            number = int.from_bytes(mki)
            proved = self._group[number], number
            self._proved = max(self._proved, proved)
            before = [mki_of(epoch) for epoch, life in self._group.items() if (life, epoch) < proved]
        else:
            before = self._owns[: self._owns.index(mki)]
        for key in [self._keys[former] for former in before]:
            key.retires = now + RETENTION_S if key.retires is None else key.retires

    def _commit(self, number: int, key: MemberKey) -> None:
        """The ratchet has moved on: keep this step's secret, and none before it."""
        held = self._epochs[generation_of(number)]
        held.secret, before = self._stepped(held, number), held.secret
        held.number = number
        before.wipe()
        self._hold(number, self._lives[held.delivery.csb_id], key)

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
        for key in [key for key in self._keys.values() if key.retires is not None and key.retires <= now]:
            if self._is_group(key.mki):
                self._drop(int.from_bytes(key.mki))
            else:
                self._wipe(key.mki)
                self._owns.remove(key.mki)

    def close(self) -> None:
        """Leave: wipe everything."""
        for mki in list(self._keys):
            self._wipe(mki)
        for held in self._epochs.values():
            held.secret.wipe()
        self._owns.clear()
        self._group.clear()
        self._epochs.clear()
        self._candidates.clear()

    def held(self) -> list[MemberKey]:
        """All keys held: group keys in the order of their epochs, and own ones."""
        return sorted(self._keys.values(), key=lambda key: key.mki)

    @property
    def epoch(self) -> int:
        """The newest group epoch held, 0 if none."""
        return max((life, epoch) for epoch, life in self._group.items())[1] if self._group else 0

    def _drop(self, epoch: int) -> None:
        del self._group[epoch]
        self._wipe(mki_of(epoch))
        if all(generation_of(other) != generation_of(epoch) for other in self._group):
            self._forget_generation(epoch)

    def _forget_generation(self, epoch: int) -> None:
        """Wipe the secret that a generation's steps derive from, and what was derived and never proved."""
        held = self._epochs.pop(generation_of(epoch), None)
        if held is not None:
            held.secret.wipe()
        for mki in [mki for mki in self._candidates if generation_of(int.from_bytes(mki)) == generation_of(epoch)]:
            self._candidates.pop(mki).secret.wipe()

    def _wipe(self, mki: bytes) -> None:
        key = self._keys.pop(mki, None)
        if key is not None:
            key.secret.wipe()

    @staticmethod
    def _is_group(mki: bytes) -> bool:
        """Own keys have the highest bit set (`control.rekey.epochs`)."""
        return len(mki) == 4 and not mki[0] & 0x80 and int.from_bytes(mki) > STEP_MAX

"""One call after the other: who asks, how often, may it, what comes of it, and the audit line before the reply.

Knows: everything of the KMS but sockets and files. Time comes from two functions, so that tests have
their own.

An operation whose audit line cannot be written fails, and no key leaves. What it changed stays changed;
asked for again, it gets its line.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

import mixer
from control.kms import messages
from control.kms.audit import Audit
from control.kms.callers import Caller, Roles
from control.kms.errors import KmsError, Refusal, not_yours
from control.kms.limits import BUCKETS, RateLimits
from control.kms.registry import Held, Registry
from control.listen import Peer
from mixer import port


class Authority(Protocol):
    """What answers MIKEY-TICKET messages. Tests have a fake."""

    def answer(self, octets: bytes, *, now: int) -> bytes:
        """The answer to one message; `now` is seconds since 1970.

        Raises:
            ValueError: if it is no message that can be answered.
        """
        ...


class KmsService:
    """The key management server without its doors."""

    def __init__(
        self,
        registry: Registry,
        audit: Audit,
        roles: Roles,
        limits: RateLimits,
        *,
        boot_id: str,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`monotonic` never runs backwards; `wall` is seconds since 1970, for the audit and for MIKEY."""
        self.registry = registry
        self.audit = audit
        self.authority: Authority | None = None
        """Set it to offer MIKEY-TICKET."""
        self.boot_id = boot_id
        self.refused = self.rate_limited = self.faults = 0
        self._roles = roles
        self._limits = limits
        self._monotonic = monotonic
        self._wall = wall
        self._unwritten: dict[str, int] = {}
        self._answers: Final[dict[type[msgspec.Struct], Callable[[Caller, Any], msgspec.Struct]]] = {
            messages.KmsInfo: self._info,
            messages.ConferenceRegister: self._register,
            messages.ConferenceClose: self._close,
            messages.MemberAdmit: self._admit,
            messages.MemberExpel: self._expel,
            messages.EpochCreate: self._create,
            messages.EpochFetch: self._fetch,
            messages.EpochForget: self._forget,
            messages.MikeyExchange: self._mikey,
            messages.AuditTail: self._tail,
        }

    def caller(self, peer: Peer) -> Caller:
        """Who a peer is."""
        return self._roles.caller(peer)

    def run(self, caller: Caller, params: msgspec.Struct) -> msgspec.Struct:
        """Do what a caller asks, and write it down.

        Raises:
            KmsError: if it is refused; nothing has changed then.
            OSError: if it cannot be written down.
        """
        try:
            self._take(caller)
            reply = self._answers[type(params)](caller, params)
        except KmsError as error:
            self._write_refusal(caller, params, error)
            raise
        self._write(caller, params)
        return reply

    def may_request(self, identity: str, conference: str) -> bool:
        """True if a MIKEY-TICKET initiator may have a ticket for a conference: its owner may."""
        return self.registry.owner(conference) == identity

    def may_resolve(self, identity: str, conference: str) -> bool:
        """True if a MIKEY-TICKET responder may have the keys in a ticket for a conference: its members may."""
        return self.registry.is_member((identity,), conference)

    def sweep(self) -> None:
        """Wipe keys whose time is over."""
        self.registry.sweep(self._monotonic())

    def note(self, op: str, reason: str = "") -> None:
        """Write a line about the KMS itself. Raises OSError."""
        self.audit.add(self._wall(), "kms", {"op": op, "outcome": "ok", "reason": reason})

    def _take(self, caller: Caller) -> None:
        buckets = self._limits.systems if caller.system else self._limits.others
        wait_s = buckets.take(caller.system or str(caller), self._monotonic())
        if wait_s:
            raise _too_fast("you ask too often", wait_s)

    def _info(self, caller: Caller, _params: messages.KmsInfo) -> messages.KmsStatus:
        if not (caller.system or caller.auditor):
            raise not_yours("neither a conference system nor an auditor")
        return messages.KmsStatus(
            version=mixer.__version__,
            boot_id=self.boot_id,
            conferences=len(self.registry),
            epochs_kept=self.registry.epochs_kept,
            epochs_made=self.registry.epochs_made,
            refused=self.refused,
            rate_limited=self.rate_limited,
            faults=self.faults,
            audit_lines=self.audit.lines,
            audit_head=self.audit.head,
        )

    def _register(self, caller: Caller, params: messages.ConferenceRegister) -> port.Done:
        self.registry.register(_system(caller), params.conference, params.members)
        return port.Done()

    def _close(self, caller: Caller, params: messages.ConferenceClose) -> port.Done:
        self.registry.close(_system(caller), params.conference)
        return port.Done()

    def _admit(self, caller: Caller, params: messages.MemberAdmit) -> port.Done:
        self.registry.admit(_system(caller), params.conference, params.member)
        return port.Done()

    def _expel(self, caller: Caller, params: messages.MemberExpel) -> port.Done:
        self.registry.expel(_system(caller), params.conference, params.member)
        return port.Done()

    def _create(self, caller: Caller, params: messages.EpochCreate) -> messages.EpochKey:
        owner, now = _system(caller), self._monotonic()
        self.registry.check_owner(owner, params.conference)
        wait_s = self._limits.conferences.take(params.conference, now)
        if wait_s:
            raise _too_fast("this conference has epochs made too often", wait_s)
        return _key(self.registry.create(owner, params, now), now)

    def _fetch(self, caller: Caller, params: messages.EpochFetch) -> messages.EpochKey:
        now = self._monotonic()
        return _key(self.registry.fetch(caller.identities, params, now), now)

    def _forget(self, caller: Caller, params: messages.EpochForget) -> port.Done:
        self.registry.forget(_system(caller), params)
        return port.Done()

    def _mikey(self, _caller: Caller, params: messages.MikeyExchange) -> messages.MikeyAnswer:
        if self.authority is None:
            raise KmsError(Refusal.NOT_OFFERED, "this KMS has no MIKEY-TICKET side; ask its operator")
        try:
            octets = base64.b64decode(params.message, validate=True)
            answer = self.authority.answer(octets, now=int(self._wall()))
        except (binascii.Error, ValueError) as error:
            raise KmsError(Refusal.BAD_MESSAGE, "this is no MIKEY message that can be answered") from error
        return messages.MikeyAnswer(message=base64.b64encode(answer).decode("ascii"))

    def _tail(self, caller: Caller, params: messages.AuditTail) -> messages.AuditLines:
        if not caller.auditor:
            raise not_yours("not an auditor")
        records = list(self.audit.tail(params.first, params.limit))
        return messages.AuditLines(records=records, next=records[-1].n + 1 if records else params.first)

    def _write(self, caller: Caller, params: msgspec.Struct) -> None:
        if isinstance(params, messages.KmsInfo):
            return  # changes nothing and tells nothing of a conference: a monitor may ask it all day
        fields = _subject(params) | {"outcome": "ok"} | self._unwritten_of(caller)
        members: tuple[str, ...] = getattr(params, "members", ())
        admitted = ({**fields, "op": "member.admit", "member": member, "unwritten": 0} for member in members)
        self.audit.add(self._wall(), str(caller), fields, *admitted)

    def _write_refusal(self, caller: Caller, params: msgspec.Struct, error: KmsError) -> None:
        self.refused += 1
        if error.refusal is Refusal.RATE_LIMITED:
            self.rate_limited += 1
            # A flood must not fill the disk: the first refusal in a row has a line, the rest are counted.
            name = str(caller)
            if len(self._unwritten) >= BUCKETS:
                self._unwritten.clear()
            self._unwritten[name] = self._unwritten.get(name, -1) + 1
            if self._unwritten[name]:
                return
            fields = {}
        else:
            fields = self._unwritten_of(caller)
        fields |= _subject(params) | {"outcome": "refused", "refusal": error.refusal.value}
        self.audit.add(self._wall(), str(caller), fields | {"reason": error.why or str(error)})

    def _unwritten_of(self, caller: Caller) -> dict[str, Any]:
        return {"unwritten": self._unwritten.pop(str(caller), 0)}


def _system(caller: Caller) -> str:
    if caller.system is None:
        raise not_yours("not a conference system")
    return caller.system


def _key(held: Held, now: float) -> messages.EpochKey:
    asked = held.request
    return messages.EpochKey(
        conference=asked.conference,
        cohort=asked.cohort,
        epoch=asked.epoch,
        suite=asked.suite,
        kind=asked.kind,
        secret=held.secret,
        expires_in_s=round(held.expires_at - now, 3),
    )


def _too_fast(message: str, wait_s: float) -> KmsError:
    return KmsError(Refusal.RATE_LIMITED, f"{message}; wait {wait_s:g} s", retry_after_s=wait_s)


def _subject(params: msgspec.Struct) -> dict[str, Any]:
    """The fields of a call that are written down: names and numbers."""
    names = ("conference", "cohort", "epoch", "member", "suite", "kind")
    found = {name: getattr(params, name) for name in names if hasattr(params, name)}
    return found | {"op": messages.KMS.method_of[type(params)].name}

"""Who may do what, what is written down, and that no key is."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from control.kms import messages
from control.kms.audit import verify
from control.kms.callers import Roles
from control.kms.errors import NOT_YOURS, KmsError, Refusal
from control.kms.limits import Rate
from control.kms.messages import (
    AuditLines,
    AuditRecord,
    AuditTail,
    ConferenceClose,
    ConferenceRegister,
    EpochCreate,
    EpochFetch,
    EpochForget,
    EpochKey,
    KmsInfo,
    KmsStatus,
    MemberAdmit,
    MemberExpel,
    MikeyAnswer,
    MikeyExchange,
)
from control.listen import Peer
from mixer.port import Done
from tests.control.fakes import spellings
from tests.control.kms.conftest import ALICE, AMPLE, AUDITOR, BOB, FOCUS, OTHER, WALL, World

STRANGER = Peer(names=frozenset(("stranger",)))


async def refusal(world: World, peer: Peer, params: msgspec.Struct) -> KmsError:
    with pytest.raises(KmsError) as refused:
        await world.desk(peer).run(params)
    return refused.value


async def furnish(world: World) -> None:
    """A conference of focus, with alice in it and one epoch."""
    await world.desk().run(ConferenceRegister(conference="room", members=("alice",)))
    await world.desk().run(EpochCreate(conference="room", epoch=1))


def about(conference: str) -> list[msgspec.Struct]:
    """Everything that can be asked of a conference."""
    return [
        ConferenceClose(conference=conference),
        MemberAdmit(conference=conference, member="stranger"),
        MemberExpel(conference=conference, member="alice"),
        EpochCreate(conference=conference, epoch=1),
        EpochCreate(conference=conference, epoch=2),
        EpochFetch(conference=conference, epoch=1),
        EpochFetch(conference=conference, epoch=9),
        EpochForget(conference=conference, epoch=1),
        EpochForget(conference=conference, epoch=9),
    ]


async def written(world: World) -> list[AuditRecord]:
    lines = await world.desk(AUDITOR).run(AuditTail(first=1, limit=1000))
    assert isinstance(lines, AuditLines)
    return lines.records


async def test_a_conference(world: World) -> None:
    await furnish(world)
    made = await world.desk().run(EpochCreate(conference="room", epoch=2, suite="AEAD_AES_256_GCM", kind="key"))
    world.now += 100
    got = await world.desk(ALICE).run(EpochFetch(conference="room", epoch=2))
    assert isinstance(made, EpochKey)
    assert isinstance(got, EpochKey)
    assert made.secret == got.secret
    assert len(got.secret) == 44
    assert (got.conference, got.cohort, got.epoch, got.suite, got.kind) == ("room", 0, 2, "AEAD_AES_256_GCM", "key")
    assert (made.expires_in_s, got.expires_in_s) == (600.0, 500.0)
    world.now += 500
    world.service.sweep()
    assert world.service.registry.epochs_kept == 0
    for params in (MemberExpel(conference="room", member="alice"), ConferenceClose(conference="room")):
        assert await world.desk().run(params) == Done()


@pytest.mark.parametrize("peer", [STRANGER, OTHER, BOB, AUDITOR, Peer(names=frozenset()), Peer(uid=0)])
async def test_the_unauthorised_learn_nothing(world: World, peer: Peer) -> None:
    """The same code and the same words, whether or not there is such a conference, member or epoch."""
    await furnish(world)
    heard = {
        (error.code, str(error), error.refusal, error.retry_after_s)
        for conference in ("room", "nowhere")
        for params in about(conference)
        for error in [await refusal(world, peer, params)]
    }
    assert heard == {(2001, NOT_YOURS, Refusal.NOT_AUTHORISED, None)}
    assert world.service.registry.is_member(["alice"], "room")
    assert await world.desk(ALICE).run(EpochFetch(conference="room", epoch=1))


@pytest.mark.parametrize("peer", [STRANGER, ALICE, BOB])
async def test_neither_do_they_learn_of_the_kms(world: World, peer: Peer) -> None:
    await furnish(world)
    for params in (KmsInfo(), AuditTail(), ConferenceRegister(conference="room"), ConferenceRegister(conference="new")):
        assert str(await refusal(world, peer, params)) == NOT_YOURS
    assert len(world.service.registry) == 1


async def test_a_member_may_fetch_and_nothing_else(world: World) -> None:
    await furnish(world)
    for params in about("room"):
        if params == EpochFetch(conference="room", epoch=1):
            assert isinstance(await world.desk(ALICE).run(params), EpochKey)
        else:
            assert (await refusal(world, ALICE, params)).refusal is Refusal.NOT_AUTHORISED


async def test_the_owner_is_no_member_by_that(world: World) -> None:
    await furnish(world)
    assert (await refusal(world, FOCUS, EpochFetch(conference="room", epoch=1))).refusal is Refusal.NOT_AUTHORISED


async def test_a_conference_system_comes_back_on_another_connection(world: World) -> None:
    await furnish(world)
    both = Peer(names=frozenset(("focus", "focus.example.net")))
    again = await world.desk(both).run(EpochCreate(conference="room", epoch=1))
    assert isinstance(again, EpochKey)
    assert [again.secret.reveal()] == world.made


async def test_only_auditors_read_the_audit(world: World) -> None:
    await furnish(world)
    assert (await refusal(world, FOCUS, AuditTail())).refusal is Refusal.NOT_AUTHORISED
    lines = await world.desk(AUDITOR).run(AuditTail(first=2, limit=2))
    assert isinstance(lines, AuditLines)
    assert ([record.n for record in lines.records], lines.next) == ([2, 3], 4)
    assert (await world.desk(AUDITOR).run(AuditTail(first=99))) == AuditLines(records=[], next=99)


async def test_every_operation_is_written_down(world: World) -> None:
    await furnish(world)
    await world.desk().run(MemberAdmit(conference="room", member="bob"))
    await refusal(world, BOB, EpochFetch(conference="room", cohort=3, epoch=1))
    await refusal(world, OTHER, EpochCreate(conference="room", epoch=2))
    records = await written(world)
    found = [(r.n, r.who, r.op, r.conference, r.cohort, r.epoch, r.member, r.outcome, r.reason) for r in records]
    assert found == [
        (1, "focus", "conference.register", "room", -1, 0, "", "ok", ""),
        (2, "focus", "member.admit", "room", -1, 0, "alice", "ok", ""),
        (3, "focus", "epoch.create", "room", 0, 1, "", "ok", ""),
        (4, "focus", "member.admit", "room", -1, 0, "bob", "ok", ""),
        (5, "bob", "epoch.fetch", "room", 3, 1, "", "refused", "no such epoch is kept"),
        (6, "other", "epoch.create", "room", 0, 2, "", "refused", "registered by another conference system"),
    ]
    assert {record.refusal for record in records[4:]} == {"not_authorised"}
    assert records[2].suite == "AES_CM_128_HMAC_SHA1_80"
    assert records[0].boot == "b00t"


async def test_no_key_is_written_down(tmp_path: Path) -> None:
    """Invariant I12: in no spelling, and no digest of one."""
    world = World().open(audit=tmp_path / "audit.log")
    await furnish(world)
    for epoch in range(2, 12):
        kind: messages.Kind = "key" if epoch % 2 else "secret"
        await world.desk().run(EpochCreate(conference="room", epoch=epoch, kind=kind))
        await world.desk(ALICE).run(EpochFetch(conference="room", epoch=epoch))
        await refusal(world, FOCUS, EpochCreate(conference="room", epoch=epoch, suite="AEAD_AES_128_GCM"))
    world.service.audit.close()
    told = (tmp_path / "audit.log").read_bytes() + repr(world.service.audit.tail(0, 1000)).encode()
    assert verify((tmp_path / "audit.log").read_bytes().splitlines())[0] == 33
    assert len(world.made) == 11
    for octets in world.made:
        digests = [hashlib.new(name, octets).digest() for name in ("sha256", "sha1", "md5", "blake2b")]
        for spelling in [s for secret in (octets, *digests) for s in spellings(secret)]:
            assert spelling not in told
            assert spelling[:12] not in told


async def test_without_a_line_no_key_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().open(audit=tmp_path / "audit.log")
    await world.desk().run(ConferenceRegister(conference="room"))
    with monkeypatch.context() as full:
        full.setattr("os.write", lambda descriptor, octets: 0)
        with pytest.raises(OSError, match="disk full"):
            await world.desk().run(EpochCreate(conference="room", epoch=1))
    assert isinstance(await world.desk().run(EpochCreate(conference="room", epoch=1)), EpochKey)
    assert len(world.made) == 1
    world.service.audit.close()


async def test_too_fast_a_caller_is_told_when_to_come_back() -> None:
    world = World().open(rates=(Rate(10.0, 2), Rate(1.0, 1), AMPLE))
    desk = world.desk()
    await desk.run(ConferenceRegister(conference="room"))
    await desk.run(EpochCreate(conference="room", epoch=1))
    error = await refusal(world, FOCUS, EpochCreate(conference="room", epoch=2))
    assert (error.refusal, error.retry_after_s) == (Refusal.RATE_LIMITED, 0.1)
    await world.desk(OTHER).run(ConferenceRegister(conference="attic"))
    world.now += 0.1
    await desk.run(EpochCreate(conference="room", epoch=2))
    assert (await refusal(world, STRANGER, KmsInfo())).refusal is Refusal.NOT_AUTHORISED
    assert (await refusal(world, STRANGER, KmsInfo())).retry_after_s == 1.0


async def test_one_conference_cannot_use_up_the_kms() -> None:
    world = World().open(rates=(AMPLE, AMPLE, Rate(1.0, 1)))
    for name in ("room", "attic"):
        await world.desk().run(ConferenceRegister(conference=name))
    await world.desk().run(EpochCreate(conference="room", epoch=1))
    error = await refusal(world, FOCUS, EpochCreate(conference="room", epoch=2))
    assert (error.refusal, error.retry_after_s) == (Refusal.RATE_LIMITED, 1.0)
    for peer in (OTHER, STRANGER):
        assert (await refusal(world, peer, EpochCreate(conference="attic", epoch=1))).refusal is Refusal.NOT_AUTHORISED
    assert await world.desk().run(EpochCreate(conference="attic", epoch=1)), "others' attempts cost it nothing"


async def test_a_flood_does_not_fill_the_disk() -> None:
    world = World().open(rates=(Rate(1.0, 1), AMPLE, AMPLE))
    await world.desk().run(ConferenceRegister(conference="room"))
    for _ in range(100):
        await refusal(world, FOCUS, EpochCreate(conference="room", epoch=1))
    world.now += 1
    await world.desk().run(EpochCreate(conference="room", epoch=1))
    records = await written(world)
    assert [(r.op, r.refusal, r.unwritten) for r in records] == [
        ("conference.register", "", 0),
        ("epoch.create", "rate_limited", 0),
        ("epoch.create", "", 99),
    ]
    assert (world.service.refused, world.service.rate_limited) == (100, 100)


async def test_info(world: World) -> None:
    await furnish(world)
    await refusal(world, STRANGER, KmsInfo())
    status = await world.desk(AUDITOR).run(KmsInfo())
    assert isinstance(status, KmsStatus)
    assert (status.boot_id, status.conferences, status.epochs_kept, status.epochs_made) == ("b00t", 1, 1, 1)
    assert (status.refused, status.audit_lines, status.audit_head) == (1, 4, world.service.audit.head)
    assert await world.desk().run(KmsInfo()) == status, "asking writes no line"
    desk = world.desk()
    desk.fault()
    assert await desk.next_event() is None
    desk.close()
    assert world.service.faults == 1


class Echo:
    """A MIKEY-TICKET side that says when it was asked."""

    def answer(self, octets: bytes, *, now: int) -> bytes:
        if octets == b"nonsense":
            raise ValueError("not MIKEY")
        return octets + str(now).encode()


async def test_mikey_messages_are_handed_over(world: World) -> None:
    def message(octets: bytes) -> MikeyExchange:
        return MikeyExchange(message=base64.b64encode(octets).decode())

    assert (await refusal(world, ALICE, message(b"hello"))).refusal is Refusal.NOT_OFFERED
    world.service.authority = Echo()
    answer = await world.desk(ALICE).run(message(b"hello"))
    assert isinstance(answer, MikeyAnswer)
    assert base64.b64decode(answer.message) == b"hello%d" % (WALL + world.now)
    for params in (message(b"nonsense"), MikeyExchange(message="?"), MikeyExchange(message="caf\xe9")):
        error = await refusal(world, ALICE, params)
        assert error.refusal is Refusal.BAD_MESSAGE
        assert "nonsense" not in str(error)
    assert [record.op for record in await written(world)] == ["mikey.exchange"] * 5


async def test_tickets_follow_the_registry(world: World) -> None:
    await furnish(world)
    service = world.service
    may: list[tuple[Callable[[str, str], bool], str, str, bool]] = [
        (service.may_request, "focus", "room", True),
        (service.may_request, "other", "room", False),
        (service.may_request, "focus", "nowhere", False),
        (service.may_request, "alice", "room", False),
        (service.may_resolve, "alice", "room", True),
        (service.may_resolve, "bob", "room", False),
        (service.may_resolve, "focus", "room", False),
    ]
    for asked, identity, conference, expected in may:
        assert asked(identity, conference) is expected


def test_a_certificate_cannot_claim_a_uid() -> None:
    roles = Roles(["uid:0", "a", "b"], ["uid:0"])
    claimed = roles.caller(Peer(names=frozenset(("uid:0", "x"))))
    assert (claimed.identities, claimed.system, claimed.auditor) == (frozenset("x"), None, False)
    real = roles.caller(Peer(uid=0))
    assert (str(real), real.system, real.auditor) == ("uid:0", "uid:0", True)
    assert roles.caller(Peer(names=frozenset(("b", "a", "c")))).system == "a"

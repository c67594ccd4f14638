"""What callers hold of keys, and what they could read with all that they ever held."""

from __future__ import annotations

import secrets
import struct

from bench.callers.keyring import HELD, MemberKeys, NoKeys, PlainKeys
from bench.srtp import PacketSession
from control.member import Member
from mixer.secret import Secret
from mixer.suites import SuiteName

SUITE: SuiteName = "AES_CM_128_HMAC_SHA1_80"
SSRC = 77
OWN = b"\x80\0\0\x01"
GROUP = b"\0\0\x01\0"


def fresh() -> Secret:
    return Secret(secrets.token_bytes(30))


def sealed(secret: Secret, count: int = 1, *, mki: bytes = b"", ssrc: int = SSRC) -> list[bytes]:
    sender = PacketSession(SUITE, secret.reveal(), ssrc=ssrc, mki=mki)
    return [sender.protect(struct.pack("!BBHII", 0x80, 0, n, n * 160, ssrc) + b"\xff" * 160) for n in range(count)]


def test_a_plain_phone_opens_with_the_newest_key_and_those_before() -> None:
    keys, held = [fresh() for _ in range(HELD + 1)], PlainKeys()
    assert [held.take(SUITE, key) for key in keys] == [True] * len(keys)
    assert not held.take(SUITE, keys[0]), "the same key again is no new one"
    assert held.taken == len(keys)
    opened = [held.open(sealed(key)[0], 0.0) is not None for key in keys]
    assert opened == [False, *[True] * HELD]
    assert held.open(sealed(fresh())[0], 0.0) is None


def test_what_was_ever_held_reads_a_capture() -> None:
    mine, other, held = fresh(), fresh(), PlainKeys()
    for key in (mine, *(fresh() for _ in range(HELD))):
        held.take(SUITE, key)
    assert held.open(sealed(mine)[0], 0.0) is None
    assert held.reads([*sealed(mine, 3), *sealed(other, 4)]) == 3
    line = sealed(mine, 2)
    assert (held.reads(line), held.reads(line)) == (2, 2), "a capture can be read again"


def test_a_member_tells_keys_apart_by_their_mki() -> None:
    own, group, held = fresh(), fresh(), MemberKeys(Member("leg", fresh(), focus="focus", conference="room"))
    assert held.take(SUITE, own, OWN)
    assert not held.take(SUITE, own, OWN)
    assert held.take(SUITE, group, GROUP), "a group key may stand in the answer"
    assert held.open(sealed(own, mki=OWN)[0], 0.0) is not None
    assert held.open(sealed(group, mki=GROUP)[0], 0.0) is not None
    assert held.open(sealed(own, mki=GROUP)[0], 0.0) is None
    assert held.open(sealed(own, mki=b"\0\0\x02\0")[0], 0.0) is None
    assert held.taken == 2
    assert held.reads([*sealed(own, 2, mki=OWN), *sealed(group, 3, mki=GROUP), *sealed(fresh(), 4, mki=OWN)]) == 5


def test_an_own_key_may_be_followed_by_another_under_the_same_mki() -> None:
    first, second, held = fresh(), fresh(), MemberKeys(Member("leg", fresh(), focus="focus", conference="room"))
    held.take(SUITE, first, OWN)
    assert held.open(sealed(first, mki=OWN)[0], 0.0) is not None
    assert held.take(SUITE, second, OWN)
    assert held.open(sealed(second, mki=OWN, ssrc=78)[0], 0.0) is not None
    assert held.open(sealed(first, 2, mki=OWN)[1], 0.0) is None


def test_who_has_no_keys_takes_what_is_clear() -> None:
    held = NoKeys()
    assert not held.take(SUITE, fresh())
    assert held.open(b"clear", 0.0) == b"clear"
    assert held.reads([b"x"]) == 0

"""Sessions against the reference SRTP, both ways: all suites, MKIs of 0 to 4 octets, rollover counters."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from mixer import srtp
from mixer.batch import STRIDE
from mixer.drops import Drop
from mixer.libsrtp import SrtpError
from mixer.pointers import Pointers
from mixer.secret import Secret
from mixer.srtp import KeystreamReuse, Sessions
from mixer.suites import SUITES, SuiteName
from tests import naive
from tests.naive import Rtp
from tests.reference.srtp import Context

SSRC = 0x1234_5678
MKI = bytes.fromhex("a1b2c3d4")
suites = pytest.mark.parametrize("suite", SUITES)
widths = pytest.mark.parametrize("width", range(5))
CM80: SuiteName = "AES_CM_128_HMAC_SHA1_80"


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    table = Sessions(2)
    yield table
    table.close_all()


def secret_of(suite: SuiteName, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(SUITES[suite].secret)


def packet(seq: int, ssrc: int = SSRC, payload: bytes = b"some twenty octets..", **fields: object) -> bytes:
    return Rtp(0, seq & 0xFFFF, 160 * seq & 0xFFFF_FFFF, ssrc, payload, **fields).pack()  # type: ignore[arg-type]


class Matrix:
    """Rows of packets, as `Sessions` takes them."""

    def __init__(self, packets: list[bytes]) -> None:
        self.octets = np.zeros((len(packets), STRIDE), np.uint8)
        self.length = np.zeros(len(packets), np.int32)
        for row, octets in enumerate(packets):
            self.octets[row, : len(octets)] = np.frombuffer(octets, np.uint8)
            self.length[row] = len(octets)
        self.pointers = Pointers(self.octets, self.length)
        self.rows = np.arange(len(packets))

    def __getitem__(self, row: int) -> bytes:
        return self.octets[row, : self.length[row]].tobytes()


def protect(sessions: Sessions, row: int, index: int, clear: bytes) -> bytes:
    matrix = Matrix([clear])
    sessions.protect(matrix.pointers, matrix.rows, np.array([row]), np.array([index]))
    return matrix[0]


# -- both ways --------------------------------------------------------------------------------


@suites
@widths
def test_reference_reads_what_we_protect(sessions: Sessions, suite: SuiteName, width: int) -> None:
    secret, mki = secret_of(suite), MKI[:width]
    row = sessions.open(SUITES[suite], Secret(secret), mki, ssrc=SSRC)
    far_end = Context(suite, secret, mki=mki)
    for seq in (65533, 65534, 65535, 65536, 65537):  # over the wrap
        clear = packet(seq, csrcs=(1, 2), profile=0xBEDE, extension=b"\x10\x20\0\0")
        sealed = protect(sessions, row, seq, clear)
        assert len(sealed) == len(clear) + SUITES[suite].tag + width
        assert far_end.unprotect(sealed) == clear


@suites
@widths
def test_we_read_what_the_reference_protects(sessions: Sessions, suite: SuiteName, width: int) -> None:
    secret, mki = secret_of(suite), MKI[:width]
    row = sessions.open(SUITES[suite], Secret(secret), mki)
    far_end = Context(suite, secret, mki=mki)
    clear = [packet(seq) for seq in (65534, 65535, 65536, 65537)]
    matrix = Matrix([far_end.protect(octets) for octets in clear])
    fate = sessions.unprotect(matrix.pointers, matrix.rows, np.full(4, row))
    assert fate.tolist() == [Drop.ACCEPTED] * 4
    assert [matrix[n] for n in range(4)] == clear, "in place"


@suites
@widths
def test_rtcp_both_ways(sessions: Sessions, suite: SuiteName, width: int) -> None:
    secret, mki = secret_of(suite), MKI[:width]
    mine = sessions.open(SUITES[suite], Secret(secret), mki, ssrc=SSRC)
    yours = sessions.open(SUITES[suite], Secret(secret), mki)
    far_end, other = Context(suite, secret, mki=mki), Context(suite, secret, mki=mki)
    clear = naive.pack_report(SSRC, [naive.Block(7)])
    sealed = [sessions.protect_rtcp(mine, clear) for _ in range(3)]
    assert len(set(sealed)) == 3, "an index of its own for each"
    assert [far_end.unprotect_rtcp(octets) for octets in sealed] == [clear] * 3
    for _ in range(2):
        octets = other.protect_rtcp(clear)
        assert sessions.unprotect_rtcp(yours, octets) == (Drop.ACCEPTED, clear)
        assert sessions.unprotect_rtcp(yours, octets)[0] == Drop.REPLAYED


def test_many_sessions_of_all_kinds_in_one_batch(sessions: Sessions) -> None:
    kinds = [(suite, width, SSRC + 7 * n + width) for n, suite in enumerate(SUITES) for width in range(5)]
    rows = [sessions.open(SUITES[s], Secret(secret_of(s, i)), MKI[:w], ssrc=i) for s, w, i in kinds]
    clear = [packet(9, ssrc, payload=bytes(20 + width)) for _, width, ssrc in kinds]
    matrix = Matrix(clear)
    sessions.protect(matrix.pointers, matrix.rows, np.array(rows), np.full(len(rows), 9))
    readers = [sessions.open(SUITES[s], Secret(secret_of(s, i)), MKI[:w]) for s, w, i in kinds]
    for n, (suite, width, ssrc) in enumerate(kinds):
        assert Context(suite, secret_of(suite, ssrc), mki=MKI[:width]).unprotect(matrix[n]) == clear[n]
    some = matrix.rows[::2]
    fate = sessions.unprotect(matrix.pointers, some, np.array(readers)[::2])
    assert not fate.any()
    assert [matrix[n] for n in some.tolist()] == clear[::2]
    assert sessions.count == 2 * len(kinds)


# -- rollover ---------------------------------------------------------------------------------


@suites
def test_joins_at_a_rollover_counter(sessions: Sessions, suite: SuiteName) -> None:
    secret = secret_of(suite)
    far_end = Context(suite, secret, roc=3)
    row = sessions.open(SUITES[suite], Secret(secret), ssrc=SSRC, roc=3)
    clear = packet(40_000)
    matrix = Matrix([far_end.protect(clear)])
    assert sessions.unprotect(matrix.pointers, matrix.rows, np.array([row])).tolist() == [Drop.ACCEPTED]
    assert matrix[0] == clear


@pytest.mark.parametrize("step", [1, 32767, 32768, 32769, 40000, 65535, 65536, 200_001])
@pytest.mark.parametrize("start", [0, 5, 20_000, 32_767, 65_535])
def test_sends_at_any_later_index(sessions: Sessions, start: int, step: int) -> None:
    """A leg's own session rests while it listens under the group key, for however long."""
    secret = secret_of(CM80)
    row = sessions.open(SUITES[CM80], Secret(secret), ssrc=SSRC)
    for index in (start, start + step, start + step + 1):
        clear = packet(index)
        sealed = protect(sessions, row, index, clear)
        assert Context(CM80, secret, roc=index >> 16).unprotect(sealed) == clear, index


def test_a_rollover_counter_needs_an_ssrc(sessions: Sessions) -> None:
    with pytest.raises(SrtpError, match="rollover counter"):
        sessions.open(SUITES[CM80], Secret(secret_of(CM80)), roc=1)
    assert sessions.count == 0


# -- the guard (I1) ---------------------------------------------------------------------------


@pytest.mark.parametrize("again", [100, 99, 0])
def test_an_index_never_comes_twice(sessions: Sessions, monkeypatch: pytest.MonkeyPatch, again: int) -> None:
    row = sessions.open(SUITES[CM80], Secret(secret_of(CM80)), ssrc=SSRC)
    other = sessions.open(SUITES[CM80], Secret(secret_of(CM80, 1)), ssrc=SSRC + 1)
    protect(sessions, row, 100, packet(100))
    calls: list[object] = []
    monkeypatch.setattr(srtp, "LIB", Spy(calls))
    matrix = Matrix([packet(1, SSRC + 1), packet(again)])
    before = [matrix[0], matrix[1]]
    with pytest.raises(KeystreamReuse, match="twice"):
        sessions.protect(matrix.pointers, matrix.rows, np.array([other, row]), np.array([1, again]))
    assert not calls, "libsrtp was not called"
    assert [matrix[0], matrix[1]] == before, "no packet of the batch was touched"
    assert sessions.last[[row, other]].tolist() == [100, -1], "and the honest one may come again"


class Spy:
    """Counts every call into libsrtp."""

    def __init__(self, calls: list[object]) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> object:
        self._calls.append(name)
        raise AssertionError(f"libsrtp was called: {name}")


# -- refusals ---------------------------------------------------------------------------------


def fate_of(sessions: Sessions, row: int, octets: bytes) -> int:
    matrix = Matrix([octets])
    return int(sessions.unprotect(matrix.pointers, matrix.rows, np.array([row]))[0])


@suites
def test_refuses(sessions: Sessions, suite: SuiteName) -> None:
    secret = secret_of(suite)
    row = sessions.open(SUITES[suite], Secret(secret), MKI[:2])
    far_end = Context(suite, secret, mki=MKI[:2])
    sealed = far_end.protect(packet(1))
    assert fate_of(sessions, row, packet(1)) == Drop.UNKNOWN_MKI
    assert fate_of(sessions, row, Context(suite, secret, mki=MKI[1:3]).protect(packet(1))) == Drop.UNKNOWN_MKI
    forged = Context(suite, secret_of(suite, 9), mki=MKI[:2]).protect(packet(1))
    assert fate_of(sessions, row, forged) == Drop.AUTH_FAILED
    for at in (1, 4, 9, 14, len(sealed) - 1 - 2 * SUITES[suite].aead):
        bent = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert fate_of(sessions, row, bent) == Drop.AUTH_FAILED
    assert fate_of(sessions, row, sealed[:14]) in (Drop.TRUNCATED, Drop.UNKNOWN_MKI)
    assert fate_of(sessions, row, sealed) == Drop.ACCEPTED
    assert fate_of(sessions, row, sealed) == Drop.REPLAYED
    later = far_end.protect(packet(3000))
    assert fate_of(sessions, row, later) == Drop.ACCEPTED
    old = Context(suite, secret, mki=MKI[:2]).protect(packet(2))
    assert fate_of(sessions, row, old) == Drop.REPLAYED


@suites
def test_every_length_has_a_fate(sessions: Sessions, suite: SuiteName) -> None:
    row = sessions.open(SUITES[suite], Secret(secret_of(suite)))
    sealed = Context(suite, secret_of(suite)).protect(packet(1))
    for cut in range(12, len(sealed)):
        assert fate_of(sessions, row, sealed[:cut]) in (Drop.TRUNCATED, Drop.AUTH_FAILED)
        assert sessions.unprotect_rtcp(row, sealed[:cut])[0] in (Drop.TRUNCATED, Drop.AUTH_FAILED)


def test_trying_a_key_leaves_the_packet_alone(sessions: Sessions) -> None:
    secret = secret_of(CM80)
    right = sessions.open(SUITES[CM80], Secret(secret))
    wrong = sessions.open(SUITES[CM80], Secret(secret_of(CM80, 1)))
    sealed = Context(CM80, secret).protect(packet(1))
    assert sessions.try_unprotect(wrong, sealed)[0] == Drop.AUTH_FAILED
    assert sessions.try_unprotect(right, sealed) == (Drop.ACCEPTED, packet(1))
    assert sessions.try_unprotect(right, sealed)[0] == Drop.REPLAYED


def test_a_closed_row_is_used_again_and_knows_nothing(sessions: Sessions) -> None:
    row = sessions.open(SUITES[CM80], Secret(secret_of(CM80)), MKI, ssrc=SSRC)
    protect(sessions, row, 500, packet(500))
    sessions.close(row)
    sessions.close(row)
    sessions.close(-1)
    assert sessions.count == 0
    again = sessions.open(SUITES["AEAD_AES_128_GCM"], Secret(secret_of("AEAD_AES_128_GCM")), ssrc=SSRC)
    assert again == row
    sealed = protect(sessions, again, 3, packet(3))
    assert Context("AEAD_AES_128_GCM", secret_of("AEAD_AES_128_GCM")).unprotect(sealed) == packet(3)


def test_a_session_for_one_ssrc_refuses_others(sessions: Sessions) -> None:
    row = sessions.open(SUITES[CM80], Secret(secret_of(CM80)), ssrc=SSRC)
    sealed = Context(CM80, secret_of(CM80)).protect(packet(1, SSRC + 1))
    assert fate_of(sessions, row, sealed) == Drop.AUTH_FAILED
    with pytest.raises(SrtpError, match="could not protect"):
        protect(sessions, row, 1, packet(1, SSRC + 1))


def test_pointers_of_any_rows() -> None:
    matrix = Matrix([packet(n) for n in range(300)])
    for rows in ([], [0], [299], [3, 4, 5], [0, 7, 200]):
        data, size = matrix.pointers.of(np.array(rows, np.int64))
        assert len(data) == len(size) == len(rows)
    whole: NDArray[np.int64] = matrix.rows
    assert len(matrix.pointers.of(whole)[0]) == 300

"""The ratchet: against an independent HKDF, one way, and bounded."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from control.rekey import ratchet
from control.rekey.epochs import GENERATION_MAX
from control.rekey.ratchet import WINDOW, RatchetError, ratchet_to
from mixer.secret import Secret, SecretError

secrets = st.binary(min_size=32, max_size=32)


@given(secrets, st.text(max_size=40), st.integers(1, GENERATION_MAX), st.integers(1, 255))
def test_a_step_is_hkdf_expand(octets: bytes, conference: str, generation: int, step: int) -> None:
    name = conference.encode()
    info = b"mrfp ratchet v1" + len(name).to_bytes(2, "big") + name + generation.to_bytes(4, "big") + bytes([step])
    expected = HKDFExpand(SHA256(), 32, info).derive(octets)
    assert ratchet.step(Secret(octets), conference=conference, generation=generation, step=step) == Secret(expected)


def test_a_step_of_known_octets() -> None:
    """So that members in other languages can check theirs."""
    after = ratchet.step(Secret(bytes(range(32))), conference="c-1", generation=412, step=1)
    assert after.reveal().hex() == "4e45538a9eceb7249eb2f7c4b4117449787f72b4492c4ae722336387cbd8656c"


@given(secrets, st.integers(0, 200), st.integers(0, WINDOW))
def test_a_member_reaches_what_the_mixer_reached_step_by_step(octets: bytes, have: int, ahead: int) -> None:
    walked = Secret(octets)
    for number in range(have + 1, have + ahead + 1):
        walked = ratchet.step(walked, conference="c", generation=9, step=number)
    begin = Secret(octets)
    assert ratchet_to(begin, conference="c", generation=9, have=have, want=have + ahead) == walked
    assert begin.reveal() == octets, "it is kept until a packet has been authenticated"


@pytest.mark.parametrize(("have", "want"), [(5, 4), (0, WINDOW + 1), (250, 257), (3, 255)])
def test_it_goes_neither_back_nor_far(have: int, want: int) -> None:
    with pytest.raises(RatchetError):
        ratchet_to(Secret(bytes(range(32))), conference="c", generation=9, have=have, want=want)


@pytest.mark.parametrize(
    ("conference", "generation", "step"),
    [("a", 1, 1), ("ab", 1, 1), ("a", 2, 1), ("a", 1, 2), ("", 1, 1), ("a\0", 1, 1)],
)
def test_every_context_has_a_key_of_its_own(conference: str, generation: int, step: int) -> None:
    before = Secret(bytes(range(32)))
    others = {("a", 1, 1), ("ab", 1, 1), ("a", 2, 1), ("a", 1, 2), ("", 1, 1), ("a\0", 1, 1)}
    here = ratchet.step(before, conference=conference, generation=generation, step=step)
    for name, number, at in others - {(conference, generation, step)}:
        assert here != ratchet.step(before, conference=name, generation=number, step=at)
    assert here != before


@pytest.mark.parametrize(("generation", "step"), [(0, 1), (GENERATION_MAX + 1, 1), (1, 0), (1, 256)])
def test_there_are_no_other_steps(generation: int, step: int) -> None:
    with pytest.raises(RatchetError, match="new generation"):
        ratchet.step(Secret(bytes(range(32))), conference="c", generation=generation, step=step)


def test_only_whole_secrets_are_taken() -> None:
    with pytest.raises(RatchetError, match="32 octets, this one 30"):
        ratchet.step(Secret(bytes(30)), conference="c", generation=1, step=1)
    gone = Secret(bytes(range(32)))
    gone.wipe()
    with pytest.raises((RatchetError, SecretError)):
        ratchet.step(gone, conference="c", generation=1, step=1)
    with pytest.raises(RatchetError, match="65535"):
        ratchet.step(Secret(bytes(range(32))), conference="c" * 65536, generation=1, step=1)


def test_I12_no_error_shows_a_key() -> None:
    octets = bytes(range(60, 90))
    with pytest.raises(RatchetError) as caught:
        ratchet.step(Secret(octets), conference="c", generation=1, step=1)
    assert octets.hex()[:8] not in str(caught.value)
    assert octets[:4].decode() not in repr(caught.value)

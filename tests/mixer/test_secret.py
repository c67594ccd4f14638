"""A secret is compared, handed to a cipher and wiped; every other way to its octets is closed (I12)."""

from __future__ import annotations

import copy
import pickle
import pprint
import traceback
from typing import Any

import msgspec
import pytest

from mixer.port import Key
from mixer.secret import Secret, SecretError
from tests.leaks import leaks

OCTETS = bytes(range(33, 63))


def test_what_it_is_for() -> None:
    secret = Secret(OCTETS)
    assert secret.reveal() == OCTETS
    assert len(secret) == 30
    assert secret == Secret(bytearray(OCTETS)) == Secret.from_base64(secret.to_base64())
    assert secret != Secret(OCTETS[:-1] + b"!")
    assert secret != Secret(OCTETS[:-1])
    assert secret != OCTETS, "octets are no secret: nobody compares them in constant time"


def test_base64_of_both_kinds_with_and_without_padding() -> None:
    octets = b"\xfb\xff\xbe" * 9 + b"\xfb"
    for text in ("-_--" * 9 + "-w", "-_--" * 9 + "-w==", "+/++" * 9 + "+w"):
        assert Secret.from_base64(text).reveal() == octets
    for text in ("-_-!", "abcde", "\u00e9\u00e8", "ab=c"):
        with pytest.raises(SecretError, match="not base64url") as refused:
            Secret.from_base64(text)
        assert text not in str(refused.value)
        assert refused.value.__suppress_context__, "the cause may quote the text"


def test_every_way_to_print_it_says_the_same() -> None:
    secret = Secret(OCTETS)
    shown = [
        repr(secret),
        str(secret),
        ascii(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:x}",
        "%s %r" % (secret, secret),  # noqa: UP031 - the logging module writes so
    ]
    shown += [format(secret, "032b"), pprint.pformat([secret]), str({"a": secret}), repr(Key(secret=secret))]
    assert all("<secret>" in text for text in shown)
    assert not leaks({"k": OCTETS}, "".join(shown))


def test_a_traceback_that_shows_variables_shows_none_of_it() -> None:
    secret = Secret(OCTETS)
    try:
        raise ValueError(secret, [secret])
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret = <secret>" in shown
    assert not leaks({"k": OCTETS}, shown.replace("OCTETS", ""))


@pytest.mark.parametrize(
    "way",
    [
        *[lambda secret, n=n: pickle.dumps(secret, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)],
        copy.copy,
        copy.deepcopy,
        lambda secret: copy.deepcopy({"a": [secret]}),
        lambda secret: copy.deepcopy(Key(secret=secret)),
        lambda secret: secret.__getstate__(),
        lambda secret: secret.__reduce__(),
        lambda secret: secret.__reduce_ex__(4),
    ],
)
def test_it_is_not_pickled_or_copied(way: Any) -> None:
    with pytest.raises(TypeError, match="never pickled or copied"):
        way(Secret(OCTETS))


@pytest.mark.parametrize(
    "way",
    [bytes, bytearray, list, iter, memoryview, vars, hash, msgspec.json.encode, msgspec.to_builtins, lambda s: s[0]],
)
def test_it_is_no_container_and_no_value(way: Any) -> None:
    with pytest.raises(TypeError) as refused:
        way(Secret(OCTETS))
    assert not leaks({"k": OCTETS}, str(refused.value))


def test_wiped_is_gone() -> None:
    secret = Secret(OCTETS)
    secret.wipe()
    secret.wipe()
    assert len(secret) == 0
    assert secret != Secret(OCTETS)
    for way in (secret.reveal, secret.to_base64):
        with pytest.raises(SecretError, match="has been wiped"):
            way()


def test_its_source_is_left_alone() -> None:
    source = bytearray(OCTETS)
    Secret(source).wipe()
    assert source == OCTETS


class Watched(Secret):
    """Tells when it is wiped."""

    wiped = 0

    def wipe(self) -> None:
        super().wipe()
        Watched.wiped += 1


def test_dropped_is_wiped() -> None:
    before = Watched.wiped
    key = Key(secret=Watched(OCTETS))
    assert Watched.wiped == before
    del key
    assert Watched.wiped == before + 1


def test_what_never_was_is_not_wiped() -> None:
    """With warnings as errors, an exception on the way out of one would fail this test."""
    with pytest.raises(TypeError):
        Secret("text")  # type: ignore[arg-type]


def test_alike_all_over() -> None:
    assert Secret(bytes(30)).is_trivial()
    assert Secret(b"\xff" * 30).is_trivial()
    assert not Secret(OCTETS).is_trivial()

"""Digest: the vectors of RFC 7616 and RFC 2617, and every way not to get in."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sipmessage import URI, Request, Response

from control.sip.digest import Credentials, Digest, Hashed, hash_of, parse_credentials, response_of
from control.sip.errors import Unauthenticated
from mixer.secret import Secret

MUFASA = {
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    "qop": "auth",
    "uri": "/dir/index.html",
}
OLDER = {
    "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
    "nc": "00000001",
    "cnonce": "0a4f113b",
    "qop": "auth",
    "uri": "/dir/index.html",
}
# https://www.rfc-editor.org/rfc/rfc7616#section-3.9.1 and https://www.rfc-editor.org/rfc/rfc2617#section-3.5
VECTORS = [
    ("MD5", b"Mufasa:http-auth@example.org:Circle of Life", MUFASA, "8ca523f5e9506fed4657c9700eebdbec"),
    (
        "SHA-256",
        b"Mufasa:http-auth@example.org:Circle of Life",
        MUFASA,
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    ),
    ("MD5", b"Mufasa:testrealm@host.com:Circle Of Life", OLDER, "6629fae49393a05397450978507c4ef1"),
]


@pytest.mark.parametrize(("algorithm", "a1", "given", "response"), VECTORS)
def test_vectors(algorithm: str, a1: bytes, given: dict[str, str], response: str) -> None:
    assert response_of(algorithm, hash_of(algorithm, a1).encode(), "GET", given) == response


def desk(**more: object) -> Digest:
    return Digest("mrfp", {"alice": Secret(b"secret")}, **more)  # type: ignore[arg-type]


def challenged(digest: Digest, now: float = 0.0, *, stale: bool = False) -> Response:
    response = Response(401, "Unauthorized")
    for name, value in digest.challenge(now, stale=stale):
        response.headers.add(name, value)
    return response


def answered(
    challenge: Response, user: str = "alice", password: str = "secret", method: str = "INVITE", uri: str = "sip:conf@h"
) -> Request:
    request = Request("INVITE", URI.parse("sip:conf@h"))
    for name, value in Credentials(user, password).answer(challenge, method, uri):
        request.headers.add(name, value)
    return request


def changed(request: Request, old: str, new: str) -> Request:
    value = request.headers["Authorization"]
    assert old in value
    request.headers.set("Authorization", value.replace(old, new))
    return request


def test_the_best_algorithm_comes_first_and_is_taken() -> None:
    digest = desk()
    challenge = challenged(digest)
    kinds = [parse_credentials(value)["algorithm"] for value in challenge.headers.getlist("WWW-Authenticate")]
    assert kinds == ["SHA-256", "MD5"]
    request = answered(challenge)
    assert parse_credentials(request.headers["Authorization"])["algorithm"] == "SHA-256"
    assert digest.verify(request, 1) == "alice"


def test_md5_for_those_who_know_no_better_and_not_if_it_is_off() -> None:
    challenge = challenged(desk(algorithms=("MD5",)))
    digest = desk(algorithms=("MD5",))
    assert digest.verify(answered(challenged(digest)), 1) == "alice"
    with pytest.raises(Unauthenticated):
        desk(algorithms=("SHA-256",)).verify(answered(challenge), 1)


def test_a_password_known_by_its_hash() -> None:
    hashed = Hashed({"SHA-256": Secret(hash_of("SHA-256", b"alice:mrfp:secret").encode())})
    digest = Digest("mrfp", {"alice": hashed})
    assert digest.verify(answered(challenged(digest)), 1) == "alice"
    only_md5 = Response(401, "x")
    only_md5.headers.add("WWW-Authenticate", digest.challenge(0)[1][1])
    with pytest.raises(Unauthenticated):
        digest.verify(answered(only_md5), 1)


def test_names_and_passwords_of_any_letters() -> None:
    digest = Digest("mrfp", {'a"l\\ice, é': Secret("pass: wörd".encode())})
    assert digest.verify(answered(challenged(digest), 'a"l\\ice, é', "pass: wörd"), 1) == 'a"l\\ice, é'


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "guess"), ("bob", "secret"), ("", "secret"), ("alice", ""), ("Alice", "secret")]
)
def test_wrong_credentials(user: str, password: str) -> None:
    digest = desk()
    with pytest.raises(Unauthenticated) as refused:
        digest.verify(answered(challenged(digest), user, password or " "), 1)
    assert not refused.value.stale
    assert "secret" not in str(refused.value)


def test_none_and_of_another_realm() -> None:
    digest = desk()
    with pytest.raises(Unauthenticated, match="no credentials"):
        digest.verify(Request("INVITE", URI.parse("sip:conf@h")), 1)
    with pytest.raises(Unauthenticated, match="no credentials"):
        digest.verify(answered(challenged(Digest("other", {}))), 1)


def test_of_two_fields_ours_counts() -> None:
    digest = desk()
    request = answered(challenged(Digest("other", {})))
    request.headers.add("Authorization", answered(challenged(digest)).headers["Authorization"])
    assert digest.verify(request, 1) == "alice"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("qop=auth", "qop=auth-int"),
        ("qop=auth, ", ""),
        ("algorithm=SHA-256", "algorithm=SHA-256-sess"),
        ("algorithm=SHA-256", "algorithm=MD5"),
        ("nc=00000001", "nc=00000002"),
        ('realm="mrfp"', 'realm="mrfp2"'),
        ("Digest ", "Basic "),
        ('uri="sip:conf@h"', 'uri="sip:other@h"'),
        ('uri="sip:conf@h"', 'uri="*"'),
    ],
)
def test_tampered_with(old: str, new: str) -> None:
    digest = desk()
    with pytest.raises(Unauthenticated):
        digest.verify(changed(answered(challenged(digest)), old, new), 1)


def test_for_another_method_or_uri() -> None:
    digest = desk()
    for request in (answered(challenged(digest), method="BYE"), answered(challenged(digest), uri="sip:other@h")):
        with pytest.raises(Unauthenticated):
            digest.verify(request, 1)


def test_a_replay_is_stale_and_the_next_count_is_not() -> None:
    digest = desk()
    request = answered(challenged(digest))
    assert digest.verify(request, 1) == "alice"
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refused:
            digest.verify(request, 1)
        assert refused.value.stale
    given = parse_credentials(request.headers["Authorization"]) | {"nc": "0000000a"}
    ha1 = hash_of("SHA-256", b"alice:mrfp:secret").encode()
    next_one = response_of("SHA-256", ha1, "INVITE", given)
    changed(request, "nc=00000001", "nc=0000000a")
    changed(request, parse_credentials(request.headers["Authorization"])["response"], next_one)
    assert digest.verify(request, 1) == "alice"


def test_a_nonce_lives_for_its_time_and_only_here() -> None:
    digest = desk(life_s=300)
    challenge = challenged(digest, 1000)
    assert digest.verify(answered(challenge), 1299.9) == "alice"
    for now in (1300, 999):
        with pytest.raises(Unauthenticated) as refused:
            digest.verify(answered(challenge), now)
        assert refused.value.stale
    with pytest.raises(Unauthenticated) as refused:
        desk().verify(answered(challenge), 1001)  # after a restart
    assert refused.value.stale


def test_who_is_wrong_and_late_is_not_told_that_it_is_late() -> None:
    digest = desk()
    with pytest.raises(Unauthenticated) as refused:
        digest.verify(answered(challenged(digest), password="guess"), 10_000)
    assert not refused.value.stale


def test_memory_is_bounded_and_what_is_forgotten_is_no_way_in() -> None:
    digest = desk(bound=3)
    requests = [answered(challenged(digest, now)) for now in range(6)]
    for request in requests:
        assert digest.verify(request, 6) == "alice"
    for request in requests:
        with pytest.raises(Unauthenticated) as refused:
            digest.verify(request, 6)
        assert refused.value.stale


def test_the_client_tries_again_only_if_its_nonce_was_stale() -> None:
    credentials = Credentials("alice", "secret")
    digest = desk()
    assert credentials.answer(challenged(digest), "INVITE", "sip:conf@h", again=True) == []
    [(name, _)] = credentials.answer(challenged(digest, stale=True), "INVITE", "sip:conf@h", again=True)
    assert name == "Authorization"


def test_the_client_answers_a_proxy_and_nothing_that_it_does_not_know() -> None:
    response = Response(407, "x")
    response.headers.add("Proxy-Authenticate", 'Digest realm="p", nonce="n", opaque="o\\"p"')
    [(name, value)] = Credentials("alice", "secret").answer(response, "INVITE", "sip:conf@h")
    assert name == "Proxy-Authorization"
    given = parse_credentials(value)
    assert given["opaque"] == 'o"p'
    assert "qop" not in given
    assert given["response"] == response_of("MD5", hash_of("MD5", b"alice:p:secret").encode(), "INVITE", given)
    response.headers.set("Proxy-Authenticate", 'Digest realm="p", nonce="n", algorithm=SHA-512-256')
    assert Credentials("alice", "secret").answer(response, "INVITE", "sip:conf@h") == []


def test_nothing_shows_a_password() -> None:
    credentials = Credentials("alice", "secret")
    assert "secret" not in repr(credentials)
    assert "secret" not in repr(credentials.answer(challenged(desk()), "INVITE", "sip:conf@h"))


@given(st.one_of(st.text(), st.text().map("Digest ".__add__)))
def test_noise_is_unauthenticated(value: str) -> None:
    request = Request("INVITE", URI.parse("sip:conf@h"))
    request.headers.add("Authorization", value)
    with pytest.raises(Unauthenticated):
        desk().verify(request, 1)


@given(
    st.dictionaries(
        st.sampled_from(["username", "realm", "nonce", "nc", "cnonce", "uri", "response", "qop"]), st.text()
    )
)
def test_credentials_of_noise(parameters: dict[str, str]) -> None:
    request = Request("INVITE", URI.parse("sip:conf@h"))
    pairs = {"realm": "mrfp", "qop": "auth", "uri": "sip:conf@h"} | parameters
    request.headers.add("Authorization", "Digest " + ", ".join(f'{name}="{value}"' for name, value in pairs.items()))
    with contextlib.suppress(Unauthenticated):
        desk().verify(request, 1)
        pytest.fail("nobody should get in")

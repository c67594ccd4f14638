"""Digest authentication (RFC 7616, in SIP by RFC 8760): the server's half and the client's. Sans-IO.

Knows nonces, hashes and replays. Must never know what a request is for. A nonce is a time under a MAC of ours, so
there is nothing to remember of those that are never used; of the others, the highest count.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sipmessage import URI, Request, Response

from control.sip.errors import Unauthenticated
from control.sip.uris import parse_uri
from control.sip.values import split_list
from mixer.secret import Secret

ALGORITHMS: Final = ("SHA-256", "MD5")
"""What we speak, the best first (RFC 8760 section 2.3). MD5 is for phones that know no better."""

Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Hashed:
    """A password that only its hash is known of: hexadecimal H(user:realm:password), by algorithm."""

    by_algorithm: Mapping[str, Secret]


class Digest:
    """The server's half.

    Args:
        realm: what the user is asked the password of.
        users: a password each, or its hashes.
        life_s: how long a nonce is good for.
        bound: how many (nonce, cnonce) are remembered. Should more be in use, the oldest nonces go stale.
    """

    def __init__(
        self,
        realm: str,
        users: Mapping[str, Secret | Hashed],
        *,
        algorithms: Sequence[str] = ALGORITHMS,
        life_s: float = 300.0,
        bound: int = 10000,
    ) -> None:
        self.realm = realm
        self._users = users
        self._algorithms = tuple(algorithms)
        self._life_s = life_s
        self._bound = bound
        self._key = secrets.token_bytes(32)
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._floor = float("-inf")  # nonces made until then are stale: their counts are forgotten

    def challenge(self, now: float, *, stale: bool = False) -> Fields:
        """The fields of a 401."""
        nonce, also = self._nonce(now), ", stale=true" if stale else ""
        return [
            (
                "WWW-Authenticate",
                f'Digest realm={_quote(self.realm)}, qop="auth", algorithm={name}, nonce="{nonce}"{also}',
            )
            for name in self._algorithms
        ]

    def verify(self, request: Request, now: float) -> str:
        """The user whose password made the request's credentials.

        Raises:
            Unauthenticated: there are none, or not true ones, or they have been used before.
        """
        given = self._given(request)
        algorithm = _known(given.get("algorithm", "MD5"), self._algorithms)
        if algorithm is None or given.get("qop", "").lower() != "auth":
            raise Unauthenticated("credentials of another kind: use qop=auth and an algorithm of the challenge")
        if not _same_resource(given.get("uri", ""), request.uri):
            raise Unauthenticated("the credentials are for another URI")
        made = self._made_at(given.get("nonce", ""))
        ha1 = self._ha1(given.get("username", ""), algorithm)
        expected = response_of(algorithm, ha1, request.method, given)
        if not hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode("utf-8", "replace")):
            raise Unauthenticated("wrong user name or password")
        if made is None or not made <= now < made + self._life_s or made <= self._floor:
            raise Unauthenticated("the nonce is used up", stale=True)
        self._count(given, made)
        return given["username"]

    # -----------------------------------------------------------------------------------------

    def _given(self, request: Request) -> dict[str, str]:
        for value in request.headers.getlist("Authorization"):
            given = parse_credentials(value)
            if given.get("realm") == self.realm:
                return given
        raise Unauthenticated("no credentials for this realm")

    def _ha1(self, user: str, algorithm: str) -> bytes:
        """As octets of hexadecimal. Nobody's is as dear to compute as somebody's."""
        known = self._users.get(user)
        if isinstance(known, Hashed):
            hashed = known.by_algorithm.get(algorithm)
            return hashed.reveal() if hashed is not None else secrets.token_hex(16).encode()
        password = known.reveal() if known is not None else secrets.token_bytes(16)
        return hash_of(algorithm, f"{user}:{self.realm}:".encode() + password).encode()

    def _count(self, given: Mapping[str, str], made: float) -> None:
        """The count must rise (RFC 7616 section 3.4): what comes twice has been overheard."""
        used, text = (given["nonce"], given.get("cnonce", "")), given.get("nc", "")
        if len(text) != 8 or not set(text.lower()) <= set("0123456789abcdef"):
            raise Unauthenticated("nc is not eight hexadecimal digits")
        if int(text, 16) <= self._counts.get(used, 0):
            raise Unauthenticated("these credentials have been used before", stale=True)
        self._counts[used] = int(text, 16)
        self._counts.move_to_end(used)
        while len(self._counts) > self._bound:
            (forgotten, _), _ = self._counts.popitem(last=False)
            self._floor = max(self._floor, self._made_at(forgotten) or made)

    def _nonce(self, now: float) -> str:
        body = f"{now:.6f}.{secrets.token_hex(8)}"
        return f"{body}.{self._mac(body)}"

    def _made_at(self, nonce: str) -> float | None:
        """When we made it; None if we have not."""
        body, _, mac = nonce.rpartition(".")
        if not hmac.compare_digest(self._mac(body).encode(), mac.encode("utf-8", "replace")):
            return None
        return float(body.rpartition(".")[0])

    def _mac(self, body: str) -> str:
        whole = hmac.digest(self._key, f"{self.realm}\0{body}".encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(whole[:18]).decode()


class Credentials:
    """The client's half: a user and a password."""

    def __init__(self, user: str, password: Secret | str) -> None:
        self.user = user
        self._password = Secret(password.encode()) if isinstance(password, str) else password

    def __repr__(self) -> str:
        return f"Credentials({self.user!r})"

    def answer(self, response: Response, method: str, uri: str, *, again: bool = False) -> Fields:
        """The field that answers a 401 or a 407; none if it cannot be, or if it is no use `again`."""
        proxy = response.code == 407
        for algorithm in ALGORITHMS:
            for value in response.headers.getlist("Proxy-Authenticate" if proxy else "WWW-Authenticate"):
                asked = parse_credentials(value)
                if asked.get("algorithm", "MD5").upper() != algorithm or not asked.get("nonce"):
                    continue
                if again and asked.get("stale", "").lower() != "true":
                    return []
                return [
                    ("Proxy-Authorization" if proxy else "Authorization", self._answer(asked, algorithm, method, uri))
                ]
        return []

    def _answer(self, asked: Mapping[str, str], algorithm: str, method: str, uri: str) -> str:
        realm, qops = asked.get("realm", ""), [qop.strip() for qop in asked.get("qop", "").lower().split(",")]
        used = {"username": self.user, "realm": realm, "nonce": asked["nonce"], "uri": uri}
        bare = {"algorithm": algorithm}
        if "auth" in qops:
            used["cnonce"] = secrets.token_hex(8)
            bare |= {"qop": "auth", "nc": "00000001"}
        ha1 = hash_of(algorithm, f"{self.user}:{realm}:".encode() + self._password.reveal()).encode()
        used["response"] = response_of(algorithm, ha1, method, used | bare)
        if "opaque" in asked:
            used["opaque"] = asked["opaque"]
        pairs = [f"{name}={_quote(value)}" for name, value in used.items()]
        return "Digest " + ", ".join(pairs + [f"{name}={value}" for name, value in bare.items()])


def response_of(algorithm: str, ha1: bytes, method: str, given: Mapping[str, str]) -> str:
    """The value of `response` (RFC 7616 section 3.4.1), of RFC 2069's kind if there is no qop."""
    ha2 = hash_of(algorithm, f"{method}:{given.get('uri', '')}".encode("utf-8", "replace"))
    names = ("nonce", "nc", "cnonce", "qop") if given.get("qop") else ("nonce",)
    middle = ":".join(given.get(name, "") for name in names)
    return hash_of(algorithm, ha1 + f":{middle}:{ha2}".encode("utf-8", "replace"))


def hash_of(algorithm: str, octets: bytes) -> str:
    """In hexadecimal."""
    if algorithm == "MD5":
        return hashlib.md5(octets, usedforsecurity=False).hexdigest()
    return hashlib.sha256(octets).hexdigest()


def parse_credentials(value: str) -> dict[str, str]:
    """The parameters of a challenge or of credentials, names in lower case; none if it is not of Digest."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    try:
        pairs = [piece.partition("=") for piece in split_list(rest)]
    except ValueError:
        return {}
    return {name.strip().lower(): _unquote(text.strip()) for name, _, text in pairs}


def _known(name: str, algorithms: Sequence[str]) -> str | None:
    return name.upper() if name.upper() in algorithms else None


def _same_resource(text: str, uri: URI) -> bool:
    """Whom the credentials are for, parameters aside: proxies change them."""
    try:
        given = parse_uri(text)
    except ValueError:
        return False
    return (given.user, given.host.lower(), given.port) == (uri.user, uri.host.lower(), uri.port)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquote(text: str) -> str:
    if len(text) < 2 or not text.startswith('"'):
        return text
    return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")

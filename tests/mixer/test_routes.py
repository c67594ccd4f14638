"""Routes against a dict."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixer import addresses
from mixer.routes import FIRST_LEG_PORT, Routes

endpoint = st.integers(0, 5)
ssrc = st.integers(1, 4)
leg = st.integers(0, 3)
step = st.one_of(
    st.tuples(st.just("add"), endpoint, ssrc, leg), st.tuples(st.just("forget"), st.just(0), st.just(0), leg)
)


def place(number: int) -> str:
    return f"192.0.2.{number // 2}:{4000 + number % 2}"


def hashed(routes: Routes, number: int, local: int = 0) -> np.uint64:
    source = addresses.pack(place(number)).reshape(1, -1)
    return np.uint64(routes.hash_addresses(source, np.array([local], np.int32))[0])


@given(st.lists(step, max_size=30))
def test_as_a_dict(steps: list[tuple[str, int, int, int]]) -> None:
    routes, known = Routes(), dict[tuple[int, int], int]()
    for kind, where, who, row in steps:
        if kind == "add":
            routes.add(int(hashed(routes, where)), who, row)
            # A leg has one route, the last.
            known = {key: value for key, value in known.items() if value != row} | {(where, who): row}
        else:
            routes.forget(row)
            known = {key: value for key, value in known.items() if value != row}
    pairs = [(where, who) for where in range(6) for who in range(1, 5)]
    found = routes.find(
        np.array([hashed(routes, where) for where, _ in pairs], np.uint64), np.array([who for _, who in pairs])
    )
    assert found.tolist() == [known.get(pair, -1) for pair in pairs]
    assert found.tolist() == [routes.find_one(int(hashed(routes, where)), who) for where, who in pairs]


def test_a_port_is_part_of_the_address() -> None:
    routes = Routes()
    assert len({int(hashed(routes, 0, local)) for local in range(4)}) == 4


def test_worth_a_look() -> None:
    routes = Routes()
    routes.know_address(int(hashed(routes, 1)), 7)
    routes.know_ssrc(99, 8)
    address = np.array([hashed(routes, n) for n in (0, 1, 2, 3)], np.uint64)
    who = np.array([1, 1, 99, 1])
    local = np.array([0, 0, 0, FIRST_LEG_PORT], np.int32)
    assert routes.worth_a_look(address, who, local).tolist() == [False, True, True, True]
    routes.forget_address(int(address[1]), 7)
    routes.forget_ssrc(99, 5)
    assert routes.worth_a_look(address, who, local).tolist() == [False, False, True, True]
    routes.forget_ssrc(99, 8)
    routes.forget_ssrc(1234, 8)
    assert routes.worth_a_look(address, who, local).tolist() == [False, False, False, True]
    assert not routes.by_address
    assert not routes.by_ssrc

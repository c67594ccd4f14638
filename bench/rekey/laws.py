"""Closed forms of group rekeying.

Knows: formulas and where they come from. Must never know: a conference, a clock, a key.

Symbols: N members, lambda leaves a second, mu leaves a second and member, T seconds between two rekeys at least,
pps packets a second of the common stream, c_enc seconds to encrypt one packet, c_msg seconds of the focus's CPU to
deliver a key to one member, acknowledgement included.
"""

from __future__ import annotations

from math import ceil, exp, inf, lgamma, log, sqrt
from typing import Final

PPS: Final = 50.0
"""Packets a second: 20 ms each."""


# -- the two limits on T ----------------------------------------------------------------------


def break_even(c_msg: float, c_enc: float, pps: float = PPS) -> float:
    """T* in seconds: rekeying a group more often than this costs more than an own key for each member.

    N members cost N * c_msg every T seconds with a group key, N * pps * c_enc every second without. N cancels.
    """
    return c_msg / (pps * c_enc)


def capacity(members: float, c_msg: float, share: float = 0.2) -> float:
    """The shortest T in seconds for which one group's key deliveries fit into `share` of a core."""
    return members * c_msg / share


def largest_group(leaves_per_member: float, c_msg: float) -> float:
    """The size of group of which one member leaves, on average, while a key is delivered to it: 1 / sqrt(mu c_msg).

    Somebody who leaves then has the key, and nobody may be put under it who is on an own key. A key is without such a
    one with probability exp(-L), L being the square of the size over this one, whatever the pause between rekeys.
    """
    return 1 / sqrt(leaves_per_member * c_msg)


# -- how often, and how long ------------------------------------------------------------------


def throttle_rate(leaves: float, pause: float) -> float:
    """Rekeys a second of a throttle on its leading edge, `leaves` a second coming as a Poisson process.

    The next rekey is `pause` after the last one if somebody left meanwhile, and at the first leave otherwise. A
    pause without a leave has probability exp(-lambda T); the wait for the first one after it is 1 / lambda.
    """
    return 1 / (pause + exp(-leaves * pause) / leaves)


def throttle_wait(leaves: float, pause: float) -> float:
    """Mean seconds from a leave to the rekey that covers it, under the same throttle.

    Of lambda T + exp(-lambda T) leaves in a cycle, one may find the throttle open; the others wait T / 2 on average.
    """
    return leaves * pause**2 / (2 * (leaves * pause + exp(-leaves * pause)))


def debounce_wait(leaves: float, quiet: float) -> float:
    """Mean seconds until the first of a series of leaves is covered, if a rekey waits for `quiet` seconds without one.

    The waiting time for a gap of D in a Poisson process is (e^(lambda D) - 1) / lambda: it grows exponentially with
    the leave rate, which is largest when the conference ends.
    """
    load = leaves * quiet
    return inf if load > 700 else (exp(load) - 1) / leaves


# -- cohorts ----------------------------------------------------------------------------------


def cohort_cost(
    members: float, size: float, leaves: float, pause: float, *, c_msg: float, c_enc: float, pps: float = PPS
) -> float:
    """Share of a core that a conference in cohorts of `size` costs, beyond what it costs to send.

    Every cohort encrypts each packet once; leaves are spread evenly over the cohorts.
    """
    cohorts = members / size
    rate = leaves / cohorts
    rekeys = throttle_rate(rate, pause) if pause else rate
    return cohorts * pps * c_enc + members * rekeys * c_msg


def best_cohort(leaves_per_member: float, *, c_msg: float, c_enc: float, pps: float = PPS) -> float:
    """The size of cohort that costs least with T = 0: sqrt(pps c_enc / (mu c_msg)). N does not appear."""
    return sqrt(pps * c_enc / (leaves_per_member * c_msg))


# -- key trees --------------------------------------------------------------------------------


def tree_depth(members: int, degree: int) -> int:
    """Levels of a full key tree with so many leaves, the root's not counted."""
    return max(1, ceil(log(members) / log(degree) - 1e-9)) if members > 1 else 0


def tree_messages(members: int, degree: int) -> tuple[int, int]:
    """Messages that one leave takes in a key tree: one key in each, or all of a level in one (RFC 2627 table 1).

    (k d - 1, (k - 1) d) for degree k and depth d.
    """
    depth = tree_depth(members, degree)
    return max(0, degree * depth - 1), (degree - 1) * depth


def tree_batch(members: int, leavers: int, degree: int) -> float:
    """Expected keys encrypted when some members of a full tree, drawn at random, leave at once.

    Every node above a leaver gets a new key, encrypted under the key of each child that has anybody left.
    """
    depth = tree_depth(members, degree)
    full = degree**depth
    leavers = min(leavers, members)
    total = 0.0
    for level in range(depth):
        parent, child = full // degree**level, full // degree ** (level + 1)
        share = _none_of(full, leavers, parent)
        total += degree ** (level + 1) * (1 - share - _all_of(full, leavers, child))
    return total


def _none_of(members: int, leavers: int, group: int) -> float:
    """That none of a group is among the leavers: C(N - s, L) / C(N, L)."""
    if leavers > members - group:
        return 0.0
    return exp(_log_choose(members - group, leavers) - _log_choose(members, leavers))


def _all_of(members: int, leavers: int, group: int) -> float:
    """That all of a group are among them: C(N - s, L - s) / C(N, L)."""
    if leavers < group:
        return 0.0
    return exp(_log_choose(members - group, leavers - group) - _log_choose(members, leavers))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


# -- loss -------------------------------------------------------------------------------------


def unacked(members: float, loss: float, copies: int) -> float:
    """Members expected to have acknowledged nothing after so many copies, each lost on either way with `loss`."""
    return members * (1 - (1 - loss) ** 2) ** copies

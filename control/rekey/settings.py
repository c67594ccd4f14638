"""Every knob of the rekey policy, with what it trades for what.

Knows: defaults and their reasons. Must never know: a conference. Times are in seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

Mode: TypeAlias = Literal["unique", "group"]
Style: TypeAlias = Literal["mki", "ssrc"]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0)]
Wait: TypeAlias = Annotated[float, msgspec.Meta(gt=0.0)]


class RekeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[rekey]` table: when to make a new group key, and for whom.

    Raises:
        ValueError: on construction, if two knobs contradict each other.
    """

    mode: Literal["auto", "unique", "group"] = "auto"
    """`unique`: every leg under its own key, nothing is ever rekeyed. `group`: one key a cohort, from the first
    member to the last. `auto`: unique while the conference is small."""
    n_group_on: Annotated[int, msgspec.Meta(ge=1)] = 256
    """`auto`: with so many members, change to group keys. 256 legs, each encrypted for alone, cost 1 % of a core."""
    n_group_off: Count = 192
    """`auto`: with fewer members than this, change back. The gap keeps the mode from flapping."""
    cohort_target: Count = 256
    """Members who share one group key. A leave rekeys one cohort, so it costs this many messages; every cohort costs
    one encryption a packet. 1 is unique keying. Members who can ratchet and who cannot are kept in cohorts of their
    own; 0 puts all into one group."""
    t_leave_min: Seconds = 2.0
    """From one rekey of a cohort to the next that a leave may cause. The first leave fires at once; those in the time
    after it share one rekey. Longer is cheaper and, without a bridge, exposes longer."""
    ack_timeout: Wait = 1.0
    """So long may members take to acknowledge a key. Then the cohort switches without those who have not."""
    ack_timeout_evict: Wait = 0.25
    """The same after an eviction: it is better to have laggards than to wait."""
    retransmit: tuple[Wait, ...] = (0.15, 0.3, 0.6)
    """When to send a key again to who has not acknowledged it, counted from the first message. Four messages at 5 %
    loss leave 6 in a million out."""
    delivery_s: Seconds = 15e-6
    """What one message costs the sender. Waits begin when the last of a distribution can have left: this matters to a
    cohort of many thousands."""
    laggard_time: Wait = 10.0
    """So long is a member without the new key given a chance to get it, on its own key; then `Attention`."""
    laggard_retry: Wait = 2.0
    """Meanwhile the key is sent to it so often."""
    bridge_max: Count = 1500
    """Legs on own keys at a time, up to which a leave may bridge its cohort. Beyond, a leave is covered by the
    rekey alone. 1500 are 6 % of a core (measured in docs/rekeying.md): raise it where cores are idle. A failing KMS
    asks nobody."""
    admission: Literal["own", "current"] = "own"
    """How one is let in who cannot ratchet. `own`: it waits on its own key for the next epoch, and can decrypt nothing
    that was sent before it came. `current`: it is given the key in use at once, in the signalling if it can be; that
    costs nobody a message, but it can decrypt what was sent since that key came into use, if it has captured it."""
    join_coalesce: Seconds = 0.1
    """Joins within this time share one ratchet step. A generation has 255; members follow 8 at a time."""
    promote_legs: Count = 64
    """Members who joined and cannot ratchet are on own keys until the next epoch. If more than this many wait in a
    cohort, it is rekeyed for them. Fewer waiting legs are cheaper to encrypt for, and cost more messages: n joins
    cost about n * n / (2 * promote_legs) on top of one each."""
    promote_s: Seconds = 30.0
    """So long they wait at most. In style `ssrc`, a leg that has no key of its own hears nothing until then: set a
    few seconds there, and pay a rekey of the cohort for every such time with a join in it. A phone that is keyed by
    the signalling has one, and can wait. Nobody waits with `admission` `current`."""
    epoch_max_age: Wait = 300.0
    """A key is replaced at this age, or up to a quarter sooner, so that cohorts take turns."""
    answer_timeout: Wait = 5.0
    """An answer of the KMS or the mixer that takes longer counts as a failure."""
    backoff_min: Wait = 1.0
    """From a failure to the next attempt; doubled with each failure."""
    backoff_max: Wait = 30.0
    """The longest such wait."""
    aborts_max: Count = 2
    """Evictions in a row that may throw away a key in distribution. The next waits for it, on own keys."""
    t_leave_closing: Seconds = 5.0
    """`t_leave_min` while the conference ends."""
    closing_share: Annotated[float, msgspec.Meta(gt=0.0)] = 0.3
    """A conference ends if more than this share of its peak left within `closing_window`."""
    closing_window: Wait = 30.0
    """See `closing_share`."""
    closing_leaves: Count = 32
    """Fewer leaves than this are no end of a conference, whatever their share: there is nothing to save."""

    def __post_init__(self) -> None:
        if self.n_group_off > self.n_group_on:
            raise ValueError("n_group_off must not be above n_group_on: the mode would flap")
        if list(self.retransmit) != sorted(self.retransmit):
            raise ValueError("retransmit must rise: it is counted from the first message")
        if self.backoff_max < self.backoff_min:
            raise ValueError("backoff_max must not be below backoff_min")

    @property
    def room(self) -> float:
        """How many members a cohort takes."""
        return self.cohort_target or float("inf")

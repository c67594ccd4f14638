"""The conductor: who comes, what goes over the line, and what is remembered of what was told."""

from __future__ import annotations

import msgspec
import pytest

from control.mikey.errors import MikeyError
from control.protocol import LINE_LIMIT
from control.rekey.conductor import Joiner, NameTaken
from mixer import port
from mixer.secret import Secret
from tests.control.rekey.conducting import Stage, reachable, settled, stream
from tests.keys.house import House

# -- who comes ------------------------------------------------------------------------------------


def test_a_second_of_the_same_name_gets_nothing() -> None:
    """Its keys would else go out under the PSK of whoever came last."""
    stage = settled("ann", "bob")
    with pytest.raises(NameTaken, match="bob"):
        stage.conductor.join(stage.joiner("bob", psk=2), stage.now)
    stage.conductor.leave("ann", stage.now)
    epoch = stage.members["bob"].epoch
    stage.run(1.0)
    assert stage.members["bob"].epoch > epoch
    assert stage.members["bob"].refused == 0


def test_one_who_cannot_be_told_keys_was_never_there() -> None:
    stage = settled("ann")
    short = Joiner(stage.joiner("bob").leg, Secret(b"short"))
    with pytest.raises(MikeyError):
        stage.conductor.join(short, stage.now)
    assert not stage.conductor.tickets()
    stage.join("bob")
    stage.run(1.0)
    assert stage.members["bob"].epoch


def test_an_answer_for_who_was_there_before_is_not_for_who_came_after() -> None:
    """bob joins, leaves, and joins again before the mixer has said a word; it refuses the first leg only."""
    stage = settled("ann")
    stage.join("bob")
    stage.conductor.leave("bob", stage.now)
    stage.join("bob")
    first, *rest = stage.conductor.tickets()
    assert isinstance(first.command, port.LegAdd)
    stage.conductor.refused(first, stage.now)
    for ticket in rest:
        stage.answer(ticket)
    assert stage.conductor.attention == []
    stage.run(1.0)
    assert stage.members["bob"].epoch


def test_a_leg_that_the_mixer_refuses_leaves_the_others_alone() -> None:
    """One bad name in a list, and the mixer refuses the list: the others would stay on own keys for good, or be
    switched to a key that they do not have."""
    one = House(max_legs=3, rekey={"t_leave_min": 0.1})
    for name in ("ann", "bob", "cat", "too-many"):
        one.join(name)
    assert [each.member for each in one.conductor.attention] == ["too-many"]
    one.settle()
    one.leave("too-many")
    one.leave("cat")
    one.run(1500)
    assert one.settled()
    assert one.guests["ann"].member.epoch
    assert not [error for error in one.refusals if "too-many" in str(error)], "it is not named again"


def test_the_mixer_removes_no_leg_by_itself() -> None:
    """It would be missing in the next list of legs. Who goes, the focus says: it hears of a silent leg."""
    stage = Stage()
    stage.join("ann")
    (ticket,) = stage.conductor.tickets()
    assert isinstance(ticket.command, port.LegAdd)
    assert not ticket.command.remove_on_timeout


# -- the line -------------------------------------------------------------------------------------


def test_a_list_of_legs_fits_a_line() -> None:
    """The longest names there are, of the one character that doubles in JSON."""
    stage = Stage()
    stage.conductor.conference = stage.conductor.keychain.conference = '"' * 64
    names = [f"{number:064b}".replace("0", '"').replace("1", "\\") for number in range(1000)]
    for name in names:
        stage.join(name)
    bridges = [ticket.command for ticket in stage.run(1.0) if isinstance(ticket.command, port.KeyBridge)]
    assert sorted(name for bridge in bridges for name in bridge.legs or ()) == sorted(names)
    assert max(encoded(bridge) for bridge in bridges) <= LINE_LIMIT


def encoded(command: port.Command) -> int:
    """Octets of the line, with the largest number that a request may have."""
    request = {"jsonrpc": "2.0", "id": 1 << 53, "method": "key.bridge", "params": command}
    return len(msgspec.json.encode(request))


# -- what is remembered -----------------------------------------------------------------------------


def test_a_message_that_was_acknowledged_is_kept_no_longer() -> None:
    stage = settled("ann", "bob")
    octets = {octets for _, octets in stage.sent}
    assert octets
    assert not octets & {value for value in reachable(stage.conductor) if isinstance(value, bytes)}


def test_a_push_tells_the_rollover_counter_of_today() -> None:
    """Not that of when the member joined: a receiver that begins with it would be wrong after 22 minutes."""
    stage = settled("ann", "bob")
    switched = port.KeySwitched(conference="c", epoch=0x100, streams=[stream(roc=5)])
    stage.conductor.happened(switched, stage.now)
    stage.conductor.leave("bob", stage.now)
    stage.run(1.0)
    newest = max(stage.members["ann"].held(), key=lambda key: key.mki if key.mki < b"\x80" else b"")
    assert newest.streams == ((77, 5),)


def test_a_switch_elsewhere_tells_nothing() -> None:
    stage = settled("ann", "bob")
    for event in (
        port.KeySwitched(conference="other", epoch=0x100, streams=[stream(roc=5)]),
        port.KeySwitched(conference="c", leg="ann", epoch=0x100, streams=[stream(roc=5)]),
        port.KeySwitched(conference="c", epoch=0x100, streams=[stream(roc=5, ssrc=78)]),
    ):
        stage.conductor.happened(event, stage.now)
    stage.conductor.leave("bob", stage.now)
    stage.run(1.0)
    newest = max(stage.members["ann"].held(), key=lambda key: key.mki if key.mki < b"\x80" else b"")
    assert newest.streams == ((77, 0),)


def test_who_leaves_is_sent_nothing_that_was_ready_to_go() -> None:
    stage = settled("ann", "bob", "cat")
    stage.conductor.leave("cat", stage.now)
    for ticket in stage.conductor.tickets():
        stage.answer(ticket)
    (request,) = stage.conductor.requests()
    stage.conductor.made(request, Secret(bytes(range(32))), stage.now)
    for ticket in stage.conductor.tickets():
        stage.answer(ticket)
    stage.conductor.leave("bob", stage.now)
    assert [name for name, _ in stage.conductor.messages()] == ["ann"]

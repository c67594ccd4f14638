"""Audio levels and announced SSRCs."""

from __future__ import annotations

import pytest

from control.sdp.answer import write_answer
from control.sdp.extensions import MAX_SSRCS
from control.sdp.model import parse
from control.sdp.terms import Terms
from tests.control.sdp.bodies import local, offer
from tests.control.sdp.judging import judged


@pytest.mark.parametrize(
    ("maps", "level_in", "level_out"),
    [
        (("1 ssrc", "2 csrc"), 1, 2),
        (("3/sendonly ssrc", "4/recvonly csrc"), 3, 4),
        (("3/recvonly ssrc", "4/sendonly csrc"), None, None),
        (("1/inactive ssrc", "2/inactive csrc"), None, None),
        (("15 ssrc", "0 csrc"), None, None),
        (("1 ssrc", "1 csrc"), None, None),
        (("1 ssrc", "1 other"), None, None),
        (("4096 ssrc",), None, None),
    ],
)
def test_audio_levels(maps: tuple[str, ...], level_in: int | None, level_out: int | None) -> None:
    uris = (each.replace("src", "src-audio-level") for each in maps)
    lines = [f"a=extmap:{each.replace(' ', ' urn:ietf:params:rtp-hdrext:')}" for each in uris]
    agreed = judged(offer(*lines))
    assert (agreed.level_in, agreed.level_out) == (level_in, level_out)
    assert judged(offer(*lines), Terms(levels=False)).level_in is None


def test_audio_levels_are_answered_with_their_ids_and_parameters() -> None:
    uri = "urn:ietf:params:rtp-hdrext:"
    session = offer(
        f"a=extmap:3 {uri}ssrc-audio-level vad=off", f"a=extmap:5 {uri}csrc-audio-level", "a=extmap:7 urn:x"
    )
    answer = parse(write_answer(session, judged(session), local()))
    assert answer.media[0].attributes("extmap") == [
        f"3/recvonly {uri}ssrc-audio-level vad=off",
        f"5/sendonly {uri}csrc-audio-level",
    ]


def test_ssrcs_each_once_and_only_those_that_can_be() -> None:
    lines = ("7 cname:a", "7 msid:b", "4294967295 cname:a", "4294967296 cname:a", "0 cname:a", "x cname:a", "8")
    assert judged(offer(*(f"a=ssrc:{each}" for each in lines))).ssrcs == (7, 4294967295, 8)
    assert len(judged(offer(*(f"a=ssrc:{each}" for each in range(1, 100)))).ssrcs) == MAX_SSRCS

"""No key in a log (I12): not of a call that goes well, not of one that is refused, not of one that we fail at."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from control.focus import media
from tests.control.focus.house import house, phones, until
from tests.control.focus.raw import AUDIO, CRYPTO, KEY, offer, peer
from tests.control.focus.test_keys import GROUP, gather


async def test_no_key_is_logged(tmp_path: Path, stream: io.StringIO) -> None:
    async with house(tmp_path, GROUP) as here, phones(("ann", 0), ("bob", 0)) as (ann, bob), peer(here) as eve:
        await gather(here, (ann, bob))
        answer = await eve.ask("INVITE", offer())
        told = re.findall(r"inline:(\S+)", answer.body)
        assert told
        assert (await eve.ask("INVITE", offer(AUDIO, f"{CRYPTO} UNENCRYPTED_SRTP"))).status == 488
        assert (await eve.ask("INVITE", offer(AUDIO, CRYPTO).replace("v=0", "v=1"))).status == 400
        assert (await eve.ask("BYE")).status == 200
        await until(lambda: len(here.focus.switchboard.calls) == 2)
        await here.focus.switchboard.close()
    text = stream.getvalue()
    assert "hung_up" in text
    assert not [key for key in (KEY, *told) if key[:12] in text]
    assert "inline:" not in text


async def test_no_key_is_in_a_traceback(tmp_path: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(media, "leg", fail)
    async with house(tmp_path) as here, peer(here) as eve:
        assert (await eve.ask("INVITE", offer())).status == 500
        await until(lambda: not here.left)
        assert here.faults == 1
    text = stream.getvalue()
    assert "on purpose" in text
    assert KEY[:12] not in text
    assert "inline:" not in text

"""Patience: a focus that is started before its mixer waits for it.

Knows: how to tell that a mixer answers. Must never know: what it is wanted for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from control.client import Disconnected, MixerClient
from control.dialler import Misaddressed

RETRY_S: Final = 0.5


async def mixer_answers(make: Callable[[], MixerClient], stop: asyncio.Event, retry_s: float = RETRY_S) -> bool:
    """Return once a mixer answers, or with False when `stop` is set before. Why it has to wait is logged once.

    Args:
        make: makes a client: where a mixer listens may be seen only once it does.

    Raises:
        ControlError, OSError: if it answers and will not have us, its address makes no sense, or a file cannot be read.
    """
    told = ""
    while not stop.is_set():
        client = make()
        try:
            await client.connect()
        except Misaddressed:
            raise  # waiting mends no address
        except Disconnected as error:
            if str(error) != told:
                told = str(error)
                _log.warning("waiting_for_the_mixer", reason=told)
        else:
            return True
        finally:
            await client.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(retry_s):
                await stop.wait()
    return False


_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("mrfp.focus")

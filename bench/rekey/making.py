"""What it costs to make a key: a step of the ratchet, and a key of the KMS.

Knows: `control.rekey.ratchet`, the KMS as a registry, and the KMS behind its Unix socket. Must never know: media.
"""

from __future__ import annotations

import secrets
import statistics
import tempfile
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Final

import msgspec

from bench.rekey.cpu import Cpu, measure, spread
from control.kms import daemon
from control.kms.client import KmsClient
from control.kms.floors import MemoryFloors
from control.kms.messages import EpochCreate
from control.kms.registry import Registry
from control.kms.settings import KmsSettings, LimitSettings, ListenSettings, StateSettings
from control.rekey import ratchet
from mixer.secret import Secret

CONFERENCE: Final = "room"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What keys cost."""

    ratchet: Cpu
    registry: Cpu
    """The KMS in this process: its rules, a random secret, nothing on disk."""
    kms: Cpu
    """The KMS behind its Unix socket, both ends, audit line and floor on disk."""
    kms_wait_us: float
    """The same by the clock on the wall."""


def ratchet_step(*, rounds: int = 2000, samples: int = 9) -> Cpu:
    """One step."""
    secret = Secret(secrets.token_bytes(32))

    def act() -> None:
        for _ in range(rounds):
            ratchet.step(secret, conference=CONFERENCE, generation=1, step=1)

    return measure(act, rounds, samples=samples)


def registry(*, rounds: int = 1000, samples: int = 9) -> Cpu:
    """One epoch of a registry."""
    rooms = Registry(MemoryFloors())
    rooms.register("focus", CONFERENCE, [])
    epoch = 0

    def act() -> None:
        nonlocal epoch
        for _ in range(rounds):
            epoch += 1
            rooms.create("focus", EpochCreate(conference=CONFERENCE, epoch=epoch), now=float(epoch))

    return measure(act, rounds, samples=samples)


async def over_socket(*, rounds: int = 100, samples: int = 9) -> tuple[Cpu, float]:
    """One epoch asked of a KMS over its socket: CPU of both ends, and the median wait in us."""
    took, waits = [], []
    with tempfile.TemporaryDirectory(prefix="mrfp-bench-") as name:
        home = Path(name)
        settings = KmsSettings(
            listen=ListenSettings(socket=str(home / "kms.sock")),
            state=StateSettings(directory=str(home / "kms")),
            limits=LimitSettings(
                system_per_s=1e6, system_burst=1_000_000, conference_per_s=1e6, conference_burst=1_000_000
            ),
        )
        async with daemon.opened(settings), KmsClient(f"unix:{home / 'kms.sock'}") as kms:
            await kms.register(CONFERENCE)
            for sample in range(samples + 1):
                begin = thread_time_ns()
                for number in range(rounds):
                    asked = perf_counter_ns()
                    await kms.create_epoch(CONFERENCE, epoch=sample * rounds + number + 1)
                    waits.append((perf_counter_ns() - asked) / 1000)
                if sample:
                    took.append((thread_time_ns() - begin) / 1000 / rounds)
    return spread(took), round(statistics.median(waits), 1)


async def made(*, samples: int = 9) -> Made:
    """All of it."""
    kms, wait = await over_socket(samples=samples)
    return Made(ratchet=ratchet_step(samples=samples), registry=registry(samples=samples), kms=kms, kms_wait_us=wait)

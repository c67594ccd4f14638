"""The stack that is measured: `mrfp serve`, `mrfp kms` and `mrfp focus`, each a process of its own.

Knows: who shares a core with whom, and what is changed for a load. Must never know: who will call.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, TypeAlias

from bench.house import Cores, House, house
from bench.processes import GENERATOR_CORE, MEASURED_CORE

Keying: TypeAlias = Literal["unique", "group"]
Layout: TypeAlias = Literal["shared", "split"]
"""`shared`: focus, KMS and mixer on one core; `split`: the mixer on that of the generator."""
BEHIND: Final = -5
"""Nice value of focus and KMS: before all else on the machine, but behind media, as one would run them."""
TRUNK: Final = """\
max_transactions = 100000
max_transactions_per_source = 100000
max_pending_per_source = 2000
"""
"""All callers come from one address, as if through a trunk: what one source may have is raised."""


def stack(keying: Keying, layout: Layout, *, legs: int = 8192) -> AbstractAsyncContextManager[House]:
    """All three, while a block lasts. Raises `BenchError` if one does not come up."""
    mixer = MEASURED_CORE if layout == "shared" else GENERATOR_CORE
    cores = Cores(mixer=mixer, focus=MEASURED_CORE, kms=MEASURED_CORE, nice=BEHIND)
    return house(f'[default_room]\nkeying = "{keying}"\n', sip=TRUNK, legs=legs, cores=cores)

"""What a focus that begins anew finds on a mixer, beside those whom it knows to be in the conference.

Knows: whose leg is there, whose is not, and who is a stranger. Must never know: what is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from control.rekey.epochs import generation_of
from control.rekey.policy import Present
from control.rekey.tickets import Joiner
from mixer import port


class Findings:
    """A conference as a mixer has it (None: it has not), and who is in it.

    `former`: legs that may be those of a former visit of a member; they are strangers too.
    """

    def __init__(self, shown: port.ConferenceStatus | None, joiners: Iterable[Joiner], former: set[str]) -> None:
        present = {joiner.name: joiner for joiner in joiners}
        legs = {leg.leg: leg for leg in shown.legs} if shown else {}
        strange = (legs.keys() - present.keys()) | (legs.keys() & former)
        self.cohorts = shown.cohorts if shown else []
        self.strangers = [(name, legs.pop(name).cohort) for name in strange]
        """Legs to be removed, with their cohorts."""
        self.here = [(joiner, legs[joiner.name].cohort) for joiner in present.values() if joiner.name in legs]
        """Who has a leg, with its cohort."""
        self.absent = [joiner for joiner in present.values() if joiner.name not in legs]
        """Who is to have one."""

    def placed(self) -> list[Present]:
        """Who is here, as the policy is to be told."""
        return [
            Present(joiner.name, joiner.steps, cohort, joiner.signalled)
            for joiner, cohort in self.here
            if not joiner.apart
        ]

    def epochs(self) -> dict[int, int]:
        """The epoch in use, by cohort; 0 for none."""
        return {cohort.cohort: cohort.epoch for cohort in self.cohorts}

    def highest(self, above: int) -> int:
        """The highest generation that anybody has seen."""
        return generation_of(max([above, *(cohort.highest for cohort in self.cohorts)]))

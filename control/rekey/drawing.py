"""The life of a cohort and the knobs of the policy as Markdown, out of the table and the settings.

Knows: how docs/rekeying-policy.md shows them. Must never know: a conference.

`python -m control.rekey.drawing` prints what that page must contain; a test holds it to that.
"""

from __future__ import annotations

import msgspec

from control import docstrings
from control.rekey.settings import RekeySettings
from control.rekey.states import TRANSITIONS, State


def diagram() -> str:
    """The transitions as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"  [*] --> {State.RESTING.value}"]
    for state, moves in TRANSITIONS.items():
        lines += [f"  {state.value} --> {following.value}: {move.value}" for move, following in moves.items()]
    return "\n".join([*lines, f"  {State.GONE.value} --> [*]", "```"])


def table() -> str:
    """The same as a table: a row a state, a column a following state."""
    states = list(State)
    lines = [
        "| while | " + " | ".join(f"to {state.value}" for state in states) + " |",
        "|---" * (len(states) + 1) + "|",
    ]
    for state in states:
        cells = [
            ", ".join(move.value for move, to in TRANSITIONS[state].items() if to is following) for following in states
        ]
        lines.append(f"| **{state.value}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def knobs() -> str:
    """Every setting with its default and what it is for."""
    texts = docstrings.of_fields(RekeySettings)
    lines = ["| knob | default | |", "|---|---|---|"]
    for field in msgspec.structs.fields(RekeySettings):
        default = ", ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        lines.append(f"| `{field.name}` | {default} | {texts[field.name]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram(), table(), knobs(), sep="\n\n")

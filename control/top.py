"""`mrfp top`: who speaks, who hears what under which key, and what a tick costs; live.

Arrow keys choose a conference, its legs stand below. A mixer that goes away is waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Header, Static

from control import ctl, tables
from control.client import ControlError, Disconnected, MixerClient
from control.watch import Look, Watcher
from mixer import port

ROWS: Final = 200
"""Legs shown of one conference: the talkers, and then by name."""
CONFERENCES: Final = ("conference", "legs", "talkers", "keying", "epoch", "prepared", "style", "rate")
LEGS: Final = (
    "leg",
    "level",
    "",
    "codec",
    "hears",
    "epoch",
    "delay",
    "jitter",
    "rtt",
    "lost",
    "late",
    "far lost",
    "auth fails",
    "address",
)
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_BAR: Final = 8


def main(options: argparse.Namespace) -> int:
    """Run `mrfp top`; returns the exit status."""
    client = ctl.client(options.socket, options.tls_certificate, options.tls_key, options.tls_authority)
    if not options.once:
        Top(client, max(0.2, options.interval)).run()
        return 0
    try:
        print(asyncio.run(once(client)))
    except ControlError as error:
        print(f"mrfp top: {error}", file=sys.stderr)
        return ctl.UNREACHABLE if isinstance(error, Disconnected) else ctl.REFUSED
    return 0


async def once(client: MixerClient) -> str:
    """One look as text: the mixer, its conferences, and every conference's legs."""
    async with client:
        look = await Watcher(client).look()
    parts = [node_line(look), tables.grid(CONFERENCES, conference_rows(look))]
    for name, seen in look.conferences.items():
        if seen is not None and seen.legs:
            parts.append(f"{name}\n" + tables.grid(LEGS, leg_rows(seen)))
    return "\n\n".join(parts)


def node_line(look: Look) -> str:
    """The mixer in two lines."""
    status = look.status
    state = "draining" if status.draining else "mixing"
    return (
        f"mrfp {status.version} {state} on UDP {status.port}, {status.conferences} conferences, "
        f"{status.legs} legs, frame {status.frame} x {status.tick_ms} ms\n"
        f"a tick: {look.encodes_per_tick:.1f} encodes, {look.encrypts_per_tick:.1f} encrypts, "
        f"{look.sent_per_tick:.1f} sent; late {status.late_ticks}, skipped {status.skipped_ticks}, "
        f"lateness p99 {status.lateness_ms.p99:.2f} ms; dropped {sum(status.drops.values())}"
    )


def conference_rows(look: Look) -> list[list[str]]:
    """A row for each conference, in the columns of `CONFERENCES`."""
    return [_conference_row(name, seen) for name, seen in look.conferences.items()]


def leg_rows(seen: port.ConferenceStatus) -> list[list[str]]:
    """A row for each leg, talkers first, in the columns of `LEGS`."""
    order = {name: place for place, name in enumerate(seen.talkers)}
    legs = sorted(seen.legs, key=lambda leg: (order.get(leg.leg, len(order)), leg.leg))
    return [_leg_row(leg) for leg in legs[:ROWS]]


def bar(level_dbov: int) -> str:
    """A level as a bar of eight letters, from -64 dBov (empty) to 0 (full)."""
    eighths = round(max(0, min(64, level_dbov + 64)) * _BAR / 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_BLOCKS[part] if part else "")).ljust(_BAR)


class Top(App[None]):
    """The live view."""

    TITLE = "mrfp"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit")]
    CSS = """
    #node { height: auto; padding: 0 1; }
    #conferences { height: 30%; border: round $primary; }
    #legs { height: 1fr; border: round $primary; }
    """

    def __init__(self, client: MixerClient, interval_s: float) -> None:
        super().__init__()
        self._client = client
        self._interval_s = interval_s
        self._watcher: Watcher | None = None
        self._names: list[str] = []
        self._looking = False

    def compose(self) -> ComposeResult:
        yield Header()
        yield Static("connecting ...", id="node", markup=False)
        yield DataTable[str](id="conferences", cursor_type="row")
        yield DataTable[str](id="legs", cursor_type="none")
        yield Footer()

    async def on_mount(self) -> None:
        for name, columns in (("#conferences", CONFERENCES), ("#legs", LEGS)):
            self.query_one(name, DataTable).add_columns(*columns)
        self.query_one("#conferences").focus()
        self.set_interval(self._interval_s, self.look)
        await self.look()

    async def on_unmount(self) -> None:
        await self._client.close()

    async def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        await self.look()

    async def look(self) -> None:
        """Ask the mixer, and draw what it says."""
        if self._looking:
            return
        self._looking = True
        try:
            if self._watcher is None:
                await self._client.connect()
                self._watcher = Watcher(self._client)
            self._draw(await self._watcher.look(self._chosen()))
        except ControlError as error:
            await self._lose(error)
        finally:
            self._looking = False

    async def _lose(self, error: ControlError) -> None:
        self._watcher = None
        await self._client.close()
        self.query_one("#node", Static).update(f"{error}\ntrying again ...")

    def _chosen(self) -> str | None:
        row = self.query_one("#conferences", DataTable).cursor_row
        return self._names[row] if row < len(self._names) else None

    def _draw(self, look: Look) -> None:
        self._names = list(look.conferences)
        self.query_one("#node", Static).update(node_line(look))
        _fill(self.query_one("#conferences", DataTable), conference_rows(look))
        chosen = self._chosen()
        seen = look.conferences.get(chosen) if chosen else None
        legs = self.query_one("#legs", DataTable)
        legs.border_title = chosen or "no conference"
        legs.border_subtitle = f"{min(ROWS, len(seen.legs))} of {len(seen.legs)} legs" if seen else ""
        _fill(legs, leg_rows(seen) if seen else [])


def _fill(table: DataTable[str], rows: Sequence[Sequence[str]]) -> None:
    """Make a table show these rows; rows keep their place, so that the cursor does."""
    for place in range(len(rows), table.row_count):
        table.remove_row(str(place))
    for place, row in enumerate(rows):
        if place >= table.row_count:
            table.add_row(*row, key=str(place))
            continue
        for column, (old, new) in enumerate(zip(table.get_row_at(place), row, strict=True)):
            if old != new:
                table.update_cell_at((place, column), new, update_width=True)  # type: ignore[arg-type]


def _conference_row(name: str, seen: port.ConferenceStatus | None) -> list[str]:
    if seen is None:
        return [name, *["..."] * (len(CONFERENCES) - 1)]
    return [
        name,
        str(len(seen.legs)),
        " ".join(seen.talkers) or "-",
        seen.keying,
        str(seen.epoch or "-"),
        tables.cell(seen.prepared),
        seen.style,
        str(seen.rate),
    ]


def _leg_row(leg: port.LegStatus) -> list[str]:
    state = "muted" if leg.muted else "talks" if leg.talking else ""
    return [
        leg.leg,
        bar(leg.level_dbov),
        state,
        f"{leg.codec}/{leg.rate}",
        leg.keying,
        str(leg.epoch or "-"),
        f"{leg.delay_ms} ms",
        f"{leg.jitter_ms:.1f} ms",
        f"{leg.rtt_ms:.1f} ms" if leg.rtt_ms else "-",
        _share(leg.lost, leg.received),
        str(leg.late),
        str(leg.remote_lost),
        str(leg.auth_failures),
        leg.address or "-",
    ]


def _share(lost: int, received: int) -> str:
    expected = received + max(0, lost)
    return f"{lost} ({100 * lost / expected:.1f} %)" if lost and expected else str(lost)

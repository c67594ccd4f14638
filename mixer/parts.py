"""The parts of one engine, by name: what its desks need to serve commands."""

from __future__ import annotations

from dataclasses import dataclass

from mixer.admission import Admission
from mixer.dials import Dials
from mixer.downlink import Downlink
from mixer.grace import Grace
from mixer.handshakes import Handshakes
from mixer.keying import Keying
from mixer.keypads import Keypads
from mixer.prompts import Prompts
from mixer.rates import Rates
from mixer.reports import Reports
from mixer.state import State
from mixer.taps import Taps


@dataclass(frozen=True, slots=True)
class Parts:
    """Each knows its own part of the state; none knows the desks."""

    state: State
    admission: Admission
    grace: Grace
    keying: Keying
    downlink: Downlink
    reports: Reports
    rates: Rates
    handshakes: Handshakes
    keypads: Keypads
    dials: Dials
    prompts: Prompts
    taps: Taps

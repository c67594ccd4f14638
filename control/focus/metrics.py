"""The focus as Prometheus metrics, `mrfp_focus_*`, from the very numbers that `focus.info` shows.

Labels are SIP statuses: never a room, a user or an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control.focus.messages import FocusStatus


class FocusCollector(Collector):
    """`FocusStatus` as metrics."""

    def __init__(self, status: Callable[[], FocusStatus]) -> None:
        self._status = status

    def describe(self) -> Iterator[Metric]:
        """Nothing: so that registering asks nothing of the focus."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metrics, as of now."""
        status = self._status()
        yield GaugeMetricFamily("mrfp_focus_rooms", "Rooms that are open.", status.rooms)
        yield GaugeMetricFamily("mrfp_focus_calls", "Calls that are up or coming up.", status.calls)
        yield GaugeMetricFamily("mrfp_focus_joining", "Calls being set up.", status.joining)
        yield GaugeMetricFamily("mrfp_focus_subscriptions", "Who watches a room.", status.subscriptions)
        yield CounterMetricFamily("mrfp_focus_calls_made", "Calls that came up.", status.calls_made)
        yield CounterMetricFamily("mrfp_focus_faults", "Errors of our own.", status.faults)
        refused = CounterMetricFamily("mrfp_focus_refused", "Requests refused.", labels=["status"])
        for code, count in status.refused.items():
            refused.add_metric([code], count)
        yield refused

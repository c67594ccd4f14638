"""Hypothesis without a deadline: time is virtual here, and a busy machine is not a failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("virtual clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("virtual clock")

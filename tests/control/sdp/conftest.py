"""Noise is judged by what comes of it, not by how fast: the machine may be busy with other things."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("noise", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noise")

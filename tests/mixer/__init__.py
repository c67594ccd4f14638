"""Tests of the data plane, on a virtual clock: no socket, no sleep."""

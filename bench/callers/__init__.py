"""Callers: scripted phones against any SIP conference. `python -m bench.callers --help`."""

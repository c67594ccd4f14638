"""Digest authentication. Stub for the thin version."""

from __future__ import annotations

from sipmessage import Response


class Credentials:
    """A user name and a password."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._password = password

    def answer(self, response: Response, method: str, uri: str) -> list[tuple[str, str]]:
        return []

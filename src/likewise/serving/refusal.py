"""Why a request is not answered."""

from __future__ import annotations


class Refusal(Exception):
    """A request that is not answered, and why.

    Args:
        status: of HTTP.
        reason: one line for whoever asked.
        headers: of the response.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}

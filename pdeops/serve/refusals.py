"""What the service says when it does not answer: one JSON form for all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response


class Refusal(Exception):
    """An answer other than the one asked for: `{"error": {"code": ..., "message": ...}}` with a status."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self) -> bytes:
        return json.dumps({"error": {"code": self.code, "message": self.message}}).encode()

    def response(self) -> Response:
        return Response(self.body(), self.status, dict(self.headers), "application/json")


class Gone(Refusal):
    """The client hung up: nobody reads this answer, and it is counted as 499."""

    def __init__(self) -> None:
        super().__init__(499, "gone", "the client hung up")


def busy(what: str, seconds: float) -> Refusal:
    """503, with the whole seconds after which it is worth trying again."""
    wait = max(1, round(seconds + 0.5))
    return Refusal(503, "busy", f"{what}; try again in {wait} s", {"retry-after": str(wait)})

"""Before and after every request: who may ask, and what is counted."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pdeops.errors import InputError
from pdeops.serve.counts import Counts
from pdeops.serve.refusals import Gone, Refusal

log = logging.getLogger(__name__)

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"),
]
OWN = {"localhost", "127.0.0.1", "[::1]"}


class Guard:
    """An ASGI layer around the whole service.

    token: wanted of `/v1` and `/metrics`; without one, only requests to this machine by its own names are answered, so
    that no page of another site reaches the service through a name of its own. endpoint: of a path, as it is counted.
    admit: refuses a path before anything is read or done for it: what is too much must cost little. patience: seconds
    in which a client must take what it is sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        counts: Counts,
        endpoint: Callable[[str], str],
        admit: Callable[[str], None],
        token: str | None,
        patience: float,
    ) -> None:
        self.app, self.counts, self.endpoint, self.admit, self.patience = app, counts, endpoint, admit, patience
        self.secret = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            try:
                async with asyncio.timeout(self.patience):
                    await send(message)
            except TimeoutError:
                raise Gone from None

        try:
            self._check(scope)
            self.admit(scope["path"])
            await self.app(scope, receive, sent)
        except Exception as error:
            refusal = _refusal(error)
            if not status:  # of an answer that has begun, the end is missing
                await refusal.response()(scope, receive, sent)
        finally:
            self.counts.request(self.endpoint(scope["path"]), status, time.perf_counter() - begin)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self.secret is None:
            origin = headers.get(b"origin", b"").decode("latin-1")
            if origin and urlsplit(origin).hostname not in {name.strip("[]") for name in OWN}:
                raise Refusal(403, "wrong_origin", "without a token, no page of another site is answered")
            host = headers.get(b"host", b"").decode("latin-1")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name not in OWN:
                raise Refusal(421, "wrong_host", f"host: {name[:80]!r}; without a token, only {', '.join(sorted(OWN))}")
        elif scope["path"].startswith(("/v1", "/metrics")):
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self.secret):
                raise Refusal(
                    401, "no_token", "wanted the header authorization: Bearer TOKEN", {"www-authenticate": "Bearer"}
                )


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InputError):
        return Refusal(422, "bad_input", str(error))
    log.error("a request failed", exc_info=error)
    return Refusal(500, "failed", "the service failed on this request; its log says why")

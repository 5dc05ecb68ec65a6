"""What is no HTTP, refused in the one form of refusals."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pdeops.serve.refusals import Refusal


class Protocol(H11Protocol):
    """uvicorn's by h11, which otherwise answers in plain text, and fails where an answer has been given already."""

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = Refusal(400, "bad_http", "these bytes are no HTTP request").body()
            head = f"HTTP/1.1 400 \r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()

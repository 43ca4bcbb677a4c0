"""`WebSocketTestSession`: one end of a WebSocket, for a test that talks and listens in turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal, Self

from pyreframework.testing.answering import Answering
from pyreframework.testing.bodies import as_json
from pyreframework.testing.conversation import Conversation, Deadline
from pyreframework.testing.frames import BINARY, NO_CODE, TEXT, close_payload
from pyreframework.testing.handshake import WebSocketDisconnect, WebSocketRefused, agreed
from pyreframework.testing.incoming import Incoming
from pyreframework.testing.outgoing import Fields
from pyreframework.testing.responses import TestResponse
from pyreframework.testing.streamed import StreamedResponse

if TYPE_CHECKING:
    from types import TracebackType

# Codes of an end in order, which ends a loop over messages.
IN_ORDER = (1000, 1001, NO_CODE)
# Stands for "as the session does" where None means something else.
FROM_SESSION: Any = object()


class WebSocketTestSession:
    """A WebSocket whose handshake is done; made by `TestClient.websocket_connect`.

    To be used by ``with``, whose end closes it with 1000; left by an exception it ends without a
    word, as by `abort`. May be used from several threads: one receives while another one sends or
    closes.

    Args:
        conversation: What goes over the connection.
        response: The response to the handshake.
        subprotocol: What is spoken.
        timeout: Seconds that a call may take unless it says otherwise; None for no limit.
    """

    __test__ = False  # Not a test to be collected, whatever its name says.

    def __init__(
        self,
        conversation: Conversation,
        response: TestResponse,
        subprotocol: str | None,
        timeout: float | None,
    ) -> None:
        self.response = response
        """The answer to the handshake: its headers, and the cookies that it has set."""
        self.accepted_subprotocol = subprotocol
        """What the server has chosen among the subprotocols, or None."""
        self._conversation = conversation
        self._timeout = timeout

    @property
    def close_code(self) -> int | None:
        """Why it has ended: the code of the server's close frame, 1005 if that had none, 1006 if
        there was none. None before that is known.
        """
        return self._conversation.close_code

    @property
    def close_reason(self) -> str:
        """The same in words, or nothing."""
        return self._conversation.close_reason

    def send_text(self, data: str, *, timeout: float | None = FROM_SESSION) -> None:
        """Send a text.

        Raises:
            TypeError: It is no text, or ``timeout`` no number.
            ValueError: It has a lone surrogate, or ``timeout`` is less than 0.
            WebSocketDisconnect: It is closed.
            TimeoutError: The server did not take it in time; then the connection has ended.
        """
        if not isinstance(data, str):
            raise TypeError(
                f"send_text() takes a str, not {type(data).__qualname__}: bytes go by "
                "send_bytes(), other values by send_json()"
            )
        self._conversation.put(TEXT, data.encode(), self._until(timeout))

    def send_bytes(
        self, data: bytes | bytearray | memoryview, *, timeout: float | None = FROM_SESSION
    ) -> None:
        """Send a message of bytes.

        Raises:
            TypeError: It is no such object.
            Exception: As `send_text`.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                "send_bytes() takes bytes, bytearray or memoryview, not "
                f"{type(data).__qualname__}: texts go by send_text(), other values by send_json()"
            )
        self._conversation.put(BINARY, bytes(data), self._until(timeout))

    def send_json(
        self,
        data: Any,
        mode: Literal["text", "binary"] = "text",
        *,
        timeout: float | None = FROM_SESSION,
    ) -> None:
        """Send JSON, as a text or as a message of bytes.

        Raises:
            ValueError: It cannot be JSON.
            Exception: As `send_text`.
        """
        payload = as_json(data).content
        assert payload is not None, "JSON has at least one character"
        self._conversation.put(opcode_of(mode), payload, self._until(timeout))

    def receive(self, *, timeout: float | None = FROM_SESSION) -> str | bytes:
        """Return the next message: a text as ``str``, or ``bytes``.

        Raises:
            WebSocketDisconnect: The server has closed it, or has gone, behind the messages that
                have come.
            TimeoutError: None came in time; it may be waited for again.
            WebSocketProtocolError: The server breaks a rule.
        """
        return self._conversation.receive(self._until(timeout))

    def receive_text(self, *, timeout: float | None = FROM_SESSION) -> str:
        """Return the next message, which has to be a text.

        Raises:
            TypeError: It is one of bytes.
            Exception: As `receive`.
        """
        data = self.receive(timeout=timeout)
        if not isinstance(data, str):
            raise TypeError(f"the next message is {shown(data)}, not a text")
        return data

    def receive_bytes(self, *, timeout: float | None = FROM_SESSION) -> bytes:
        """Return the next message, which has to be one of bytes.

        Raises:
            TypeError: It is a text.
            Exception: As `receive`.
        """
        data = self.receive(timeout=timeout)
        if not isinstance(data, bytes):
            raise TypeError(f"the next message is {shown(data)}, not one of bytes")
        return data

    def receive_json(
        self,
        mode: Literal["text", "binary"] = "text",
        *,
        timeout: float | None = FROM_SESSION,
    ) -> Any:
        """Return what the next message is as JSON.

        Raises:
            TypeError: It is of the other kind than ``mode`` says.
            ValueError: It is not JSON.
            Exception: As `receive`.
        """
        if opcode_of(mode) == TEXT:
            return json.loads(self.receive_text(timeout=timeout))
        return json.loads(self.receive_bytes(timeout=timeout))

    def close(
        self,
        code: int | None = 1000,
        reason: str = "",
        *,
        timeout: float | None = FROM_SESSION,
    ) -> None:
        """Close it in order: returns once the server has answered and ended the connection.

        Messages that come before its answer are dropped. A second call does nothing.

        Args:
            code: 1000 to 1003, 1007 to 1014, 3000 to 4999; None for a close frame without one.
            reason: At most 123 bytes of UTF-8.
            timeout: Seconds that it may take; unless given, those of the session.

        Raises:
            ValueError: Code or reason are not what can be sent.
            TimeoutError: The server did not answer in time; then the connection has ended.
            WebSocketProtocolError: The server breaks a rule.
        """
        self._conversation.close(close_payload(code, reason), self._until(timeout))

    def abort(self) -> None:
        """End the connection without a word, so that the server sees 1006; again does nothing.

        A thread that waits in another method is woken up.
        """
        self._conversation.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def __iter__(self) -> Iterator[str | bytes]:
        """Yield messages until the server closes in order (1000, 1001, no code).

        Raises:
            Exception: As `receive`; `WebSocketDisconnect` for every other end.
        """
        while True:
            try:
                message = self.receive()
            except WebSocketDisconnect as end:
                if end.code in IN_ORDER:
                    return
                raise
            yield message

    def __repr__(self) -> str:
        state = "open" if self.close_code is None else f"closed: {self.close_code}"
        return f"<{type(self).__name__} {self.response.url} [{state}]>"

    def _until(self, timeout: float | None) -> Deadline:
        return Deadline(self._timeout if timeout is FROM_SESSION else timeout)


def begun(
    incoming: Incoming,
    response: StreamedResponse,
    sent: Fields,
    timeout: float | None,
    answering: Answering,
) -> WebSocketTestSession:
    """Return the session that a handshake has begun.

    Args:
        incoming: The answer to it, of which the head has come.
        response: The same, as tests see it.
        sent: The header fields of the request.
        timeout: Seconds that a call of the session may take; None for no limit.
        answering: Answers for it while its server stops.

    Raises:
        WebSocketRefused: The answer is another one than 101.
        WebSocketProtocolError: The answer does not fit the request.
    """
    with closing(response):
        if response.status_code != 101:
            raise WebSocketRefused(response.whole())
        subprotocol = agreed(sent, response.headers)
        sock, behind = incoming.detach()
    whole = response.whole()
    conversation = Conversation(sock, behind, whole.url)
    answering.add(conversation)
    return WebSocketTestSession(conversation, whole, subprotocol, timeout)


def opcode_of(mode: str) -> int:
    """Return the kind of message that a mode of JSON asks for."""
    if mode not in ("text", "binary"):
        raise ValueError(f"mode is 'text' or 'binary', not {mode!r}")
    return TEXT if mode == "text" else BINARY


def shown(data: str | bytes) -> str:
    """Return the beginning of a message, for people."""
    return repr(data) if len(data) <= 100 else f"{data[:100]!r}..."

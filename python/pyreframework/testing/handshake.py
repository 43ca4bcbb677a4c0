"""The handshake of a WebSocket as a client does it, and the errors of one that has ended."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from secrets import token_bytes

from pyreframework.testing.outgoing import Fields
from pyreframework.testing.responses import Headers, TestResponse

# RFC 6455 section 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Section 7.1.5: nobody has said why, the connection just ended.
GONE = 1006


class WebSocketDisconnect(ConnectionError):
    """Nothing more can be sent or received: the WebSocket is closed.

    Args:
        code: Why, as the server has said; 1005 if its close frame has no code, 1006 if there was
            none.
        reason: The same in words, or nothing.
        text: What is shown; made of both unless given.

    Example:
        >>> str(WebSocketDisconnect(1008, "not you"))
        'the WebSocket is closed: 1008 not you'
    """

    def __init__(self, code: int, reason: str = "", text: str | None = None) -> None:
        super().__init__(text or f"the WebSocket is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocketRefused(WebSocketDisconnect):
    """The handshake was answered with something else than a WebSocket; `code` is 1006.

    Args:
        response: The answer.
    """

    def __init__(self, response: TestResponse) -> None:
        said = f": {response.text[:200]}" if response.body else ""
        answer = f"{response.status_code} {response.reason}".rstrip()
        super().__init__(GONE, "", f"{response.url} answered the handshake with {answer}{said}")
        self.response = response


class WebSocketProtocolError(ConnectionError):
    """What the server has sent breaks a rule of RFC 6455; the connection has ended by that."""


def asking(subprotocols: Sequence[str] | None) -> dict[str, str]:
    """Return the header fields that ask for a WebSocket (RFC 6455 section 4.1)."""
    if isinstance(subprotocols, str):
        raise TypeError(f"subprotocols has to be a list of names, not the text {subprotocols!r}")
    for name in subprotocols or ():
        if not isinstance(name, str):
            raise TypeError(f"subprotocols has to be a list of names, and {name!r} is no str")
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(token_bytes(16)).decode(),
    }
    if subprotocols:
        fields["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
    return fields


def agreed(sent: Fields, answer: Headers) -> str | None:
    """Check what a handshake was answered, and return the subprotocol that is spoken.

    Args:
        sent: The fields of the request, whoever set them.
        answer: Those of the response, whose status is 101.

    Raises:
        WebSocketProtocolError: The answer is not one to this request.
    """
    key = sent.text("Sec-WebSocket-Key").encode()
    expected = {
        "Upgrade": "websocket",
        "Connection": "upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(hashlib.sha1(key + GUID).digest()).decode(),  # noqa: S324 - section 4.2.2
    }
    for name, value in expected.items():
        given = answer.get(name, "")
        is_right = given == value if name.startswith("Sec-") else given.lower() == value
        if not is_right:
            raise WebSocketProtocolError(f"{name} of the handshake is {given!r}, not {value!r}")
    if "Sec-WebSocket-Extensions" in answer:
        given = answer["Sec-WebSocket-Extensions"]
        raise WebSocketProtocolError(f"an extension is used that nobody has offered: {given}")
    chosen = answer.get("Sec-WebSocket-Protocol")
    offered = [name.strip() for name in sent.text("Sec-WebSocket-Protocol").split(",")]
    if chosen is not None and chosen not in offered:
        raise WebSocketProtocolError(f"a subprotocol is used that nobody has offered: {chosen}")
    return chosen

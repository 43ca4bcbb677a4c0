"""Test an app over real HTTP: `TestClient` serves it on a free port and talks to it.

    from pyreframework.testing import TestClient

    with TestClient(app) as client:
        assert client.get("/").text == "Hello, World!"

Needs the standard library only. No worker imports this unless the program itself does.

- ``client``, ``verbs``: what tests call, and redirects
- ``bodies``, ``addresses``: what is sent, and where to
- ``outgoing``, ``incoming``: a request on its way out, and its answer on the way in
- ``responses``, ``streamed``: what comes back, whole or as it comes
- ``pieces``, ``events``: a body as text, lines and server-sent events
- ``websocket``, ``handshake``: a WebSocket as tests have it, and how it begins and ends
- ``conversation``, ``frames``: its rules, and what stands on the wire
- ``answering``: sessions that are open when their server stops
- ``jar``: the cookies in between
- ``connections``: kept open between requests
- ``served``: the app, served from a thread of this process

Sees the room of the public names and all below it, but not ``cli``.
"""

from pyreframework.testing.bodies import FileSpec
from pyreframework.testing.client import TestClient
from pyreframework.testing.events import ServerSentEvent
from pyreframework.testing.handshake import (
    WebSocketDisconnect,
    WebSocketProtocolError,
    WebSocketRefused,
)
from pyreframework.testing.incoming import IncompleteBody
from pyreframework.testing.jar import Cookies
from pyreframework.testing.outgoing import RequestOptions
from pyreframework.testing.responses import Headers, HTTPStatusError, TestResponse
from pyreframework.testing.streamed import StreamedResponse
from pyreframework.testing.websocket import WebSocketTestSession

__all__ = [
    "Cookies",
    "FileSpec",
    "HTTPStatusError",
    "Headers",
    "IncompleteBody",
    "RequestOptions",
    "ServerSentEvent",
    "StreamedResponse",
    "TestClient",
    "TestResponse",
    "WebSocketDisconnect",
    "WebSocketProtocolError",
    "WebSocketRefused",
    "WebSocketTestSession",
]

"""`TestClient`: serves an app for real, on a free port, and talks to it over HTTP."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self, Unpack
from urllib.parse import urlsplit

from pyreframework.app import Pyre
from pyreframework.program import apps
from pyreframework.serving.settings.resolution import resolve
from pyreframework.testing.addresses import as_http, target
from pyreframework.testing.bodies import Body, Data, Encoded, FileSpec, Pairs, encode
from pyreframework.testing.connections import Connections
from pyreframework.testing.handshake import asking
from pyreframework.testing.incoming import Incoming
from pyreframework.testing.jar import Cookies
from pyreframework.testing.outgoing import (
    DEFAULT_HEADERS,
    Fields,
    HeaderFields,
    Outgoing,
    RequestOptions,
)
from pyreframework.testing.responses import TestResponse
from pyreframework.testing.served import ServedApp, acquire, drop, release
from pyreframework.testing.streamed import StreamedResponse, leads_to
from pyreframework.testing.verbs import Verbs
from pyreframework.testing.websocket import WebSocketTestSession, begun

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT_S = 60.0
REDIRECTS_MAX = 20
# Fewer than a server has: a client is made for each test.
THREADS = {"workers": 2, "io_workers": 1}
# Stands for "as the client does" where None means something else.
FROM_CLIENT: Any = object()


class TestClient(Verbs):
    """Serve an app from a background thread and send it requests.

    The app is served as ``run()`` serves it: same parser, routes, hooks, limits and threads, on a
    port of its own. It starts when the client is entered or used for the first time; with ``port``
    given at once, as others may know that port. Hooks for start-up and shut-down always run, with
    ``with`` or without. A client that nobody closes is closed when it is collected, or at the end
    of the process. Several clients of one app share its server, which stops with the last of them.
    May be used from several threads.

    Args:
        app: The app; it is frozen by its first start, as by ``run()``.
        host: Address to listen on.
        port: TCP port; None for a free one.
        mode: None runs handlers on the main interpreter, wherever the app was made; ``subinterp``
            runs them on workers, for which the app must be a global of a module or file.
        headers: Sent with every request, unless the request has its own.
        cookies: Cookies to begin with.
        follow_redirects: Whether requests follow redirects unless they say otherwise.
        timeout: Seconds that a step of an exchange (connecting, sending, receiving) may take unless
            the request says otherwise; None for no limit.
        **options: Options of ``run()``. Variables (``PYRE_...``) are not read, so that tests do not
            depend on the shell; ``workers`` is 2 and ``io_workers`` 1 unless given.

    Raises:
        TypeError: ``app`` is not a `Pyre`.
        ValueError: An option is unknown or has a value that does not fit.

    Example:
        >>> app = Pyre()
        >>> @app.get("/hello/{name}")
        ... def hello(req, name):
        ...     return {"hello": name}
        >>> with TestClient(app) as client:
        ...     client.get("/hello/ada").json()
        {'hello': 'ada'}
    """

    __test__ = False  # Not a test to be collected, whatever its name begins with.

    def __init__(
        self,
        app: Pyre,
        host: str = "127.0.0.1",
        port: int | None = None,
        mode: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        timeout: float | None = TIMEOUT_S,
        **options: Any,
    ) -> None:
        if not isinstance(app, Pyre):
            raise TypeError(f"TestClient needs a Pyre app, not {type(app).__qualname__}")
        self.app = app
        self.headers: dict[str, str] = dict(headers or {})
        """Sent with every request, unless the request has its own."""
        self.cookies = Cookies(cookies)
        """The cookies of this client; may be changed."""
        self.follow_redirects = follow_redirects
        self.timeout = timeout
        given: dict[str, object] = {**THREADS, "mode": mode or "default", **options}
        if not {"bind", "uds", "fd"} & set(given):
            given |= {"host": host, "port": port or 0}
        settings = resolve(given, {}, app.properties())
        self._lock = threading.Lock()
        self._settings = settings
        self._served: ServedApp | None = None
        self._connections = Connections()
        self._end: weakref.finalize[..., TestClient] | None = None
        self._closed = False
        # A worker that loads a test module must not serve it again.
        if port and not apps.in_worker():
            self._url()

    @property
    def base_url(self) -> str:
        """Address of the server, such as ``http://127.0.0.1:40321``; starts it."""
        return self._url()

    @property
    def host(self) -> str:
        """Address part of `base_url`; starts the server."""
        return urlsplit(self._url()).hostname or ""

    @property
    def port(self) -> int:
        """Port of `base_url`; starts the server."""
        return urlsplit(self._url()).port or 80

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        body: Body | None = None,
        files: Mapping[str, FileSpec] | Sequence[tuple[str, FileSpec]] | None = None,
        params: Pairs | str | None = None,
        headers: HeaderFields | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool | None = None,
        timeout: float | None = FROM_CLIENT,
    ) -> TestResponse:
        """Send a request and return the whole response.

        Args:
            method: The method, in any case.
            path: Path with or without a query, or a whole address of this server.
            json: Sent as JSON.
            data: A dict or pairs make a form; anything else is sent as by ``body``.
            body: Text, bytes or an open file are sent as they are, a dict or list as JSON. The
                pieces of any other iterable are sent as it makes them: in chunks, or as a body of
                the length that a ``Content-Length`` in ``headers`` gives.
            files: A multipart form, together with the fields in ``data``: names with contents, or
                with ``(filename, content, content_type)``.
            params: Appended to the query; a list gives several pairs.
            headers: A dict, or pairs to send a name several times; None leaves out what would be
                sent otherwise.
            cookies: Sent with this request only, beside those of the client.
            follow_redirects: Whether to follow redirects; unless given, as the client does.
            timeout: Seconds for each step; unless given, those of the client. None for no limit.

        Raises:
            RuntimeError: The client is closed, the app has stopped or is being served with other
                options, or more than 20 redirects.
            ValueError: Two kinds of body, an address of another server, or a character that a
                header must not have.
            TimeoutError: A step took longer than ``timeout``.
            IncompleteBody: The body of the response was cut off.
            OSError: The connection broke.
            http.client.HTTPException: What came back is not HTTP.
            Exception: The server could not start; whatever stopped it.
        """
        opened = self._open(
            method,
            path,
            json=json,
            data=data,
            body=body,
            files=files,
            params=params,
            headers=headers,
            cookies=cookies,
            follow_redirects=follow_redirects,
            timeout=timeout,
        )
        with closing(opened):
            return opened.whole()

    @contextmanager
    def stream(
        self, method: str, path: str, **options: Unpack[RequestOptions]
    ) -> Iterator[StreamedResponse]:
        """Send a request, and give its response as soon as the head has come.

        To be used by ``with``, whose end closes the connection unless the whole body has come: so
        the server learns that the client has gone. The request is sent whole before; ``timeout``
        counts for each piece of the body.

        Args:
            method: The method, in any case.
            path: Path with or without a query, or a whole address of this server.
            **options: As `request` has them.

        Raises:
            Exception: As `request`.

        Example:
            >>> app = Pyre()
            >>> @app.get("/")
            ... def count(req):
            ...     return (f"{number} " for number in range(3))
            >>> with TestClient(app) as client, client.stream("GET", "/") as response:
            ...     response.status_code, list(response.iter_text())
            (200, ['0 ', '1 ', '2 '])
        """
        with closing(self._open(method, path, **options)) as response:
            yield response

    def websocket_connect(
        self,
        path: str,
        subprotocols: Sequence[str] | None = None,
        *,
        params: Pairs | str | None = None,
        headers: HeaderFields | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float | None = FROM_CLIENT,
    ) -> WebSocketTestSession:
        """Ask for a WebSocket, and return it once the handshake is done.

        To be used by ``with``, whose end closes it. No extension is offered.

        Args:
            path: As `request` has it; ``ws:`` may stand for ``http:``.
            subprotocols: Those that are offered, the best first.
            params: As `request` has them, and so are ``headers`` and ``cookies``.
            headers: They may also replace what makes the handshake, such as its version.
            cookies: Sent with the handshake, beside those of the client.
            timeout: Seconds for each step of the handshake, and for each call of the session that
                has none of its own; unless given, those of the client. None for no limit.

        Raises:
            WebSocketRefused: The answer is another one than 101; it is at its ``response``.
            WebSocketProtocolError: The answer is 101, and does not fit the handshake.
            Exception: As `request`.

        Example:
            >>> app = Pyre()
            >>> @app.websocket("/echo")
            ... def echo(ws):
            ...     for message in ws:
            ...         ws.send(message)
            >>> with TestClient(app) as client, client.websocket_connect("/echo") as ws:
            ...     ws.send_json({"a": 1})
            ...     ws.receive_json()
            {'a': 1}
        """
        base, served = self._url(), self._served
        assert served is not None, "it has an address"
        outgoing = Outgoing("GET", target(base, as_http(path), params), Encoded(None))
        fields = self._fields(base, outgoing, headers, cookies, asking(subprotocols))
        incoming, response = self._exchange(base, outgoing, fields, timeout)
        timeout = self.timeout if timeout is FROM_CLIENT else timeout
        return begun(incoming, response, fields, timeout, served.answering)

    def close(self) -> None:
        """Stop the server, and return once its threads have ended and the port is free.

        Running requests finish first, and the hooks for the end run. A second call does nothing. A
        closed client cannot be used again.

        Raises:
            RuntimeError: Requests had to be abandoned after ``shutdown_timeout``, or a thread could
                not be ended.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._connections.close()
        if self._end is not None and self._served is not None:
            self._end.detach()
            release(self.app, self._served)

    def __enter__(self) -> Self:
        self._url()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _url(self) -> str:
        """Return the address of the server, which is started if it is not running yet."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this TestClient is closed: make a new one")
            if self._served is None:
                if apps.in_worker():
                    raise RuntimeError(
                        "a TestClient cannot serve from a worker: use it in a test, or under "
                        '`if __name__ == "__main__":`'
                    )
                served = acquire(self.app, self._settings)
                self._served = served
                self._end = weakref.finalize(self, end, self.app, served, self._connections)
            elif not self._served.alive:
                raise RuntimeError("the app has stopped serving: make a new TestClient")
            return self._served.url

    def _open(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        body: Body | None = None,
        files: Mapping[str, FileSpec] | Sequence[tuple[str, FileSpec]] | None = None,
        params: Pairs | str | None = None,
        headers: HeaderFields | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool | None = None,
        timeout: float | None = FROM_CLIENT,
    ) -> StreamedResponse:
        """Send a request, and follow redirects until the head of the response has come."""
        encoded = encode(json, data, body, files)
        base = self._url()
        outgoing = Outgoing(method.upper(), target(base, path, params), encoded)
        follows = self.follow_redirects if follow_redirects is None else follow_redirects
        history: list[TestResponse] = []
        while True:
            fields = self._fields(base, outgoing, headers, cookies)
            _, response = self._exchange(base, outgoing, fields, timeout, history)
            try:
                there = leads_to(base, response) if follows else None
                if there is None:
                    return response
                history.append(response.whole())
            except BaseException:
                response.close()
                raise
            if len(history) > REDIRECTS_MAX:
                raise RuntimeError(f"more than {REDIRECTS_MAX} redirects, the last one to {there}")
            outgoing.follow(response.status_code, target(base, there))

    def _fields(
        self,
        base: str,
        outgoing: Outgoing,
        headers: HeaderFields | None,
        cookies: Mapping[str, str] | None,
        own: HeaderFields | None = None,
    ) -> Fields:
        """Return the header fields of a request; ``own`` are those that its kind wants to have."""
        cookie = self.cookies.header_for(base + outgoing.target, cookies)
        first = {"Host": urlsplit(base).netloc, **DEFAULT_HEADERS, "Cookie": cookie}
        return outgoing.fields(first, own, self.headers, headers)

    def _exchange(
        self,
        base: str,
        outgoing: Outgoing,
        fields: Fields,
        timeout: float | None,
        history: Sequence[TestResponse] = (),
    ) -> tuple[Incoming, StreamedResponse]:
        """Send one request and read the head of its response."""
        if timeout is FROM_CLIENT:
            timeout = self.timeout
        url = base + outgoing.target
        began = perf_counter()
        path = None if self._served is None else self._served.path
        incoming = self._connections.begin(base, path, outgoing, fields, timeout)
        cookies = self.cookies.take(url, incoming.response)
        response = StreamedResponse(incoming, outgoing.method, url, list(history), began, cookies)
        return incoming, response


def end(app: Pyre, served: ServedApp, connections: Connections) -> None:
    """End what belongs to a client that is gone."""
    connections.close()
    drop(app, served)

"""Signatures of the native module: the server, and the objects handlers see."""

from asyncio import AbstractEventLoop
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from datetime import datetime
from os import PathLike
from types import FrameType, TracebackType
from typing import Any, Literal, Protocol, Self, overload

from _typeshed import SupportsKeysAndGetItem

from pyreframework.parts import Part
from pyreframework.sessions import Session
from pyreframework.uploads import FormLimits, UploadFile

__version__: str

type _Slot = tuple[str, str] | None
type _Header = str | list[str]
type _Piece = str | bytes | bytearray | memoryview

def log_record(
    json: bool,
    created: float,
    level: str,
    logger: str,
    message: str,
    exception: str,
    thread: str,
    place: tuple[str, int] | None,
    extra: str,
) -> None: ...
def set_log_defaults(json: bool, level: int) -> None: ...
def emit_python_log(
    level: str,
    name: str,
    message: str,
    pathname: str = "",
    lineno: int = 0,
    worker_id: int | None = None,
) -> None: ...
def get_gil_metrics() -> tuple[int, int, int, int, int, int, int, int, int]: ...
def note_import(event: str, name: str) -> None: ...
def flush_log(seconds: float) -> bool: ...
def say(level: str, label: str, message: str) -> None: ...
def write_stream(number: int, data: bytes, seconds: float) -> bool: ...
def takes_at_once(number: int) -> bool: ...
def disown_stream(number: int) -> None: ...
def is_disowned(number: int) -> bool: ...
def can_fork() -> bool: ...
def check_cors(lines: list[str]) -> None: ...
def check_hosts(hosts: list[str]) -> None: ...
def numbers_end() -> int: ...
def publish(
    app: AppTable,
    topic: str,
    data: object,
    event: str | int | None = None,
    id: str | int | None = None,
    timeout: float | None = None,
) -> None: ...
def cookie_text(data: bytes) -> str: ...
def form_pairs(
    data: bytes, pairs_max: int, name_bytes_max: int, value_bytes_max: int
) -> list[tuple[str, str]]: ...
def current_frames() -> dict[int, FrameType]: ...

class StartError(RuntimeError):
    """A worker could not start; its text is the traceback of that worker."""

class RequestTimeout(BaseException):
    """Raised in a handler that takes longer than its request_timeout, where it runs Python code.

    No `Exception`, so that ``except Exception`` does not swallow it. A coroutine that waits is
    cancelled instead.
    """

class RequestCoroutine:
    """The coroutine of an asyncio task that serves requests; for asyncio, not for programs."""

    def send(self, value: object, /) -> RequestCoroutine: ...
    def throw(self, error: BaseException, /) -> RequestCoroutine: ...
    def close(self) -> None: ...
    def __next__(self) -> RequestCoroutine: ...
    def __await__(self) -> RequestCoroutine: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def add_done_callback(self, fn: Callable[..., Any], /, *, context: object = None) -> None: ...
    def remove_done_callback(self, fn: Callable[..., Any], /) -> int: ...
    def cancel(self, msg: object = None, /) -> bool: ...
    def result(self) -> None: ...

class _Part(bytes):
    """What ``req.read()`` returns: bytes, or in a coroutine what is awaited for them."""

    def __await__(self) -> Generator[Any, None, bytes]: ...

class _Parts(Protocol):
    """What ``req.stream()`` returns."""

    def __iter__(self) -> Iterator[bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...

class _Form[V](dict[str, V]):
    """What ``req.form()`` and its like return: a dict, or in a coroutine what is awaited for it."""

    def __await__(self) -> Generator[Any, None, dict[str, V]]: ...

class _FormParts(Protocol):
    """What ``req.parts()`` returns."""

    def __iter__(self) -> Iterator[Part]: ...
    def __aiter__(self) -> AsyncIterator[Part]: ...

type FormEvent = tuple[str, str | None, str | None] | bytes | int | None
"""Of a part its name, the name of its file and its content type; some data, or how much of it has
gone to the spool; its end."""

class FormParser:
    """Takes a form with files apart."""

    def __init__(
        self, content_type: bytes, parts_max: int, head_bytes_max: int, name_bytes_max: int
    ) -> None: ...
    def feed(self, data: bytes) -> list[FormEvent]:
        """Return what comes of more bytes."""

    def finish(self) -> None:
        """Tell that nothing more comes."""

class FormSpool:
    """A temporary file without a name."""

    def __init__(self, folder: str, flags: int, waits: bool) -> None: ...
    @property
    def size(self) -> int:
        """Its bytes, written or not."""
    @property
    def pending_size(self) -> int:
        """Those that are not written yet."""

    def append(self, data: bytes) -> None: ...
    def flush(self) -> None: ...
    def release(self) -> None:
        """Write what waits; nothing more is appended."""

    def fileno(self) -> int: ...

class PyreRequest:
    """A request. Read-only; nothing is built before it is read."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def query(self) -> str: ...
    @property
    def query_params(self) -> dict[str, str]: ...
    @property
    def query_params_all(self) -> dict[str, list[str]]: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def cookies(self) -> dict[str, str]: ...
    @property
    def client_ip(self) -> str | None: ...
    @property
    def client(self) -> tuple[str, int] | None: ...
    @property
    def scheme(self) -> str: ...
    @property
    def http_version(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def state(self) -> Any: ...
    @property
    def session(self) -> Session: ...
    @property
    def csrf_token(self) -> str: ...
    @property
    def route(self) -> str | None: ...
    @property
    def app(self) -> Any: ...
    @property
    def id(self) -> str: ...
    @property
    def csp_nonce(self) -> str: ...
    @property
    def traceparent(self) -> str | None: ...
    def add_task(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> None:
        """Call ``function(*args, **keywords)`` after the answer; it may be an async function.

        Raises:
            TypeError: ``function`` cannot be called.
            RuntimeError: The request has been answered already.
        """

    def is_disconnected(self) -> bool:
        """Tell whether nobody waits for the answer: the client has gone, or was told 504."""

    def is_fresh(
        self, *, etag: str | None = None, last_modified: datetime | float | None = None
    ) -> bool:
        """Tell whether the client has this version already, so that the answer is 304.

        Only for GET and HEAD. ``If-None-Match`` goes before ``If-Modified-Since``; etags are
        compared weakly, dates by whole seconds.

        Args:
            etag: The etag of the version, with or without quotes and ``W/``.
            last_modified: When it came to be: a ``datetime`` (UTC if it has no zone), or seconds
                since 1970.

        Raises:
            ValueError: ``etag`` cannot be one, or the time is out of bounds.
            TypeError: One is of a wrong type.
        """

    def _has_version(self, etag: str | None, seconds: int | None, /) -> bool: ...
    def stream(self) -> _Parts:
        """Return the body in pieces, for ``for`` and, in a coroutine, for ``async for``."""

    def read(self, n: int | None = -1) -> _Part:
        """Return ``n`` bytes of the body, fewer only at its end; await it in a coroutine.

        Raises:
            ConnectionError: The client has gone before the end.
            HTTPError: It has sent too much, too slowly, or something malformed.
        """

    def _next_piece(self) -> bytes: ...
    def _take(self, n: int, /) -> bytes | None: ...
    def _gather(self) -> bytes | Literal[False] | None: ...
    def _wait(self) -> None: ...
    def _listen(self) -> int | None: ...
    def _ask(self) -> bool: ...
    def text(self) -> str: ...
    def json(self) -> Any: ...
    def form(self, limits: FormLimits | None = None) -> _Form[str]:
        """Return the fields of a form; of a repeated one the last value.

        On a route with ``stream_body=True`` it is awaited in a coroutine, and so are the others.

        Raises:
            FormError: It is no form, malformed, or has more than ``limits`` allow.
        """

    def form_all(self, limits: FormLimits | None = None) -> _Form[list[str]]:
        """Return the fields of a form, each with the list of its values."""

    def files(self, limits: FormLimits | None = None) -> _Form[UploadFile]:
        """Return the files of a form; of a repeated name the last one."""

    def files_all(self, limits: FormLimits | None = None) -> _Form[list[UploadFile]]:
        """Return the files of a form, each name with the list of them."""

    def parts(self, limits: FormLimits | None = None) -> _FormParts:
        """Return the parts of a form as they come, for ``for`` and ``async for``."""

    def _form(self, kept: Any = ..., /) -> Any: ...
    def _host(self) -> str: ...
    def _forwarded_scheme(self) -> str: ...
    def _is_whole(self) -> bool: ...
    def _piece_at(self, offset: int) -> bytes: ...
    def _feed(self, parser: FormParser) -> list[FormEvent] | Literal[False] | None: ...
    def _spool(self, parser: FormParser, spool: FormSpool) -> None: ...
    def _expect(self, much: bool) -> None: ...
    def _blame(self, error: BaseException, status: int) -> BaseException: ...
    @overload
    def header(self, name: str, /) -> str | None: ...
    @overload
    def header[D](self, name: str, default: D, /) -> str | D: ...
    def param(self, name: str, default: Any = None, /) -> Any: ...
    @overload
    def query_param(self, name: str, /) -> str | None: ...
    @overload
    def query_param[D](self, name: str, default: D, /) -> str | D: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class PyreResponse:
    """An answer: a body of any type a handler may return, with status and headers."""

    def __init__(
        self,
        body: object = None,
        status_code: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, _Header] | None = None,
    ) -> None: ...
    body: Any
    status_code: int
    content_type: str | None
    _length: int | None
    @property
    def headers(self) -> ResponseHeaders: ...
    @headers.setter
    def headers(self, headers: Mapping[str, _Header], /) -> None: ...
    @classmethod
    def file(
        cls,
        path: str | bytes | PathLike[str] | PathLike[bytes],
        *,
        status_code: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, _Header] | None = None,
        download_name: str | None = None,
        attachment: bool | None = None,
        max_age: int | None = None,
    ) -> PyreResponse:
        """Return an answer whose body is a file, as the function `send_file` does."""

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        expires: datetime | float | str | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "Lax",
    ) -> None:
        """Add a cookie to this response, as the function `set_cookie` does to a new one.

        Raises:
            ValueError: A part holds a character it must not hold.
        """

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "Lax",
    ) -> None:
        """Have the client forget a cookie; path and domain are those it was set with."""

class FileBody:
    """An open file as the body of a response; `send_file` makes it."""

    @property
    def size(self) -> int: ...

def file_body(descriptor: int, name: str) -> FileBody: ...

class _Sending(Coroutine[Any, Any, None]):
    """What sends, or has sent; only in a coroutine it has to be awaited."""

    def __await__(self) -> Generator[Any]: ...
    def send(self, value: object, /) -> Any: ...
    def throw(self, error: Any, value: object = ..., traceback: object = ..., /) -> Any: ...
    def close(self) -> None: ...

class PyreStream:
    """An answer that is sent piece by piece, from any thread or coroutine of its interpreter.

    A handler returns it, by itself or as the body of a `PyreResponse`. Without a content type it is
    an event stream. Leaving a ``with`` or ``async with`` ends the answer; by an exception, as one
    that is not whole.
    """

    def __init__(
        self,
        content_type: str | None = None,
        status_code: int = 200,
        headers: Mapping[str, _Header] | None = None,
        *,
        keep_alive_s: float | None = 15.0,
    ) -> None:
        """Make a stream; nothing is sent before a handler returns it.

        Args:
            content_type: The media type; ``text/event-stream`` if neither this nor ``headers`` has
                one.
            status_code: 200 to 599.
            headers: A ``Content-Length`` among them is kept to.
            keep_alive_s: After so many seconds of silence an event stream is sent a comment; None
                or 0: never.

        Raises:
            ValueError: A status or header that cannot be sent, or a negative number of seconds.
            TypeError: An argument of another type.
        """

    def send(self, data: _Piece, timeout: float | None = None) -> _Sending:
        """Send a piece, text as UTF-8; await the result in a coroutine.

        While the buffer of the stream is full, a thread waits here, and a coroutine where it awaits
        the result. An empty piece sends nothing.

        Args:
            data: The piece.
            timeout: It waits for no more than so many seconds; None: as long as it takes.

        Raises:
            ConnectionError: The client has gone.
            TimeoutError: There was no room in time; the piece is not sent.
            RuntimeError: There is no room, and the stream has not become an answer for 30 seconds.
            ValueError: The stream is closed, or this is more than its ``Content-Length``.
            TypeError: The piece is neither text nor bytes.
        """

    def send_event(
        self,
        data: str,
        event: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        *,
        timeout: float | None = None,
    ) -> _Sending:
        """Send a server-sent event as `send` sends a piece.

        Args:
            data: Its text; each line of it becomes a line of the event.
            event: Its type; ``message`` for the reader if there is none.
            id: What a reader that connects again sends as ``Last-Event-ID``.
            retry: After how many milliseconds it does.
            timeout: As of `send`.

        Raises:
            ValueError: A line end in ``event`` or ``id``, or NUL in ``id``; or as `send`.
            TypeError: An argument of another type.
            ConnectionError: As `send`.
            TimeoutError: As `send`.
            RuntimeError: As `send`.
        """

    def subscribe(self, topic: str) -> _Sending:
        """Send all that is published to a topic from now on, as events; again does nothing.

        Before the stream is returned as well. It then stays open until the client goes, also if the
        program forgets it; or until `close`. Only event streams subscribe.

        Raises:
            ValueError: The name has not 1 to 256 bytes, this is no event stream, or it is closed.
            ConnectionError: The client has gone.
            RuntimeError: It has subscribed to 128 topics.
        """

    def unsubscribe(self, topic: str) -> _Sending:
        """Send no more of it; does nothing if it has not subscribed to that topic."""

    def close(self) -> _Sending:
        """End the answer; what has been sent still arrives. Never waits; again does nothing.

        Raises:
            ValueError: This is less than its ``Content-Length``; the answer breaks off.
        """

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be sent: it was closed, broke off, or the client has gone."""
    @property
    def is_disconnected(self) -> bool:
        """Whether the client has gone, or there is none for the body, as of a HEAD."""
    @property
    def is_draining(self) -> bool:
        """Whether the server stops, so that it is time to come to an end."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> Literal[False]: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> Awaitable[Literal[False]]: ...
    @property
    def _is_answer(self) -> bool: ...
    def _push(self, data: _Piece) -> bool: ...
    def _wait(self, seconds: float) -> bool: ...
    def _listen(self) -> int | None: ...
    def _ask_for_room(self) -> bool: ...
    def _break(self) -> bool: ...

class Sent(_Sending):
    """What methods return that have done what they are for, to be awaited."""

    def __iter__(self) -> Iterator[None]: ...
    def __next__(self) -> None: ...
    def send(self, value: object, /) -> Any: ...
    def throw(self, error: Any, value: object = ..., traceback: object = ..., /) -> Any: ...
    def close(self) -> None: ...

class Receiving[T](Coroutine[Any, Any, T]):
    """The next message, to be awaited; a coroutine in all that counts for asyncio."""

    def __await__(self) -> Generator[Any, None, T]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def send(self, value: object, /) -> Any: ...
    def throw(self, error: Any, value: object = ..., traceback: object = ..., /) -> Any: ...
    def close(self) -> None: ...

class Arrival:
    """The future of a message; for asyncio, not for programs."""

    def get_loop(self) -> AbstractEventLoop: ...
    def add_done_callback(self, fn: Callable[..., Any], /, *, context: object = None) -> None: ...
    def remove_done_callback(self, fn: Callable[..., Any], /) -> int: ...
    def cancel(self, msg: object = None) -> bool: ...
    def result(self) -> None: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...

class PyreWebSocket:
    """A WebSocket, as its handler sees it.

    The methods block a thread, and are awaited in a coroutine: what they return there is awaitable.
    So those that receive are typed `Any`. The first of them accepts the handshake, unless `accept`
    has been called.
    """

    @property
    def request(self) -> PyreRequest: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def query_params(self) -> dict[str, str]: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def cookies(self) -> dict[str, str]: ...
    @property
    def client_ip(self) -> str | None: ...
    @property
    def client(self) -> tuple[str, int] | None: ...
    @property
    def state(self) -> Any: ...
    @property
    def route(self) -> str: ...
    @property
    def app(self) -> Any: ...
    @property
    def id(self) -> str: ...
    @property
    def subprotocols(self) -> list[str]: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def is_accepted(self) -> bool: ...
    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be sent."""

    @property
    def is_disconnected(self) -> bool:
        """Whether the client has gone, or has closed the WebSocket."""

    @property
    def is_draining(self) -> bool:
        """Whether the server stops."""

    @property
    def close_code(self) -> int | None:
        """Why nothing more comes: a code of RFC 6455, 1006 if the client has just gone."""

    @property
    def close_reason(self) -> str: ...
    def accept(
        self, subprotocol: str | None = None, headers: Mapping[str, _Header] | None = None
    ) -> Sent:
        """Accept the handshake.

        Args:
            subprotocol: One that the client offers; left out, the first that the route has as well.
            headers: More of them, for the answer.

        Raises:
            ValueError: The client does not offer it, or a header cannot be sent.
            RuntimeError: The handshake has been answered.
        """

    def recv(self, timeout: float | None = None) -> Any:
        """Receive a text; None if nothing more comes. A message of bytes closes with 1003.

        Raises:
            TimeoutError: None has come in so many seconds.
        """

    def recv_bytes(self, timeout: float | None = None) -> Any:
        """Receive bytes; None if nothing more comes. A text closes with 1003."""

    def recv_message(self, timeout: float | None = None) -> Any:
        """Receive ``("text", str)`` or ``("binary", bytes)``; None if nothing more comes."""

    def send(self, data: _Piece, timeout: float | None = None) -> _Sending:
        """Send a text, or bytes.

        While the client takes nothing, a thread waits here, and a coroutine where it awaits the
        result.

        Raises:
            ConnectionError: The client has gone, or the WebSocket is closed.
            TimeoutError: There was no room in so many seconds; the message is not sent.
            TypeError: It is neither text nor bytes.
        """

    def send_bytes(
        self, data: bytes | bytearray | memoryview, timeout: float | None = None
    ) -> _Sending:
        """Send bytes, as `send` does."""

    def send_json(self, value: object, timeout: float | None = None) -> _Sending:
        """Send a value as JSON in a text, as `send` does."""

    def subscribe(self, topic: str) -> Sent:
        """Send all that is published to a topic from now on, until the WebSocket ends.

        Again does nothing. From any thread of its interpreter; never waits.

        Raises:
            ValueError: The name of a topic has 1 to 256 bytes in UTF-8.
            ConnectionError: The client has gone, or the WebSocket is closed.
            RuntimeError: It has subscribed to 128 topics.
        """

    def unsubscribe(self, topic: str) -> Sent:
        """Send no more of it; does nothing if it has not subscribed to that topic."""

    def close(self, code: int = 1000, reason: str = "") -> Sent:
        """Close the WebSocket; once it is closed, do nothing.

        Raises:
            ValueError: A code that must not be sent, or a reason of more than 123 bytes.
        """

    def __iter__(self) -> Iterator[str | bytes]: ...
    def __next__(self) -> str | bytes: ...
    def __aiter__(self) -> AsyncIterator[str | bytes]: ...
    def __anext__(self) -> Receiving[str | bytes]: ...
    def _answer(self, result: object) -> None: ...
    def _exception_handler(self, error: BaseException) -> Callable[..., Any] | None: ...
    @property
    def _is_answer(self) -> bool: ...
    def _break(self) -> bool: ...
    def _push(self, data: _Piece) -> bool: ...
    def _take(self, wanted: int) -> tuple[Any, ...] | None: ...
    def _wait(self, seconds: float) -> bool: ...
    def _wait_for_message(self, seconds: float) -> bool: ...
    def _listen(self) -> int | None: ...
    def _ask_for_room(self) -> bool: ...
    def _end(self) -> None: ...

class ResponseHeaders(MutableMapping[str, _Header]):
    """The headers of a response, checked where they are set; the case of names does not count."""

    def __init__(
        self,
        headers: Mapping[str, _Header] | Iterable[tuple[str, _Header]] = (),
        /,
        **more: _Header,
    ) -> None: ...
    def __getitem__(self, key: str, /) -> _Header: ...
    def __setitem__(self, key: str, value: _Header, /) -> None: ...
    def __delitem__(self, key: str, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    @overload
    def get(self, key: str, /) -> _Header | None: ...
    @overload
    def get[D](self, key: str, /, default: _Header | D) -> _Header | D: ...
    def keys(self) -> KeysView[str]: ...
    def values(self) -> ValuesView[_Header]: ...
    def items(self) -> ItemsView[str, _Header]: ...
    @overload
    def pop(self, key: str, /) -> _Header: ...
    @overload
    def pop[D](self, key: str, /, default: _Header | D) -> _Header | D: ...
    def popitem(self) -> tuple[str, _Header]: ...
    def clear(self) -> None: ...
    def setdefault(self, key: str, default: _Header, /) -> _Header: ...
    @overload
    def update(self, headers: SupportsKeysAndGetItem[str, _Header], /, **more: _Header) -> None: ...
    @overload
    def update(self, headers: Iterable[tuple[str, _Header]], /, **more: _Header) -> None: ...
    @overload
    def update(self, **more: _Header) -> None: ...
    def copy(self) -> dict[str, _Header]: ...

class AppTable:
    """The native app: what is registered, in order. Frozen once it is served."""

    def __init__(self) -> None: ...
    def add_route(
        self,
        method: str,
        path: str,
        handler: Callable[..., Any],
        plan: tuple[_Slot, ...] | None,
        on_main: bool,
        is_async: bool,
        timeout: float | None,
        inline: bool,
        takes_body: bool,
        socket: tuple[tuple[str, ...] | None, tuple[str, ...], bool] = ...,
    ) -> int: ...
    def mount(
        self,
        prefix: str,
        label: str,
        directory: bytes,
        index: str,
        cache_control: str | None,
        html: bool,
        spa: str,
        follow_symlinks: bool,
    ) -> None: ...
    def set_fallback(
        self, handler: Callable[..., Any], plan: tuple[_Slot, ...] | None, is_async: bool
    ) -> None: ...
    def add_before(self, hook: Callable[..., Any], first: bool = False) -> None: ...
    def add_after(self, hook: Callable[..., Any]) -> None: ...
    def add_exception_handler(
        self, type: type[BaseException], handler: Callable[..., Any]
    ) -> None: ...
    def set_json_default(self, default: Callable[[Any], Any] | None) -> None: ...
    def set_owner(self, owner: object) -> None: ...
    def set_report(self, report: Callable[[str, Any, BaseException], str | None]) -> None: ...
    def set_settle(self, settle: Callable[[Coroutine[Any, Any, object]], object]) -> None: ...
    def set_run_tasks(self, run: Callable[..., None]) -> None: ...
    def set_deliver(self, deliver: Callable[..., Any]) -> None: ...
    def set_sessions(self, sessions: Any) -> None: ...
    def set_wake(self, wake: Callable[[int], None]) -> None: ...
    def settle(self, coroutine: Coroutine[Any, Any, object]) -> object: ...
    def need_loop(self, for_requests: bool) -> None: ...
    def set_debug(self, debug: bool) -> None: ...
    def end_task(self) -> None: ...
    def route_table(self) -> list[tuple[str, str]]: ...
    def freeze(self) -> None: ...

class Server:
    """An app being served: listeners, io threads and workers."""

    def __init__(
        self, app: AppTable, settings: dict[str, object], program: list[str] | None
    ) -> None: ...
    def bind(self, handed: list[tuple[bytes, list[int], str | None]]) -> list[str]: ...
    def listeners(self) -> list[tuple[bytes, list[int], str | None]]: ...
    def start_workers(
        self, tell: Callable[[list[tuple[str, str]]], object], together: bool
    ) -> list[tuple[int, str]]: ...
    def start_main(self) -> None: ...
    def accept(self) -> None: ...
    def succeed(self) -> None: ...
    def take_access_log(
        self, seconds: float
    ) -> list[tuple[float, int, str, dict[str, Any]]] | None: ...
    def set_ready(self, ready: bool, seconds: float) -> None: ...
    def leave(self) -> None: ...
    def wait_left(self, seconds: float) -> None: ...
    def begin_drain(self) -> None: ...
    def wait_drained(self, seconds: float) -> bool: ...
    def abandoned(self) -> tuple[int, int, int, int]: ...
    def stop(self, seconds: float) -> bool: ...

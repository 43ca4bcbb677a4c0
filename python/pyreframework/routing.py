"""Routes of an app: ``get``, ``post`` and the others, as decorators or as calls.

A route goes to the engine as it is registered, with the plan for calling its handler; the engine
says no to a bad or conflicting path there and then. Imported in every worker.
"""

from __future__ import annotations

from pyreframework.handlers.injection import WEBSOCKET, path_names, plan_for, require_callable
from pyreframework.handlers.signatures import is_async, kind_of, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from pyreframework.engine import AppTable

    type AnyCall = Callable[..., Any]

    class Decorator(Protocol):
        """What gives back the function it is given."""

        def __call__[F: AnyCall](self, function: F, /) -> F:
            """Register the function."""
            ...

    class Verb(Protocol):
        """A method of `Routes` for one method of HTTP: `Routes.route` without its ``method``."""

        def __call__[Handler: AnyCall = Decorator](
            self,
            path: str,
            handler: Handler | None = None,
            *,
            gil: bool | None = None,
            request_timeout: float | None = None,
            inline: bool = True,
            stream_body: bool = False,
            name: str | None = None,
        ) -> Handler:
            """Answer requests on ``path`` with ``handler``; see `Routes.route`."""
            ...


# The same bounds as those of the option of this name; see `serving.settings`.
REQUEST_TIMEOUT_MAX = 86400


def verb(described: Callable[[Routes], None]) -> Verb:
    """Return the method that registers routes for the method of HTTP ``described`` is named after.

    Those differ in their names and docstrings alone, so these are all that `Routes` has of them.
    """
    method = described.__name__.upper()

    def register[Handler: AnyCall = Decorator](
        self: Routes,
        path: str,
        handler: Handler | None = None,
        *,
        gil: bool | None = None,
        request_timeout: float | None = None,
        inline: bool = True,
        stream_body: bool = False,
        name: str | None = None,
    ) -> Handler:
        return self.route(
            method,
            path,
            handler,
            gil=gil,
            request_timeout=request_timeout,
            inline=inline,
            stream_body=stream_body,
            name=name,
        )

    for name in ("__name__", "__qualname__", "__doc__"):
        setattr(register, name, getattr(described, name))
    # Taken from an app it is bound, and has the parameters of `Verb`; tests compare them.
    return register  # type: ignore[return-value]


class Routes:
    """The part of `Pyre` that registers routes."""

    native: AppTable
    has_gil_routes = False
    listed: list[tuple[str, str, AnyCall, bool | None]]
    """Method, path, handler and ``gil`` of each route, in the order of registration."""
    chosen: list[list[str]]
    """What each of them was registered with, one text for each option that was given."""
    named: list[tuple[str, str, bool]]
    """Name and path of what `url_for` knows, and whether the name was given to it."""
    # Pages that the server answers itself: the name of each by its path; see `Insight`.
    pages: dict[str, str]

    def route[Handler: AnyCall = Decorator](
        self,
        method: str | Sequence[str],
        path: str,
        handler: Handler | None = None,
        *,
        gil: bool | None = None,
        request_timeout: float | None = None,
        inline: bool = True,
        stream_body: bool = False,
        name: str | None = None,
    ) -> Handler:
        """Answer ``method`` on ``path`` with ``handler``; as a decorator, return it unchanged.

        Args:
            method: A method in any case, or several.
            path: Starts with ``/``. ``{name}`` takes one segment, ``{name:int}`` (also ``float``,
                ``uuid``, ``path``, ``str``) one of that type, ``{*rest}`` all that is left.
            handler: Takes the request, path parameters by name (converted as annotated), both, or
                nothing.
            gil: Run it on the main interpreter, for packages that do not load in workers. Left
                out, that is decided at the start, by what the handler uses; False insists on
                workers, and the start fails if that cannot be.
            request_timeout: Seconds this route may take, 0 for no limit, instead of what the option
                of that name says for all routes.
            inline: False keeps it off the threads that read requests, however short it is; see the
                option ``hand_over``.
            stream_body: Call the handler when the head of a request is there, so that it reads the
                body as it comes: ``req.stream()`` and ``req.read()``.
            name: What `url_for` calls the route; the name of the handler if left out.

        Raises:
            ValueError: The path is malformed or taken (both routes are named), a parameter of the
                handler can be filled from nowhere, or ``request_timeout`` is out of bounds.
            TypeError: The handler cannot be called, ``request_timeout`` is not a number, or
                ``inline`` or ``stream_body`` is not a bool.

        Example:
            >>> app = Pyre()
            >>> @app.route(["get", "head"], "/users/{id}")
            ... def show(req, id: int):
            ...     return {"id": id}
        """
        methods = [method] if isinstance(method, str) else list(method)
        require_path(path, methods[0].lower() if len(methods) == 1 else "route")
        if not methods:
            raise ValueError(f"the route {path!r} needs at least one method")
        if request_timeout is not None:
            require_seconds(request_timeout, f"{methods[0].upper()} {path}")
        require_bool("inline", inline, f"{methods[0].upper()} {path}")
        require_bool("stream_body", stream_body, f"{methods[0].upper()} {path}")
        options = {
            "gil": gil,
            "request_timeout": request_timeout,
            "inline": None if inline else False,
            "stream_body": stream_body or None,
            "name": name,
        }
        chosen = shown(options)
        require_route_name(self.named, name, path, f"{methods[0].upper()} {path}")

        def register[H: AnyCall](handler: H) -> H:
            names = path_names(path)
            for one in methods:
                where = f"{one.upper()} {path}"
                require_callable(handler, where)
                self._require_no_page(path, where)
                call, plan = plan_for(handler, names, where)
                self.native.add_route(
                    one.upper(),
                    path,
                    call,
                    plan,
                    bool(gil),
                    is_async(handler),
                    request_timeout,
                    inline,
                    stream_body,
                )
                self._list((one.upper(), path, handler, gil), chosen, name)
            return handler

        # Where no handler is given nothing else decides what `Handler` is, so it is a `Decorator`.
        return register if handler is None else register(handler)  # type: ignore[return-value]

    def websocket[Handler: AnyCall = Decorator](
        self,
        path: str,
        handler: Handler | None = None,
        *,
        gil: bool | None = None,
        request_timeout: float | None = None,
        allowed_origins: Sequence[str] | None = None,
        subprotocols: Sequence[str] = (),
        compression: bool = True,
        name: str | None = None,
    ) -> Handler:
        """Speak with clients over a WebSocket on ``path``; as a decorator, return ``handler``.

        Args:
            path: As that of `route`.
            handler: Takes a `PyreWebSocket`, path parameters by name, or both. An ``async def``
                function runs on the event loop, another one on a thread of its own.
            gil: As that of `route`.
            request_timeout: Seconds until the handler has to accept, or to refuse; 0 for no limit.
            allowed_origins: Origins whose pages may connect, such as ``https://example.com``;
                others are answered 403. Left out, all may. Clients that send no ``Origin``, as
                those that are no browsers, always may.
            subprotocols: Those that the handler speaks: the first of the client's that is among
                them is chosen.
            compression: Whether messages may be compressed.
            name: As that of `route`.

        Raises:
            ValueError: As `route`; or an origin or a subprotocol is none.
            TypeError: As `route`; the handler is a generator function; or ``allowed_origins`` or
                ``subprotocols`` is not a list of str.

        Example:
            >>> app = Pyre()
            >>> @app.websocket("/echo/{room}")
            ... async def echo(ws, room: str):
            ...     async for message in ws:
            ...         await ws.send(message)
        """
        require_path(path, "websocket")
        where = f"GET {path}"
        if request_timeout is not None:
            require_seconds(request_timeout, where)
        require_bool("compression", compression, where)
        origins = (
            None if allowed_origins is None else texts("allowed_origins", allowed_origins, where)
        )
        if origins:
            from pyreframework.origins import require_origin

            for origin in origins:
                require_origin(origin, where, ", and without allowed_origins all may connect")
        protocols = texts("subprotocols", subprotocols, where)
        for protocol in protocols:
            if not protocol or not protocol.isascii() or any(one in protocol for one in ' ,;"\t'):
                raise ValueError(f"{where}: {protocol!r} cannot be the name of a subprotocol")
        options = {
            "gil": gil,
            "request_timeout": request_timeout,
            "allowed_origins": origins,
            "subprotocols": protocols or None,
            "compression": None if compression else False,
            "name": name,
        }
        chosen = ["websocket", *shown(options)]
        require_route_name(self.named, name, path, where)

        def register[H: AnyCall](handler: H) -> H:
            names = path_names(path)
            require_callable(handler, where)
            if (kind := kind_of(handler)).endswith("generator"):
                raise TypeError(
                    f"{where}: {name_of(handler)} yields, which makes it a handler of an answer in "
                    f"pieces ({kind}): one of a WebSocket sends by ws.send()"
                )
            self._require_no_page(path, where)
            call, plan = plan_for(handler, names, where, WEBSOCKET)
            terms = (origins, protocols, compression)
            self.native.add_route(
                "GET",
                path,
                call,
                plan,
                bool(gil),
                is_async(handler),
                request_timeout,
                False,
                False,
                terms,
            )
            self._list(("GET", path, handler, gil), chosen, name)
            return handler

        return register if handler is None else register(handler)  # type: ignore[return-value]

    def url_for(self, name: str, /, **params: object) -> str:
        """Return the path of a route by its name, which is that of its handler unless given.

        Args:
            name: ``name=`` of the route or of ``static``, or the name of the handler.
            **params: Parameters of the path, which are percent-encoded. Others become the query:
                of a list each value, and None not at all.

        Raises:
            ValueError: No route has the name or several have it, or a parameter does not fit.
            TypeError: A parameter is missing, or neither text, number nor UUID.

        Example:
            >>> app = Pyre()
            >>> @app.get("/users/{id:int}")
            ... def show(req, id: int): ...
            >>> app.url_for("show", id=7, tab="news")
            '/users/7?tab=news'
        """
        from pyreframework.naming import address

        return address(self.named, name, params)

    def _require_no_page(self, path: str, where: str) -> None:
        """Raise unless a route may be there.

        Raises:
            ValueError: The server itself has a page at this path.
        """
        if path in self.pages:
            raise ValueError(
                f"the route {where} conflicts with the {self.pages[path]} page at {path}"
            )

    def _list(
        self, route: tuple[str, str, AnyCall, bool | None], chosen: list[str], name: str | None
    ) -> None:
        """Note a route that the engine has, and what was chosen for it."""
        self.listed.append(route)
        self.chosen.append(chosen)
        called = getattr(route[2], "__name__", None) if name is None else name
        if isinstance(called, str):
            self.named.append((called, route[1], name is not None))
        self.has_gil_routes = self.has_gil_routes or bool(route[3])

    @verb
    def get(self) -> None:
        """Answer GET on ``path``, and HEAD unless it has a route of its own; see `route`."""

    @verb
    def post(self) -> None:
        """Answer POST requests on ``path``; see `route`."""

    @verb
    def put(self) -> None:
        """Answer PUT requests on ``path``; see `route`."""

    @verb
    def delete(self) -> None:
        """Answer DELETE requests on ``path``; see `route`."""

    @verb
    def patch(self) -> None:
        """Answer PATCH requests on ``path``; see `route`."""

    @verb
    def options(self) -> None:
        """Answer OPTIONS requests on ``path`` instead of the engine; see `route`."""

    @verb
    def head(self) -> None:
        """Answer HEAD requests on ``path`` apart from GET; see `route`."""


def shown(options: Mapping[str, object]) -> list[str]:
    """Return the options of a route that were given, as they were written."""
    return [f"{name}={value!r}" for name, value in options.items() if value is not None]


def require_route_name(
    named: Sequence[tuple[str, str, bool]], name: object, path: str, where: str
) -> None:
    """Raise unless what is at ``path`` may have this name.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty, or that of another path.
    """
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"{where}: name is a str, not {type(name).__qualname__}")
    if not name:
        raise ValueError(f"{where}: name is empty")
    for known, other, is_given in named:
        if is_given and known == name and other != path:
            raise ValueError(f"{where}: {other} has the name {name!r} already")


def require_path(path: object, method: str) -> None:
    """Raise unless ``path`` may be one.

    Raises:
        TypeError: It is no text; a function is what a decorator gets that is not called.
    """
    if isinstance(path, str):
        return
    if callable(path):
        raise TypeError(f'app.{method} takes a path: write @app.{method}("/path")')
    raise TypeError(f"app.{method}() takes a path, not {type(path).__qualname__}")


def texts(name: str, given: Sequence[str], where: str) -> tuple[str, ...]:
    """Return what was given as a tuple of texts.

    Raises:
        TypeError: It is something else; a single text counts as that.
    """
    if isinstance(given, str) or not all(isinstance(one, str) for one in given):
        raise TypeError(f"{where}: {name} is a list of str, not {given!r}")
    return tuple(given)


def require_seconds(seconds: object, where: str) -> None:
    """Raise unless a route can have ``seconds`` as its request_timeout.

    Raises:
        TypeError: It is not a number.
        ValueError: It is out of bounds.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(
            f"{where}: request_timeout is a number of seconds, not {type(seconds).__qualname__}"
        )
    # Written so that it says no to NaN as well.
    if not 0 <= seconds <= REQUEST_TIMEOUT_MAX:
        raise ValueError(
            f"{where}: request_timeout must be from 0 (no limit) to {REQUEST_TIMEOUT_MAX} seconds, "
            f"not {seconds}"
        )


def require_bool(name: str, value: object, where: str) -> None:
    """Raise unless a route can have ``value`` as its option ``name``.

    Raises:
        TypeError: It is neither True nor False.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{where}: {name} is True or False, not {type(value).__qualname__}")

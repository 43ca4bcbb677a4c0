"""Which pages of other origins may read the answers of an app (CORS, the Fetch standard).

What is set here is acted upon by the threads that own the sockets. Workers check it as well, and
otherwise only note it.
"""

from __future__ import annotations

from pyreframework import engine
from pyreframework.routing import require_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

METHODS = "GET, POST, PUT, DELETE, PATCH, OPTIONS"

# The longest time that a browser could be told, in seconds; all keep it for less.
MAX_AGE_MAX = 2**31 - 1

TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Sharing:
    """The part of `Pyre` that says who may read answers, of pages elsewhere."""

    if TYPE_CHECKING:

        @property
        def serving(self) -> bool:
            """Whether ``run()`` is at work on this app."""
            ...

    def __init__(self) -> None:
        super().__init__()
        # For the engine: a name each, and behind a space its value.
        self.shares: list[str] = []

    def enable_cors(
        self,
        allow_origins: str | Iterable[str] = "*",
        allow_methods: str | Iterable[str] = METHODS,
        allow_headers: str | Iterable[str] = "*",
        expose_headers: str | Iterable[str] = "",
        allow_credentials: bool = False,
        max_age: int = 86400,
        *,
        allow_origin_regex: str | None = None,
        allow_private_network: bool = False,
    ) -> None:
        """Let pages of other origins read answers (CORS, the Fetch standard section 3.3).

        Every answer says so, those of errors, pages and streams too. A preflight is answered for
        every path, without Python and without hooks, also where a route takes OPTIONS: 204, or 403
        if its origin may not. With ``"*"`` and no credentials each answer has
        ``Access-Control-Allow-Origin: *``. Otherwise it names the origin of its request, if that
        is one of those, and each has ``Vary: Origin``. What a handler sets of these headers itself
        is not sent. Called again, it replaces what was said before. WebSockets are not bound by
        it: see ``allowed_origins`` of `websocket`.

        Args:
            allow_origins: Whose pages may, such as ``https://example.com``; ``"*"`` for all.
                Several are a list, or one text with commas. ``null`` is that of files and
                sandboxes.
            allow_methods: Methods that a page may use beside GET, HEAD and POST; ``"*"`` for all.
            allow_headers: Headers that a page may send; ``"*"`` for all that it asks for.
            expose_headers: Headers that a page may read, beside the harmless ones.
            allow_credentials: Whether it may send cookies, and read what comes of that. With
                ``allow_origins="*"`` every page there is may; the start warns of that.
            max_age: Seconds for which a browser may keep the answer to a preflight.
            allow_origin_regex: A pattern that the whole origin has to fit, such as
                ``https://[a-z]+[.]example[.]com``, in the syntax of the crate regex-lite, which is
                that of `re` without look-around and references. Beside ``allow_origins``, which
                counts as none then unless it is given.
            allow_private_network: Whether pages of the public network may reach this server in a
                private one.

        Raises:
            ValueError: An origin is none that a browser sends, a name is none that HTTP knows, the
                pattern is none, or ``max_age`` is out of range.
            TypeError: Something has the wrong type.
            RuntimeError: The app is being served.

        Example:
            >>> app = Pyre()
            >>> app.enable_cors(["https://example.com"], allow_credentials=True)
        """
        if self.serving:
            raise RuntimeError("the app is being served: call enable_cors() before run()")
        require_bool("allow_credentials", allow_credentials, "enable_cors")
        require_bool("allow_private_network", allow_private_network, "enable_cors")
        _require_age(max_age)
        origins = _several("allow_origins", allow_origins)
        methods = [name.upper() for name in _names("allow_methods", allow_methods)]
        exposed = _names("expose_headers", expose_headers)
        if "*" in exposed and allow_credentials:
            # Browsers take it for a name then.
            raise ValueError("enable_cors: with credentials expose_headers names each, not '*'")
        shares = []
        if allow_origin_regex is not None:
            _require_text(allow_origin_regex)
            if not allow_origin_regex:
                raise ValueError("enable_cors: allow_origin_regex is empty, which no origin fits")
            if origins == ["*"]:
                origins = []
            shares.append(f"pattern {allow_origin_regex}")
        elif not origins:
            raise ValueError("enable_cors: allow_origins names nobody")
        for origin in origins:
            if origin not in ("*", "null"):
                _require_origin(origin)
        shares += [f"origin {origin}" for origin in origins]
        headers = _names("allow_headers", allow_headers)
        for name, several in (
            ("allow_origins", origins),
            ("allow_methods", methods),
            ("allow_headers", headers),
        ):
            if "*" in several and len(several) > 1:
                raise ValueError(f"enable_cors: {name} is '*' for all, or names them, not both")
        if methods != ["*"]:
            shares.append(f"methods {', '.join(methods)}")
        if headers != ["*"]:
            shares.append(f"headers {', '.join(headers)}")
        if exposed:
            shares.append(f"exposed {', '.join(exposed)}")
        shares.append(f"max_age {max_age}")
        if allow_credentials:
            shares.append("credentials")
        if allow_private_network:
            shares.append("private_network")
        try:
            engine.check_cors(shares)
        except ValueError as error:
            raise ValueError(
                f"enable_cors: {allow_origin_regex!r} is no pattern: {error}"
            ) from None
        self.shares = shares

    @property
    def shares_with_all(self) -> bool:
        """Whether any page there is may act for whoever looks at it."""
        return "origin *" in self.shares and "credentials" in self.shares


def _require_age(given: object) -> None:
    """Raise unless this is a number of seconds."""
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"enable_cors: max_age is a number of seconds, not {given!r}")
    if not 0 <= given <= MAX_AGE_MAX:
        raise ValueError(f"enable_cors: max_age is from 0 to {MAX_AGE_MAX}, not {given}")


def _require_origin(origin: str) -> None:
    """Raise unless browsers send this."""
    from pyreframework.origins import require_origin

    if "*" in origin:
        raise ValueError(
            f"enable_cors: {origin!r} is no origin: each is written out, or allow_origin_regex has "
            "a pattern for them"
        )
    if origin != origin.lower():
        raise ValueError(
            f"enable_cors: no browser sends the origin {origin!r}: it is {origin.lower()!r}"
        )
    require_origin(origin, "enable_cors")


def _require_text(given: object) -> None:
    """Raise unless this can be a pattern."""
    if not isinstance(given, str):
        kind = type(given).__qualname__
        raise TypeError(f"enable_cors: allow_origin_regex is a str, not {kind}")


def _several(name: str, given: Any) -> list[str]:
    """Return what is given as a list, or as one text with commas."""
    if isinstance(given, str):
        return [one.strip() for one in given.split(",") if one.strip()]
    if isinstance(given, bytes) or not hasattr(given, "__iter__"):
        kind = type(given).__qualname__
        raise TypeError(f"enable_cors: {name} is a str or a list of them, not {kind}")
    several = list(given)
    for one in several:
        if not isinstance(one, str):
            kind = type(one).__qualname__
            raise TypeError(f"enable_cors: {name} is a str or a list of them: {kind} is in it")
    return several


def _names(name: str, given: Any) -> list[str]:
    """Return names of methods or headers, which are tokens (RFC 9110 section 5.6.2)."""
    names = _several(name, given)
    for one in names:
        if not one or not set(one) <= TOKEN:
            raise ValueError(f"enable_cors: {name}: {one!r} is no name that HTTP knows")
    return names

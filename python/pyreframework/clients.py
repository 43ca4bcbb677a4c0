"""What an app keeps of each client between requests, and what it does not do in a client's name.

Imported in every worker; what sessions and guards are made of is imported with the first of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from pyreframework.engine import AppTable
    from pyreframework.hooks import AnyCall
    from pyreframework.routing import Decorator
    from pyreframework.sessions import Sessions, SessionStore


class Clients:
    """The part of `Pyre` that knows clients again, and other sites apart."""

    if TYPE_CHECKING:

        def before_request[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
            """Register a hook."""
            ...

    native: AppTable
    listed: list[tuple[str, str, AnyCall, bool | None]]

    def __init__(self) -> None:
        super().__init__()
        self.has_sessions = False
        self._sessions: Sessions | None = None
        # Options of the guard, and patterns of routes that it is not for; None if there is none.
        self._guard: dict[str, str] | None = None
        self._exempt: frozenset[str] | None = None

    def sessions(
        self,
        secret: str | bytes | Iterable[str | bytes],
        *,
        cookie: str = "session",
        max_age: float | timedelta | None = 14 * 24 * 3600,
        path: str = "/",
        domain: str | None = None,
        secure: bool | None = None,
        httponly: bool = True,
        samesite: str | None = "Lax",
        store: SessionStore | None = None,
    ) -> None:
        """Give requests a session: ``req.session``, a dict that lasts between requests of a client.

        It is in a cookie that the client can read and cannot change (HMAC-SHA256), or, with a
        ``store``, on the server, and the cookie has an id. It is written when it has changed, also
        deep inside, and when half of its time is over; an empty one is deleted. An answer of 500 or
        more leaves it as it was. Answers that depend on it have ``Vary: Cookie``, those that write
        it ``Cache-Control: private`` if they say nothing else.

        Args:
            secret: At least 16 bytes that nobody else has. Of several the first one signs, and all
                verify: put a new one in front, and take the last one out once ``max_age`` is over.
            cookie: The name of the cookie.
            max_age: Seconds, or a timedelta, that a session lasts after it was written. None: until
                the browser ends, and a fortnight at most.
            path: Where the cookie is sent.
            domain: For which hosts; None means this one only.
            secure: Only over TLS. None: if the request came so, which a proxy tells by
                ``X-Forwarded-Proto``.
            httponly: Hidden from scripts.
            samesite: ``Lax``, ``Strict``, ``None``, or Python's None to leave it out.
            store: Keeps sessions on the server: a `SessionStore`.

        Raises:
            ValueError: The secret is too short, or no browser takes such a cookie.
            TypeError: A part is of another type.

        Example:
            >>> from pyreframework import Pyre
            >>> app = Pyre()
            >>> app.sessions(secret="3sTJ9Kb0S4Xq0nE5mJxw9Q")
            >>> @app.post("/visit")
            ... def visit(req):
            ...     req.session["visits"] = req.session.get("visits", 0) + 1
            ...     return {"visits": req.session["visits"]}
        """
        from pyreframework.session_options import sessions_of

        if self.has_sessions:
            raise ValueError("app.sessions() was called before: an app has one kind of sessions")
        attributes = {
            "path": path, "domain": domain, "secure": secure, "httponly": httponly,
            "samesite": samesite,
        }  # fmt: skip
        found = sessions_of(secret, cookie, max_age, attributes, store)
        self.native.set_sessions(found)
        self._sessions = found
        if found.waits:
            self.native.need_loop(True)
            # Before any hook that may read the session.
            self.native.add_before(found.fetch, first=True)
        self.has_sessions = True

    def enable_csrf(
        self,
        *,
        trusted_origins: Iterable[str] = (),
        exempt: Iterable[str] = (),
        header: str = "x-csrf-token",
        field: str = "csrf_token",
    ) -> None:
        """Refuse requests that another site has a browser send: 403, before the handler.

        That is for all methods but GET, HEAD, OPTIONS and TRACE. A browser says by
        ``Sec-Fetch-Site`` (Fetch Metadata), or else by ``Origin``, where the page comes from that
        sends the request: from this site it passes. If it says neither, and sends cookies, the
        request needs a token of the session, in a header or in a field of its form; a page has
        it as ``req.csrf_token``. On a route with ``stream_body=True`` only the header counts.
        Requests with neither, and without cookies, come from programs, and pass. Without
        `sessions` there are no tokens, and what would need one is refused.

        What is refused is logged with the reason, one every ten seconds at most.

        It is a before hook, and runs where it stands among those. Handshakes of WebSockets are GET:
        see ``allowed_origins`` of `websocket`.

        Args:
            trusted_origins: Origins whose pages may send requests, such as ``https://example.com``.
            exempt: Patterns of routes that check for themselves who asks, such as
                ``"/webhooks/{name}"``; one that no route has stops the start.
            header: Where scripts put the token.
            field: Where forms do.

        Raises:
            ValueError: What is given as an origin or a name is none, or it was called before.
            TypeError: A part is of another type.

        Example:
            >>> from pyreframework import Pyre
            >>> app = Pyre()
            >>> app.sessions(secret="3sTJ9Kb0S4Xq0nE5mJxw9Q")
            >>> app.enable_csrf(trusted_origins=["https://admin.example.com"])
        """
        if self._exempt is not None:
            raise ValueError("enable_csrf() was called before: name all that it guards at once")
        from pyreframework.csrf import Guard, require_options

        trusted, without = require_options(trusted_origins, exempt, header, field)
        self.before_request(Guard(self, trusted, without, header.lower(), field))
        self._exempt = without
        self._guard = {
            "trusted_origins": ", ".join(sorted(trusted)), "exempt": ", ".join(sorted(without)),
            "header": header.lower(), "field": field,
        }  # fmt: skip

    def require_exempt_routes(self) -> None:
        """Raise unless all patterns that are exempt are those of routes.

        Raises:
            ValueError: One is not; the text names the route that may have been meant.
        """
        if self._exempt:
            from pyreframework.csrf import require_routes

            require_routes(self._exempt, {path for _, path, _, _ in self.listed})

    def of_clients(self) -> list[tuple[str, str, str]]:
        """Return what is compared between interpreters: a call, an option and its value."""
        calls = []
        if self._guard is not None:
            calls.append(("app.enable_csrf()", self._guard))
        if self._sessions is not None:
            calls.append(("app.sessions()", self._sessions.said()))
        return [(call, name, value) for call, said in calls for name, value in said.items()]

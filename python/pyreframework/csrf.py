"""Requests that another site has a browser send, with the cookies of its user (CSRF): refused.

The browser's own word counts first, tokens only where it says nothing. Imported by
``app.enable_csrf()`` and with the first token.
"""

from __future__ import annotations

from pyreframework.engine import PyreRequest
from pyreframework.errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from pyreframework.sessions import Session

    class Remembers(Protocol):
        """The app that is guarded."""

        has_sessions: bool


# RFC 9110 section 9.2.1: these change nothing, so nobody gains from having them sent.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

SECRET_BYTES = 16

# How long nothing is logged of further requests that are refused, in each interpreter.
WARNING_S = 10.0

# How much of a reason is logged: it may have what a client has written.
SHOWN_MAX = 200


class Guard:
    """What is checked of each request."""

    def __init__(
        self,
        app: Remembers,
        trusted: frozenset[str],
        exempt: frozenset[str],
        header: str,
        field: str,
    ) -> None:
        self._app = app
        self._trusted = trusted
        self._exempt = exempt
        self._header = header
        self._field = field
        self._said_at: float | None = None

    def __call__(self, req: PyreRequest) -> None:
        """Refuse a request that another site may have made.

        Raises:
            HTTPError: 403, with the reason.
        """
        if req.method in SAFE or req.route in self._exempt:
            return
        reason = self._reason(req)
        if reason:
            self._say(req, reason)
            raise HTTPError(403, f"refused: {reason}")

    def _reason(self, req: PyreRequest) -> str:
        """Return why a request is refused; empty if it is not."""
        origin = req.header("origin")
        if origin is not None and origin.lower() in self._trusted:
            return ""
        site = req.header("sec-fetch-site")
        if site is not None:
            # Fetch Metadata, section 2.3: "none" is what the user himself has begun.
            is_ours = site in ("same-origin", "none")
            of = "" if origin is None else f" of {origin}"
            return "" if is_ours else f"the request comes from a {site} page{of}"
        if origin is not None:
            return "" if is_of_host(origin, req) else f"the request comes from a page of {origin}"
        # No browser, or one of before 2020. Without cookies nothing is done in anybody's name.
        scheme = (req.header("authorization") or "bearer").partition(" ")[0].lower()
        # Other credentials a browser adds by itself, as it does cookies.
        if req.header("cookie") is None and scheme == "bearer":
            return ""
        if not self._app.has_sessions:
            # Nobody could have a token.
            return "neither Sec-Fetch-Site nor Origin tells where the request comes from"
        if self._has_token(req):
            return ""
        return "the CSRF token is missing or not that of the session"

    def _say(self, req: PyreRequest, reason: str) -> None:
        """Log that a request is refused, not too often: pages can send as many as they like."""
        from time import monotonic

        now = monotonic()
        if self._said_at is not None and now - self._said_at < WARNING_S:
            return
        self._said_at = now
        from pyreframework.logs import records

        # What a client has written there may be anything.
        shown = ascii(reason)[1:-1]
        if len(shown) > SHOWN_MAX:
            shown = f"{shown[:SHOWN_MAX]}..."
        records.refused(f"{req.method} {req.route or 'the fallback'}", req.id, shown)

    def _has_token(self, req: PyreRequest) -> bool:
        sent = req.header(self._header)
        if sent is None and is_form(req) and req._is_whole():
            form: Any = req.form()
            sent = form.get(self._field)
        return sent is not None and is_token(sent, req.session)


def require_options(
    trusted_origins: Iterable[str], exempt: Iterable[str], header: object, field: object
) -> tuple[frozenset[str], frozenset[str]]:
    """Return origins as browsers send them, and patterns of routes.

    Raises:
        ValueError: What is given as an origin or a name is none.
        TypeError: A part is of another type.
    """
    from pyreframework.origins import require_origin

    trusted = several("trusted_origins", trusted_origins)
    for origin in trusted:
        require_origin(origin, "enable_csrf()")
    without = several("exempt", exempt)
    for path in without:
        if not path.startswith("/"):
            raise ValueError(f"enable_csrf(): exempt has no pattern of a route: {path!r}")
    for name, given in (("header", header), ("field", field)):
        if not isinstance(given, str):
            raise TypeError(f"enable_csrf(): {name} is a str, not {type(given).__qualname__}")
    # RFC 9110 section 5.6.2.
    from pyreframework.sharing import TOKEN

    if not header or not TOKEN.issuperset(str(header)):
        raise ValueError(f"enable_csrf(): header is a name that HTTP knows, not {header!r}")
    if not field:
        raise ValueError("enable_csrf(): field is empty, and names none of a form")
    return frozenset(origin.lower() for origin in trusted), frozenset(without)


def several(name: str, given: Any) -> list[str]:
    """Return what is given as a list of texts.

    Raises:
        TypeError: It is something else; a single text counts as that.
    """
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        kind = type(given).__qualname__
        raise TypeError(f"enable_csrf(): {name} must be a list of str, not {kind}")
    found = list(given)
    for one in found:
        if not isinstance(one, str):
            kind = type(one).__qualname__
            raise TypeError(f"enable_csrf(): {name} must be a list of str: {kind} is in it")
    return found


def require_routes(patterns: Iterable[str], routes: Iterable[str]) -> None:
    """Raise unless routes have all these patterns.

    Raises:
        ValueError: None has one of them.
    """
    known = sorted(routes)
    for pattern in sorted(patterns):
        if pattern not in known:
            from difflib import get_close_matches

            near = get_close_matches(pattern, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"enable_csrf(): exempt: no route has the pattern {pattern!r}{hint}")


def is_form(req: PyreRequest) -> bool:
    """Whether the body is what pages send."""
    kind = (req.header("content-type") or "").partition(";")[0].strip().lower()
    return kind in ("application/x-www-form-urlencoded", "multipart/form-data")


def is_of_host(origin: str, req: PyreRequest) -> bool:
    """Whether an origin is that of the host which the request is for (RFC 6454 section 4)."""
    scheme, mark, place = origin.partition("://")
    if not mark:
        # "null": a page that is to have no origin.
        return False
    forwarded = req._forwarded_scheme()
    if forwarded and forwarded != scheme:
        return False
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    host = req._host().lower()
    return place.removesuffix(port) == host.removesuffix(port) and bool(host)


def token(session: Session) -> str:
    """Return a token of a session, another text each time, so that it withstands BREACH."""
    from os import urandom

    from pyreframework.sessions import TOKENS, packed

    kept = secret_of(session)
    if kept is None:
        kept = urandom(SECRET_BYTES)
        session[TOKENS] = packed(kept)
    mask = urandom(SECRET_BYTES)
    return packed(mask + masked(kept, mask))


def secret_of(session: Session) -> bytes | None:
    """Return what the tokens of a session are made of, if it has that."""
    from pyreframework.sessions import TOKENS, unpacked

    kept = session.get(TOKENS)
    if not isinstance(kept, str) or not kept.isascii():
        return None
    try:
        secret = unpacked(kept)
    except ValueError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


def is_token(sent: str, session: Session) -> bool:
    """Whether this is a token of the session."""
    from hmac import compare_digest

    from pyreframework.sessions import unpacked

    secret = secret_of(session)
    if secret is None or not sent.isascii():
        return False
    try:
        raw = unpacked(sent)
    except ValueError:
        return False
    if len(raw) != 2 * SECRET_BYTES:
        return False
    mask, rest = raw[:SECRET_BYTES], raw[SECRET_BYTES:]
    return compare_digest(masked(rest, mask), secret)


def masked(data: bytes, mask: bytes) -> bytes:
    """Return the exclusive or of two rows of bytes of one length."""
    return bytes(one ^ other for one, other in zip(data, mask, strict=True))

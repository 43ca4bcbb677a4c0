"""Requests that another site has a browser send, with the cookies of its user (CSRF): refused.

The browser's own word counts first, tokens only where it says nothing. Imported by
``app.enable_csrf()`` and with the first token.
"""

from __future__ import annotations

from pyreframework.engine import PyreRequest
from pyreframework.errors import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from pyreframework.sessions import Session

    class Remembers(Protocol):
        """The app that is guarded."""

        has_sessions: bool


# RFC 9110 section 9.2.1: these change nothing, so nobody gains from having them sent.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

SECRET_BYTES = 16


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

    def __call__(self, req: PyreRequest) -> None:
        """Refuse a request that another site may have made.

        Raises:
            HTTPError: 403, with the reason.
        """
        if req.method in SAFE or req.route in self._exempt:
            return
        origin = req.header("origin")
        if origin is not None and origin in self._trusted:
            return
        site = req.header("sec-fetch-site")
        if site is not None:
            # Fetch Metadata, section 2.3: "none" is what the user himself has begun.
            if site not in ("same-origin", "none"):
                raise HTTPError(403, f"refused: the request comes from a {site} page")
            return
        if origin is not None:
            if not is_of_host(origin, req):
                raise HTTPError(403, f"refused: the request comes from a page of {origin}")
            return
        # No browser, or one of before 2020. Without cookies nothing is done in anybody's name.
        scheme = (req.header("authorization") or "bearer").partition(" ")[0].lower()
        # Other credentials a browser adds by itself, as it does cookies.
        if req.header("cookie") is None and scheme == "bearer":
            return
        if not self._app.has_sessions or not self._has_token(req):
            raise HTTPError(403, "refused: the CSRF token is missing or not that of the session")

    def _has_token(self, req: PyreRequest) -> bool:
        sent = req.header(self._header)
        if sent is None and is_form(req) and req._is_whole():
            form: Any = req.form()
            sent = form.get(self._field)
        return sent is not None and is_token(sent, req.session)


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
    from pyreframework.sessions import forwarded_scheme

    forwarded = forwarded_scheme(req)
    if forwarded and forwarded != scheme:
        return False
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    host = (req.header("host") or "").lower()
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

"""Sessions: what an app keeps of each client between requests, in a signed cookie or in a store.

The engine opens one when ``req.session`` is first read, and settles it behind the last after hook.
Imported with the first call of ``app.sessions()``.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from hmac import compare_digest, digest
from json import dumps, loads
from os import urandom
from time import time

from pyreframework.cookies import SAME_SITE, clean, set_cookie, token
from pyreframework.engine import PyreResponse
from pyreframework.handlers.signatures import is_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, Literal, Self

    from pyreframework.engine import PyreRequest

FORTNIGHT_S = 14 * 24 * 3600

# Browsers drop a cookie whose name and value are longer (RFC 6265 section 6.1 asks for as much).
COOKIE_BYTES_MAX = 4096

# A secret that is shorter can be guessed.
SECRET_BYTES_MIN = 16

# Where a session has the secret that tokens of its forms are made of.
TOKENS = "_csrf"

# Of the name of a session in a store: nobody finds another one by trying.
KEY_BYTES = 32

# How a key for signatures differs from one for anything else that is made of the same secret.
PURPOSE = b"pyreframework session v1: "
PURPOSE_OF_IDS = b"pyreframework session id v1: "


class Session(dict[str, "Any"]):
    """What is kept of one client: a dict, written if it has changed once the answer is made.

    Values are what JSON has. Read it as ``req.session``. Once the head of the answer is made, as in
    a generator that makes its body, it can only be read: changing it raises RuntimeError.
    """

    __slots__ = ("_is_closed", "_is_renewed", "_key", "_read_as", "_signed_at")

    def __init__(self, is_closed: bool = False) -> None:
        super().__init__()
        # The text that it was read from; None if the client has none.
        self._read_as: str | None = None
        self._signed_at = 0.0
        # Its name in a store.
        self._key: str | None = None
        self._is_renewed = False
        self._is_closed = is_closed

    @property
    def is_new(self) -> bool:
        """Whether the client has sent none, or none that is valid."""
        return self._read_as is None

    def renew(self) -> None:
        """Have it written under a new id; do so when a user logs in or out.

        An id that somebody else has planted in the browser before is worth nothing then (session
        fixation). In a cookie without a store it is signed anew, and there is no id.
        """
        self._require_open()
        self._is_renewed = True
        # Whoever has planted a session knows its tokens.
        super().pop(TOKENS, None)

    def _require_open(self) -> None:
        if self._is_closed:
            raise RuntimeError(
                "the head of the answer has been made, and a change of the session would be lost: "
                "change it before, as in the handler that returns a generator"
            )

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep something under a name."""
        self._require_open()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        """Forget a name."""
        self._require_open()
        super().__delitem__(key)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        """Keep all of these."""
        self._require_open()
        super().update(other)
        return self

    def clear(self) -> None:
        """Forget all; the cookie is deleted."""
        self._require_open()
        super().clear()

    def pop(self, *given: Any) -> Any:
        """Forget a name, and return what was kept under it."""
        self._require_open()
        return super().pop(*given)

    def popitem(self) -> tuple[str, Any]:
        """Forget what was kept last, and return it."""
        self._require_open()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        """Return what is kept under a name, after keeping this if there is nothing."""
        self._require_open()
        return super().setdefault(key, default)

    def update(self, *given: Any, **more: Any) -> None:
        """Keep all of these."""
        self._require_open()
        super().update(*given, **more)


class SessionStore:
    """Where sessions are kept on the server; the cookie has an id alone then.

    Methods may be ``async def``, all or none. Ids are 43 characters, made of 256 random bits.
    """

    def load(
        self, key: str
    ) -> Mapping[str, object] | Awaitable[Mapping[str, object] | None] | None:
        """Return what is kept under an id, or None."""
        raise NotImplementedError

    def save(self, key: str, data: dict[str, object], max_age: float) -> Awaitable[None] | None:
        """Keep this under an id, for so many seconds."""
        raise NotImplementedError

    def delete(self, key: str) -> Awaitable[None] | None:
        """Forget an id; nothing happens if it is not there."""
        raise NotImplementedError


class Sessions:
    """The sessions of one app: how they are read, and how they are written."""

    def __init__(
        self,
        keys: list[bytes],
        cookie: str,
        max_age: float | None,
        attributes: dict[str, Any],
        store: SessionStore | None,
    ) -> None:
        self._keys = keys
        self._cookie = cookie
        self._max_age = max_age
        # How long a signature is good.
        self._lasts = FORTNIGHT_S if max_age is None else max_age
        self._attributes = attributes
        self._store = store
        self.waits = store is not None and is_async(store.load)

    def open(self, cookies: dict[str, str], is_late: bool) -> Session:
        """Return the session of a client; an empty one if its cookie is none of ours.

        Raises:
            RuntimeError: The head of the answer is made, and does not say that it depends on it.
        """
        if is_late:
            raise RuntimeError(
                "the head of the answer has been made without the session: read req.session "
                "before, in the handler that returns a generator or leaves a task, or in a hook"
            )
        session = Session()
        text = self._verified(session, cookies)
        if text is not None and self._store is None:
            self._fill(session, text)
        elif text is not None:
            session._key = text
            assert self._store is not None
            if not self.waits:
                loaded: Any = self._store.load(text)
                self._take(session, loaded)
        return session

    async def fetch(self, req: PyreRequest) -> None:
        """Fill the session of a request from a store whose methods are coroutines."""
        if self._cookie not in req.cookies:
            return
        session = req.session
        if session._key is not None:
            assert self._store is not None
            loaded: Any = self._store.load(session._key)
            self._take(session, await loaded)

    def _verified(self, session: Session, cookies: dict[str, str]) -> str | None:
        """Return what the cookie says, if we have signed it and its time is not over."""
        value = cookies.get(self._cookie)
        if value is None or len(value) > COOKIE_BYTES_MAX or not value.isascii():
            return None
        signed, dot, signature = value.rpartition(".")
        payload, point, stamp = signed.rpartition(".")
        if not (dot and point) or not self._is_signed(signed, signature):
            return None
        session._signed_at = int(stamp, 16)
        if time() - session._signed_at > self._lasts:
            return None
        return unpacked(payload).decode()

    def _is_signed(self, signed: str, signature: str) -> bool:
        return any(compare_digest(sign(key, signed), signature) for key in self._keys)

    def _fill(self, session: Session, text: str) -> None:
        try:
            kept = loads(text)
        except ValueError:
            return
        if isinstance(kept, dict):
            session.update(kept)
            session._read_as = text

    def _take(self, session: Session, loaded: Mapping[str, object] | None) -> None:
        if loaded is None:
            # It was deleted, or its time is over: the id is not used again.
            session._key = None
            return
        session.update(loaded)
        session._read_as = written(session)

    def settle(self, req: PyreRequest, resp: PyreResponse) -> Any:
        """Return the answer with what has become of the session; awaited if the store is async.

        An answer of 500 or more leaves the session as it was: its handler did not get to the end.
        """
        session = req.session
        text = written(session)
        session._is_closed = True
        # 499: its client has gone, and the handler was ended.
        is_failure = resp.status_code >= 499
        is_changed = text != session._read_as and not (session.is_new and not session)
        if is_failure or not (is_changed or session._is_renewed or self._is_aged(session, time())):
            return with_headers(resp, is_private=False)
        if self._store is None:
            return self._answer(req, resp, text if session else None)
        return self._settle_stored(req, resp, session)

    def _is_aged(self, session: Session, now: float) -> bool:
        """Whether half of its time is over: it is written again then, so that it lasts."""
        return not session.is_new and now - session._signed_at > self._lasts / 2

    def _settle_stored(self, req: PyreRequest, resp: PyreResponse, session: Session) -> Any:
        assert self._store is not None
        before = session._key
        key = before
        if session and (key is None or session._is_renewed):
            key = packed(urandom(KEY_BYTES))
        answer = self._answer(req, resp, key if session else None)
        steps: list[tuple[Any, ...]] = []
        if session and key is not None:
            steps.append((self._store.save, key, dict(session), self._lasts))
        if before is not None and (not session or key != before):
            steps.append((self._store.delete, before))
        # Another request of the client may have deleted it meanwhile, as a logout does.
        is_there = (self._store.load, before) if session and before is not None else None
        if not self.waits:
            if is_there is not None and is_there[0](is_there[1]) is None:
                return with_headers(resp, is_private=False)
            for call, *given in steps:
                call(*given)
            return answer

        async def wait() -> PyreResponse:
            if is_there is not None:
                loaded: Any = is_there[0](is_there[1])
                if await loaded is None:
                    return with_headers(resp, is_private=False)
            for call, *given in steps:
                await call(*given)
            return answer

        return wait()

    def _answer(self, req: PyreRequest, resp: PyreResponse, text: str | None) -> PyreResponse:
        """Return a copy of the answer that sets the cookie, or deletes it.

        Raises:
            ValueError: It would be longer than browsers keep.
        """
        attributes = self._attributes
        if attributes["secure"] is None:
            attributes = {**attributes, "secure": came_over_tls(req)}
        resp = with_headers(resp, is_private=True)
        if text is None:
            return set_cookie(resp, self._cookie, "", max_age=0, expires=0, **attributes)
        signed = f"{packed(text.encode())}.{int(time()):x}"
        value = f"{signed}.{sign(self._keys[0], signed)}"
        taken = len(self._cookie) + len(value)
        if taken > COOKIE_BYTES_MAX:
            raise ValueError(
                f"the session takes {taken:,} bytes as a cookie, of which browsers keep "
                f"{COOKIE_BYTES_MAX:,}: put less into it, or keep it on the server with store="
            )
        max_age = None if self._max_age is None else int(self._max_age)
        return set_cookie(resp, self._cookie, value, max_age=max_age, **attributes)


def sessions_of(
    secret: str | bytes | Iterable[str | bytes],
    cookie: str,
    max_age: float | timedelta | None,
    attributes: dict[str, Any],
    store: SessionStore | Literal["state"] | None,
) -> Sessions:
    """Return the sessions that an app asks for.

    Raises:
        ValueError: A part cannot be; the text says which, and what to do.
        TypeError: A part is of another type.
    """
    token(cookie)
    for name in ("path", "domain"):
        if attributes[name] is not None:
            clean(attributes[name], name)
    require_attributes(cookie, attributes)
    if max_age is not None:
        seconds = getattr(max_age, "total_seconds", None)
        max_age = seconds() if seconds is not None else max_age
        if isinstance(max_age, bool) or not isinstance(max_age, (int, float)):
            kind = type(max_age).__qualname__
            raise TypeError(f"max_age must be seconds, a timedelta or None, not {kind}")
        if not 1 <= max_age <= 2**31:
            raise ValueError(
                f"max_age must be 1 second or more, and 68 years at most, not {max_age}"
            )
    if store == "state":
        raise ValueError('store="state" is not there yet: give a SessionStore of your own')
    methods = [getattr(store, name, None) for name in ("load", "save", "delete")]
    if store is not None and not all(map(callable, methods)):
        kind = type(store).__qualname__
        raise TypeError(f"store must have load, save and delete as SessionStore, not {kind}")
    if store is not None and len({is_async(method) for method in methods}) > 1:
        raise TypeError("the methods of a store are async def functions all, or none is")
    # What one of them has signed says nothing to the other.
    purpose = PURPOSE if store is None else PURPOSE_OF_IDS
    return Sessions(keys_of(secret, purpose + cookie.encode()), cookie, max_age, attributes, store)


def require_attributes(cookie: str, attributes: dict[str, Any]) -> None:
    """Raise unless browsers take a cookie with these attributes (RFC 6265bis section 5.7)."""
    secure, same_site = attributes["secure"], attributes["samesite"]
    if same_site is not None and str(same_site).lower() not in SAME_SITE:
        raise ValueError(f"samesite must be Lax, Strict or None, not {same_site!r}")
    if str(same_site).lower() == "none" and same_site is not None and not secure:
        raise ValueError('browsers take samesite="None" with secure=True alone')
    prefix = cookie.lower().partition("-")[0]
    if prefix in ("__secure", "__host") and not secure:
        raise ValueError(f"browsers take a cookie named {cookie!r} with secure=True alone")
    is_bound = attributes["path"] == "/" and attributes["domain"] is None
    if prefix == "__host" and not is_bound:
        raise ValueError(f'browsers take a cookie named {cookie!r} with path="/" and no domain')


def keys_of(secret: str | bytes | Iterable[str | bytes], purpose: bytes) -> list[bytes]:
    """Return the keys that are made of secrets for a purpose: the first one signs.

    Raises:
        ValueError: There is none, or one is too short.
        TypeError: One is of another type.
    """
    secrets = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    if not secrets:
        raise ValueError("app.sessions() needs a secret")
    keys = []
    for one in secrets:
        if not isinstance(one, (str, bytes)):
            raise TypeError(f"a secret must be str or bytes, not {type(one).__qualname__}")
        raw = one.encode() if isinstance(one, str) else one
        if len(raw) < SECRET_BYTES_MIN:
            raise ValueError(
                f"a secret must have {SECRET_BYTES_MIN} bytes or more, not {len(raw)}; make one "
                "with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        keys.append(digest(raw, purpose, "sha256"))
    return keys


def written(session: Session) -> str:
    """Return the text of a session.

    Raises:
        TypeError: It holds what JSON has not; the text says where.
        ValueError: It holds a number that JSON has not, or itself.
    """
    try:
        return dumps(session, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        for key, value in session.items():
            try:
                dumps({key: value}, allow_nan=False)
            except (TypeError, ValueError, RecursionError):
                raise type(error)(f"req.session[{key!r}] cannot be kept: {error}") from None
        raise


def sign(key: bytes, signed: str) -> str:
    """Return the signature of a text (RFC 2104, HMAC-SHA256)."""
    return packed(digest(key, signed.encode(), "sha256"))


def packed(data: bytes) -> str:
    """Return bytes as base64url without padding (RFC 4648 section 5)."""
    text = b2a_base64(data, newline=False).translate(TO_URL, b"=")
    return text.decode()


def unpacked(text: str) -> bytes:
    """Return the bytes of what `packed` made."""
    return a2b_base64(text.encode().translate(FROM_URL) + b"=" * (-len(text) % 4))


TO_URL = bytes.maketrans(b"+/", b"-_")
FROM_URL = bytes.maketrans(b"-_", b"+/")


def came_over_tls(req: PyreRequest) -> bool:
    """Whether a request came over TLS, as far as is known; a proxy in front says so.

    Who claims it without a reason gets a cookie that his browser does not send here any more.
    """
    return req.scheme == "https" or req._forwarded_scheme() == "https"


def with_headers(resp: PyreResponse, is_private: bool) -> PyreResponse:
    """Return a copy of an answer that depends on cookies (RFC 9110 section 12.5.5).

    One that is private is for no cache that others share (RFC 9111 section 5.2.2.7), unless its
    handler has said that it is.
    """
    headers: dict[str, str | list[str]] = dict(resp.headers.items())
    known = {name.lower(): name for name in headers}
    vary = headers.get(known.get("vary", ""), [])
    lines = [vary] if isinstance(vary, str) else vary
    members = {one.strip().lower() for line in lines for one in line.split(",")}
    if not members & {"*", "cookie"}:
        headers[known.get("vary", "Vary")] = ", ".join([*lines, "Cookie"])
    if is_private:
        said = headers.get(known.get("cache-control", ""), [])
        lines = [said] if isinstance(said, str) else said
        words = {one.strip().lower() for line in lines for one in line.split(",")}
        if not words & {"public", "private", "no-store"}:
            headers[known.get("cache-control", "Cache-Control")] = ", ".join([*lines, "private"])
    return PyreResponse(
        resp.body, status_code=resp.status_code, content_type=resp.content_type, headers=headers
    )

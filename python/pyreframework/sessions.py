"""Sessions: what an app keeps of each client between requests, in a signed cookie or in a store.

The engine opens one when ``req.session`` is first read, and settles it once the answer is ready:
when the last after hook has returned, the answer is encoded, and a body in pieces has its first.
Imported with the first call of ``app.sessions()``.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from contextlib import suppress
from hmac import compare_digest, digest
from json import dumps, loads
from os import urandom
from time import time

from pyreframework.cookies import cookie_line
from pyreframework.handlers.signatures import is_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from typing import Any, Self

    from pyreframework.engine import PyreRequest

FORTNIGHT_S = 14 * 24 * 3600

# Browsers drop a cookie whose name and value are longer (RFC 6265 section 6.1 asks for as much).
COOKIE_BYTES_MAX = 4096

# Where a session has the secret that tokens of its forms are made of.
TOKENS = "_csrf"

# Of the name of a session in a store: nobody finds another one by trying.
KEY_BYTES = 32

# Clocks of hosts that share a secret differ; a time that is further ahead is none of ours.
SKEW_S = 60

# What is made of a key to tell whether others have the same, and says nothing else of it.
COMPARISON = b"pyreframework session comparison v1"


class Session(dict[str, "Any"]):
    """What is kept of one client: a dict, written if it has changed once the answer is made.

    Values are what JSON has. Read it as ``req.session``. Once the head of the answer is made, as in
    a generator that makes its body, it can only be read: changing it raises RuntimeError.
    """

    __slots__ = (
        "_data", "_is_closed", "_is_renewed", "_is_to_write", "_key", "_line", "_read_as",
        "_signed_at", "_write_as",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        # The text that it was read from; None if the client has none.
        self._read_as: str | None = None
        self._signed_at = 0.0
        # Its name in a store.
        self._key: str | None = None
        self._is_renewed = False
        # What it was closed with: whether it is to be written, as what, under which name in a
        # store, and with which cookie.
        self._is_closed = False
        self._is_to_write = False
        self._data = ""
        self._write_as: str | None = None
        self._line = ""

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

    def said(self) -> dict[str, str]:
        """Return by what other interpreters know that theirs are the same; no key is in it."""
        from pyreframework.program.outline import key

        store = "None" if self._store is None else key(type(self._store))
        attributes = {name: str(value) for name, value in self._attributes.items()}
        secret = ", ".join(digest(one, COMPARISON, "sha256").hex() for one in self._keys)
        options = {"cookie": self._cookie, "max_age": str(self._max_age), **attributes}
        return {**options, "store": store, "secret": secret}

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
        if not -SKEW_S <= time() - session._signed_at <= self._lasts:
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
        session.update(own_copy(loaded, type(self._store).__qualname__))
        session._read_as = written(session)

    def close(self, req: PyreRequest) -> None:
        """Have what the session is now be what is kept of it: from here on it can only be read.

        Raises:
            TypeError: It holds what JSON has not.
            ValueError: It does too, or the cookie would be longer than browsers keep.
        """
        session = req.session
        session._is_closed = True
        text = written(session)
        is_changed = text != session._read_as and not (session.is_new and not session)
        if is_changed or session._is_renewed or self._is_aged(session, time()):
            if self._store is None:
                session._line = self._line(req, text if session else None)
            else:
                self._close_stored(req, session, text)
            session._is_to_write = True

    def reopen(self, req: PyreRequest) -> None:
        """Let it be changed again: the answer that it was closed for is not the answer."""
        session = req.session
        session._is_closed = session._is_to_write = False

    def settle(self, req: PyreRequest, status: int) -> Any:
        """Write what has become of the session, if the answer has not failed; nothing fails after.

        Returns the text of the ``Set-Cookie`` that the answer is to have, or None; awaited if the
        store is async. An answer of 500 or more leaves the session as it was: its handler did not
        get to the end.

        Raises:
            TypeError: As `close`.
            ValueError: As `close`.
        """
        session = req.session
        # 499: its client has gone, and the handler was ended.
        if status >= 499:
            session._is_closed = True
            return None
        if not session._is_closed:
            self.close(req)
        if not session._is_to_write:
            return None
        if self._store is None:
            return session._line
        return self._settle_stored(session)

    def _is_aged(self, session: Session, now: float) -> bool:
        """Whether half of its time is over: it is written again then, so that it lasts."""
        return not session.is_new and now - session._signed_at > self._lasts / 2

    def _close_stored(self, req: PyreRequest, session: Session, text: str) -> None:
        before = session._key
        session._write_as = before
        if not session:
            session._write_as = None
        elif before is None or session._is_renewed:
            session._write_as = packed(urandom(KEY_BYTES))
        session._data = text
        session._line = self._line(req, session._write_as)

    def _settle_stored(self, session: Session) -> Any:
        assert self._store is not None
        before, key = session._key, session._write_as
        steps: list[tuple[Any, ...]] = []
        if key is not None:
            # A copy down to its leaves: the code of a body that has begun may have changed these.
            steps.append((self._store.save, key, loads(session._data), self._lasts))
        if before is not None and key != before:
            steps.append((self._store.delete, before))
        # Another request of the client may have deleted it meanwhile, as a logout does.
        is_there = (self._store.load, before) if key is not None and before is not None else None
        if not self.waits:
            if is_there is not None and is_there[0](is_there[1]) is None:
                return None
            try:
                for call, *given in steps:
                    call(*given)
            except Exception:
                # Nobody knows what has been saved under another id.
                if key != before and key is not None:
                    with suppress(Exception):
                        self._store.delete(key)
                raise
            return session._line

        forget: Any = self._store.delete

        async def wait() -> str | None:
            if is_there is not None:
                loaded: Any = is_there[0](is_there[1])
                if await loaded is None:
                    return None
            try:
                for call, *given in steps:
                    await call(*given)
            except Exception:
                if key != before and key is not None:
                    with suppress(Exception):
                        await forget(key)
                raise
            return session._line

        return wait()

    def _line(self, req: PyreRequest, text: str | None) -> str:
        """Return the ``Set-Cookie`` that sends this, or that deletes the cookie.

        Raises:
            ValueError: It would be longer than browsers keep.
        """
        attributes = self._attributes
        if attributes["secure"] is None:
            attributes = {**attributes, "secure": came_over_tls(req)}
        if text is None:
            return cookie_line(self._cookie, "", max_age=0, expires=0, **attributes)
        signed = f"{packed(text.encode())}.{int(time()):x}"
        value = f"{signed}.{sign(self._keys[0], signed)}"
        taken = len(self._cookie) + len(value)
        if taken > COOKIE_BYTES_MAX:
            raise ValueError(
                f"the session takes {taken:,} bytes as a cookie, of which browsers keep "
                f"{COOKIE_BYTES_MAX:,}: put less into it, or keep it on the server with store="
            )
        max_age = None if self._max_age is None else int(self._max_age)
        return cookie_line(self._cookie, value, max_age=max_age, **attributes)


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


def own_copy(loaded: Any, store: str) -> dict[str, Any]:
    """Return what a store has loaded, for one request alone: the store may have kept it.

    Raises:
        TypeError: It is no session; the text names the class of the store.
    """
    if not isinstance(loaded, dict) and not hasattr(loaded, "keys"):
        kind = type(loaded).__qualname__
        raise TypeError(f"{store}.load() returned a {kind}: it returns a dict, or None")
    found = {name: copied(value) for name, value in dict(loaded).items()}
    for name in found:
        if not isinstance(name, str):
            kind = type(name).__qualname__
            raise TypeError(f"{store}.load() returned a dict with a key of {kind}: keys are str")
    return found


def copied(value: Any) -> Any:
    """Return a copy down to the leaves of what JSON has."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in value.items()}
    if isinstance(value, list):
        return [copied(one) for one in value]
    return value


def came_over_tls(req: PyreRequest) -> bool:
    """Whether a request came over TLS, as far as is known; a proxy in front says so.

    Who claims it without a reason gets a cookie that his browser does not send here any more.
    """
    return req.scheme == "https" or req._forwarded_scheme() == "https"

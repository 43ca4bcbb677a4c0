"""What sessions are made of: the options of ``app.sessions()``, checked.

Imported with the first call of it.
"""

from __future__ import annotations

from hmac import digest

from pyreframework.cookies import SAME_SITE, clean, token
from pyreframework.handlers.signatures import is_async
from pyreframework.sessions import COOKIE_BYTES_MAX, Sessions, SessionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Any


# A secret that is shorter can be guessed.
SECRET_BYTES_MIN = 16

# What the value of a cookie has at least: the id of a session in a store, time and signature.
VALUE_BYTES_MIN = 128

# How a key for signatures differs from one for anything else that is made of the same secret.
PURPOSE = b"pyreframework session v1: "
PURPOSE_OF_IDS = b"pyreframework session id v1: "

# Of these one is a secret that is written otherwise, and no list of secrets.
BYTES = (bytes, bytearray, memoryview)

HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def sessions_of(
    secret: str | bytes | Iterable[str | bytes],
    cookie: str,
    max_age: float | timedelta | None,
    attributes: dict[str, Any],
    store: Any,
) -> Sessions:
    """Return the sessions that an app asks for.

    Raises:
        ValueError: A part cannot be; the text says which, and what to do.
        TypeError: A part is of another type.
    """
    if len(token(cookie)) + VALUE_BYTES_MIN > COOKIE_BYTES_MAX:
        raise ValueError(
            f"browsers keep no such cookie: its name takes {len(cookie):,} of the "
            f"{COOKIE_BYTES_MAX:,} bytes that browsers keep of name and value"
        )
    require_place(attributes["path"], attributes["domain"])
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
    if isinstance(store, type):
        name = store.__qualname__
        raise TypeError(f"store is the class {name}: give one that was made of it, {name}(...)")
    methods = [getattr(store, name, None) for name in ("load", "save", "delete")]
    if store is not None and not all(map(callable, methods)):
        kind = type(store).__qualname__
        raise TypeError(f"store must have load, save and delete as SessionStore, not {kind}")
    for name in ("load", "save", "delete"):
        if store is not None and getattr(type(store), name, None) is getattr(SessionStore, name):
            kind = type(store).__qualname__
            raise TypeError(f"{kind} has no {name}() of its own: a store needs it")
    if store is not None and len({is_async(method) for method in methods}) > 1:
        raise TypeError("the methods of a store are async def functions all, or none is")
    # What one of them has signed says nothing to the other.
    purpose = PURPOSE if store is None else PURPOSE_OF_IDS
    return Sessions(keys_of(secret, purpose + cookie.encode()), cookie, max_age, attributes, store)


def require_place(path: str | None, domain: str | None) -> None:
    """Raise unless this is where a cookie can be sent (RFC 6265 sections 4.1.2.3 and 4.1.2.4)."""
    if path is not None:
        if not clean(path, "path").startswith("/"):
            raise ValueError(f"path must begin with '/': {'/' + path!r}")
        if not path.isascii() or " " in path:
            # Browsers compare it with that of the URL as it is sent.
            from urllib.parse import quote

            escaped = quote(path, safe="/%")
            raise ValueError(f"path must be as in a URL, percent-encoded: {escaped!r}")
    if domain is not None:
        if not clean(domain, "domain").isascii():
            raise ValueError(f"domain must be as DNS has it (xn--), not {domain!r}")
        labels = domain.removeprefix(".").lower().split(".")
        if not all(label and HOST.issuperset(label) for label in labels):
            raise ValueError(
                f"domain must be the name of a host, such as example.com, not {domain!r}"
            )


def require_attributes(cookie: str, attributes: dict[str, Any]) -> None:
    """Raise unless browsers take a cookie with these attributes (RFC 6265bis section 5.7)."""
    secure, same_site = attributes["secure"], attributes["samesite"]
    if secure is not None and not isinstance(secure, bool):
        raise TypeError(f"secure must be True, False or None, not {secure!r}")
    if not isinstance(attributes["httponly"], bool):
        raise TypeError(f"httponly must be True or False, not {attributes['httponly']!r}")
    if same_site is not None and str(same_site).lower() not in SAME_SITE:
        raise ValueError(f"samesite must be Lax, Strict or None, not {same_site!r}")
    if str(same_site).lower() == "none" and same_site is not None and not secure:
        raise ValueError('browsers take samesite="None" only with secure=True')
    prefix = cookie.lower().partition("-")[0]
    if prefix in ("__secure", "__host") and not secure:
        raise ValueError(f"browsers take a cookie named {cookie!r} only with secure=True")
    is_bound = attributes["path"] == "/" and attributes["domain"] is None
    if prefix == "__host" and not is_bound:
        raise ValueError(f'browsers take a cookie named {cookie!r} with path="/" and no domain')


def keys_of(secret: str | bytes | Iterable[str | bytes], purpose: bytes) -> list[bytes]:
    """Return the keys that are made of secrets for a purpose: the first one signs.

    Raises:
        ValueError: There is none, or one is too short.
        TypeError: One is of another type.
    """
    if isinstance(secret, (set, frozenset, dict)):
        kind = type(secret).__qualname__
        raise TypeError(f"of several secrets the first one signs: give a list, not {kind}")
    is_one = not hasattr(secret, "__iter__") or isinstance(secret, (str, *BYTES))
    secrets: list[Any] = [secret] if is_one else list(secret)
    if not secrets:
        raise ValueError("app.sessions() needs a secret")
    keys = []
    for one in secrets:
        if not isinstance(one, (str, bytes)):
            what = f"a secret must be str or bytes, not {type(one).__qualname__}"
            if one is None:
                what += ": is the variable of the environment set that it comes from?"
            elif isinstance(one, BYTES):
                what += ": give bytes(secret)"
            raise TypeError(what)
        raw = one.encode() if isinstance(one, str) else one
        if len(raw) < SECRET_BYTES_MIN:
            raise ValueError(
                f"a secret must have {SECRET_BYTES_MIN} bytes or more, not {len(raw)}; make one "
                "with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        keys.append(digest(raw, purpose, "sha256"))
    return keys

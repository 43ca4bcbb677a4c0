"""Cookies: read them from a request, set and delete them on a response (RFC 6265).

The readers need no more than ``.headers`` of a request. The writers return a new response and leave
the one they were given alone. Imported in every worker, so it imports nothing but the engine.

On the wire cookies are UTF-8. Headers are Latin-1 texts here as everywhere, so that of a cookie is
those bytes as such a text (`wire_text`); the engine has the rule by which it is read.
"""

from __future__ import annotations

from pyreframework.engine import PyreResponse, cookie_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import Any, Protocol

    class HasHeaders(Protocol):
        """Anything with headers by lower-case name, such as a `PyreRequest`."""

        @property
        def headers(self) -> Mapping[str, str]:
            """Values by lower-case name."""
            ...


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
# RFC 9110 section 5.6.2: what a token may not hold, besides controls and what is not ASCII.
SEPARATORS = frozenset('()<>@,;:\\"/[]?={} \t')


def get_cookies(req: HasHeaders) -> dict[str, str]:
    """Return the cookies of a request by name.

    The first of several cookies of one name is kept, as clients send the most specific path first
    (RFC 6265 section 5.4). Quotes around a value are taken off. Names and values are UTF-8, or else
    Latin-1; nothing more is decoded. It is what ``req.cookies`` has.

    Example:
        >>> class Request:
        ...     headers = {"cookie": 'theme=dark; id="a b"'}
        >>> get_cookies(Request())
        {'theme': 'dark', 'id': 'a b'}
    """
    found: dict[str, str] = {}
    for pair in req.headers.get("cookie", "").split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip(" \t")
        if not equals or not name:
            continue
        value = value.strip(" \t")
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        found.setdefault(real_text(name), real_text(value))
    return found


def real_text(text: str) -> str:
    r"""Return what a part of a header means that holds cookies.

    Example:
        >>> real_text("J\xc3\xbcrgen"), real_text("J\xfcrgen")
        ('Jürgen', 'Jürgen')
    """
    if text.isascii():
        return text
    try:
        return cookie_text(text.encode("latin-1"))
    except UnicodeEncodeError:
        return text  # It is none from the wire.


def wire_text(text: str) -> str:
    """Return the text of a header that sends ``text`` as UTF-8.

    Raises:
        ValueError: It holds half of a surrogate pair, for which UTF-8 has nothing.
    """
    try:
        return text.encode().decode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"a cookie must not hold half of a surrogate pair: {text!r}") from None


def get_cookie(req: HasHeaders, name: str, default: str | None = None) -> str | None:
    """Return one cookie of a request, or ``default`` if it was not sent."""
    return get_cookies(req).get(name, default)


def set_cookie(
    resp: PyreResponse,
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
) -> PyreResponse:
    """Return a new response that also sets a cookie; cookies set before are kept.

    In its headers ``Set-Cookie`` is a text while there is one cookie, a list from the second on;
    what is not ASCII stands there as the Latin-1 text of its UTF-8, as the wire has it.

    Args:
        resp: The response to add to.
        name: A token: no spaces, no separators.
        value: Must not hold a control character, ``;`` or ``,``. Sent as UTF-8.
        max_age: Seconds the cookie lives; 0 or less deletes it at once.
        expires: When it ends: a ``datetime`` (UTC if it has no zone), seconds since 1970, or the
            text to send.
        path: Where it is sent; None leaves it to the client.
        domain: For which hosts; None means this one only.
        secure: Only over TLS.
        httponly: Hidden from scripts.
        samesite: ``Lax``, ``Strict``, ``None``, or Python's None to leave it out.

    Raises:
        ValueError: A part holds a character it must not hold.
        TypeError: A part is of another type.

    Example:
        >>> resp = set_cookie(PyreResponse("hello"), "theme", "dark", max_age=60)
        >>> resp.headers["Set-Cookie"]
        'theme=dark; Max-Age=60; Path=/; SameSite=Lax'
    """
    line = cookie_line(
        name,
        value,
        max_age=max_age,
        expires=expires,
        path=path,
        domain=domain,
        secure=secure,
        httponly=httponly,
        samesite=samesite,
    )
    return with_cookie(resp, line)


def cookie_line(
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
) -> str:
    """Return the value of the ``Set-Cookie`` that `set_cookie` adds.

    Raises:
        ValueError: A part holds a character it must not hold.
        TypeError: A part is of another type.
    """
    parts = [f"{token(name)}={clean(value, 'value')}"]
    if max_age is not None:
        try:
            parts.append(f"Max-Age={int(max_age)}")
        except TypeError:
            kind = type(max_age).__name__
            raise TypeError(f"max_age must be a number of seconds, not {kind}") from None
    if expires is not None:
        parts.append(f"Expires={moment(expires)}")
    if domain:
        parts.append(f"Domain={clean(domain, 'domain')}")
    if path:
        parts.append(f"Path={clean(path, 'path')}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        if not isinstance(samesite, str):
            raise TypeError(f"samesite must be a str or None, not {type(samesite).__name__}")
        if samesite.lower() not in SAME_SITE:
            raise ValueError(f"samesite must be Lax, Strict or None, not {samesite!r}")
        parts.append(f"SameSite={SAME_SITE[samesite.lower()]}")
    return wire_text("; ".join(parts))


def delete_cookie(
    resp: PyreResponse,
    name: str,
    *,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: str | None = "Lax",
) -> PyreResponse:
    """Return a new response that makes the client forget a cookie.

    The client finds the cookie by name, path and domain, so these must be those it was set with.

    Raises:
        ValueError: A part holds a character it must not hold.
    """
    return set_cookie(
        resp,
        name,
        "",
        max_age=0,
        expires=0,
        path=path,
        domain=domain,
        secure=secure,
        httponly=httponly,
        samesite=samesite,
    )


def with_cookie(resp: PyreResponse, line: str) -> PyreResponse:
    """Return a copy of a response with one more ``Set-Cookie`` header.

    While it is the only one it is a text, which programs search with ``in``.
    """
    headers: dict[str, str | list[str]] = {}
    lines: list[str] = []
    for name, value in resp.headers.items():
        if name.lower() == "set-cookie":
            lines += [value] if isinstance(value, str) else value
        else:
            headers[name] = value
    headers["Set-Cookie"] = [*lines, line] if lines else line
    copy = PyreResponse(
        resp.body, status_code=resp.status_code, content_type=resp.content_type, headers=headers
    )
    copy._length = resp._length
    return copy


def put(
    resp: PyreResponse,
    write: Callable[..., PyreResponse],
    values: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    """Add to a response what a function above would to a new one; the engine's methods call it."""
    line = write(PyreResponse(), *values, **keywords).headers["Set-Cookie"]
    assert isinstance(line, str), "the only cookie is a text"
    before = resp.headers.get("Set-Cookie", [])
    lines = [before] if isinstance(before, str) else before
    resp.headers["Set-Cookie"] = [*lines, line] if lines else line


def token(name: str) -> str:
    """Return a cookie's name if it is one (RFC 6265 section 4.1.1)."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a cookie must be a str, not {type(name).__name__}")
    if not name or not all("!" <= char <= "~" and char not in SEPARATORS for char in name):
        raise ValueError(f"{name!r} cannot be the name of a cookie")
    return name


def clean(text: str, part: str) -> str:
    """Return ``text`` if it cannot be mistaken for more than one part of a cookie."""
    if not isinstance(text, str):
        raise TypeError(f"the {part} of a cookie must be a str, not {type(text).__name__}")
    if any(char < " " or char in ";,\x7f" for char in text):
        raise ValueError(f"the {part} of a cookie must not hold controls, ';' or ',': {text!r}")
    return text


def moment(when: datetime | float | str) -> str:
    """Return a time as clients want it: ``Wed, 21 Oct 2015 07:28:00 GMT``."""
    if isinstance(when, str):
        if any(char < " " or char in ";\x7f" for char in when):
            raise ValueError(f"expires must not hold controls or ';': {when!r}")
        return when
    if isinstance(when, (int, float)):
        seconds = float(when)
    else:
        from datetime import UTC

        if not hasattr(when, "timestamp"):
            kind = type(when).__name__
            raise TypeError(f"expires must be a datetime, a number or a str, not {kind}")
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    from time import gmtime

    at = gmtime(seconds)
    return (
        f"{DAYS[at.tm_wday]}, {at.tm_mday:02} {MONTHS[at.tm_mon - 1]} {at.tm_year} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    )

"""Where a request goes: paths as tests write them, and the targets of redirects."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from pyreframework.testing.bodies import Pairs, query

# RFC 3986 section 2.2, and the percent sign of what is escaped already.
KEPT = "!#$%&'()*+,/:;=?@[]~"


def target(base: str, path: str, params: Pairs | str | None = None) -> str:
    """Return what stands in the request line for a path.

    Args:
        base: The address of the server, without a path.
        path: A path, with a query or without, or a whole address of this server. What cannot stand
            in an address is escaped; ``..`` and ``//`` stay as they are.
        params: Appended to the query.

    Raises:
        TypeError: The path is no text.
        ValueError: The address is that of another server.

    Example:
        >>> target("http://127.0.0.1:80", "/a b?x=1", {"y": [2, 3]})
        '/a%20b?x=1&y=2&y=3'
    """
    require_text(path)
    if path == "*":
        return path  # OPTIONS of the server itself, RFC 9112 section 3.2.4.
    if not path.startswith("/") and "://" in path.partition("?")[0]:
        if not is_at(base, path):
            raise ValueError(f"{path!r} is not an address of the app, which is at {base}")
        parts = urlsplit(path)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
    path = path.partition("#")[0]
    if not path.startswith("/"):
        path = f"/{path}"
    more = query(params)
    if more:
        path += ("&" if "?" in path else "?") + more
    return quote(path, safe=KEPT)


def as_http(path: str) -> str:
    """Return where a WebSocket is asked for: the same address, by HTTP (RFC 6455 section 3).

    Example:
        >>> as_http("ws://127.0.0.1:80/chat"), as_http("/chat")
        ('http://127.0.0.1:80/chat', '/chat')
    """
    require_text(path)
    return f"http{path[2:]}" if path.lower().startswith("ws://") else path


def require_text(path: object) -> None:
    """Refuse what is no path, before it fails somewhere else with other words."""
    if not isinstance(path, str):
        raise TypeError(f"path has to be a str, not {type(path).__qualname__}")


def is_at(base: str, url: str) -> bool:
    """Tell whether an address is one of the server at ``base``.

    Example:
        >>> is_at("http://127.0.0.1:80", "http://127.0.0.1/a"), is_at("http://a:80", "http://b:80")
        (True, False)
    """
    ours, theirs = urlsplit(base), urlsplit(url)
    try:
        port = theirs.port or 80
    except ValueError:
        return False
    return (theirs.scheme, theirs.hostname, port) == ("http", ours.hostname, ours.port or 80)


def redirected(url: str, location: str) -> str:
    """Return the whole address that ``Location`` names in a response of ``url``."""
    return urljoin(url, location)

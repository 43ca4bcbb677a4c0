"""``redirect()``: an answer that sends the client to another address.

Imported in every worker, so it imports nothing but the engine.
"""

from __future__ import annotations

from pyreframework.engine import PyreResponse

STATUSES = (301, 302, 303, 307, 308)

# What no address holds as it is (RFC 3986). Browsers take `\` for `/`, which makes `/\evil.example`
# the address of another server; encoded it is a path.
STRAY = frozenset(' "<>\\^`{|}')


def redirect(url: str, status_code: int = 302) -> PyreResponse:
    r"""Return an answer that sends the client to ``url``.

    Args:
        url: Absolute or relative address. What is outside ASCII is percent-encoded as UTF-8, and so
            are spaces and other characters that no address holds (``"<>\^`{|}``); everything else
            is sent as it is, so that what is encoded already stays right.
        status_code: 301, 302, 303, 307 or 308.

    Raises:
        ValueError: The status is not a redirect, or ``url`` holds a control character.
        TypeError: ``url`` is no text.

    Example:
        >>> redirect("/login").headers["Location"]
        '/login'
    """
    if status_code not in STATUSES:
        raise ValueError(f"a redirect has one of the statuses {STATUSES}, not {status_code!r}")
    return PyreResponse(None, status_code=status_code, headers={"Location": location(url)})


def location(url: str) -> str:
    """Return ``url`` in the characters a ``Location`` header may hold."""
    if not isinstance(url, str):
        raise TypeError(f"redirect() takes an address, not {type(url).__qualname__}")
    # What breaks a header, and what browsers drop without a word: `/\t/evil.example` is no path.
    if not url.isprintable() and any(char < " " or char == "\x7f" for char in url):
        raise ValueError(f"the address {url!r} holds a control character")
    if url.isascii() and STRAY.isdisjoint(url):
        return url
    return "".join(
        char if "!" <= char <= "~" and char not in STRAY else encoded(char) for char in url
    )


def encoded(char: str) -> str:
    """Return the percent-encoded UTF-8 of one character; a lone surrogate becomes U+FFFD."""
    if "\ud800" <= char <= "\udfff":
        char = "\ufffd"
    return "".join(f"%{byte:02X}" for byte in char.encode())

"""What browsers send as ``Origin`` (RFC 6454, the URL standard), for lists that are to match.

Imported with the first list of origins.
"""

from __future__ import annotations

# What browsers leave out.
DEFAULT_PORTS = {"http": "80", "https": "443"}

# A page has the first scheme of each pair, where it opens a WebSocket of the second one.
SCHEMES_OF_PAGES = {"ws": "http", "wss": "https"}


def require_origin(written: str, where: str, remedy: str = "") -> None:
    """Raise unless this may be what a browser sends, but for the case of its letters.

    Args:
        written: What is to be an origin.
        where: Where it was written.
        remedy: What to do for many origins, if there is something.

    Raises:
        ValueError: It never is; the message has what is instead, if that can be known.

    Example:
        >>> require_origin("https://example.com:8443", "GET /ws")
        >>> require_origin("https://example.com:443", "GET /ws")
        Traceback (most recent call last):
            ...
        ValueError: GET /ws: no browser sends the origin 'https://example.com:443': it is \
'https://example.com'
    """
    scheme, mark, rest = written.partition("://")
    host, port = parted(rest)
    if not (scheme and mark and host) or any(one in host for one in "/?#@\\ \t\r\n"):
        raise ValueError(
            f"{where}: {written!r} is no origin: write one as https://example.com, without a path"
        )
    if "*" in host:
        raise ValueError(f"{where}: {written!r} is no origin: each is written out{remedy}")
    sent = SCHEMES_OF_PAGES.get(scheme.lower(), scheme) + "://" + ascii_name(host)
    if port is not None:
        if not (port.isascii() and port.isdigit() and int(port) < 2**16):
            raise ValueError(f"{where}: {written!r} is no origin: {port!r} is no port")
        number = str(int(port))
        if number != DEFAULT_PORTS.get(scheme.lower()):
            sent += f":{number}"
    sent = sent.lower()
    if sent != written.lower():
        raise ValueError(f"{where}: no browser sends the origin {written!r}: it is {sent!r}")


def parted(rest: str) -> tuple[str, str | None]:
    """Return host and port of what follows the scheme; None if there is no port."""
    host, colon, port = rest.rpartition(":")
    if not colon or port.endswith("]"):
        return rest, None
    return host, port


def ascii_name(host: str) -> str:
    """Return the name of a host as browsers send it, in the case that it has if it is ASCII."""
    if host.isascii():
        return host
    from unicodedata import normalize

    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
        for label in normalize("NFC", host.lower()).split(".")
    )

"""The cookies of a client, as a mapping over a jar of the standard library.

The jar decides what is kept and what is sent: domain, path, expiry and ``Secure`` count as they do
in a browser (RFC 6265 section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from http.client import HTTPResponse
from http.cookiejar import Cookie, CookieJar
from urllib.request import Request

from pyreframework.cookies import real_text, wire_text


class Setting:
    """What a jar asks of a response, with its cookies as texts and not as the wire has them."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    def info(self) -> Setting:
        """Return the headers."""
        return self

    def get_all(self, name: str, default: list[str]) -> list[str]:
        """Return all values of a header."""
        return [real_text(value) for value in self._response.info().get_all(name, default)]


class Cookies(MutableMapping[str, str]):
    """Cookies by name; may be used from several threads.

    Args:
        values: Cookies to begin with, sent to every path.

    Example:
        >>> cookies = Cookies({"theme": "dark"})
        >>> cookies.set("token", "t", path="/admin")
        >>> cookies["theme"], sorted(cookies), cookies.get("missing", "no")
        ('dark', ['theme', 'token'], 'no')
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.jar = CookieJar()
        """The jar itself, with all that is known about each cookie."""
        for name, value in (values or {}).items():
            self.set(name, value)

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """Set a cookie that does not expire.

        Args:
            name: Its name.
            value: Its value; sent as UTF-8.
            domain: Where it is sent; empty for any host.
            path: The path below which it is sent.
        """
        self.jar.set_cookie(
            Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain=domain,
                domain_specified=bool(domain),
                domain_initial_dot=domain.startswith("."),
                path=path,
                path_specified=True,
                secure=False,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={},
            )
        )

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Remove the cookies of this name, if given only those of this domain and path.

        Raises:
            KeyError: There is none.
        """
        found = self._find(name, domain, path)
        if not found:
            raise KeyError(name)
        for cookie in found:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)

    def clear(self) -> None:
        """Remove all cookies."""
        self.jar.clear()

    def __getitem__(self, name: str) -> str:
        found = self._find(name)
        if not found:
            raise KeyError(name)
        # The most specific path is sent first (RFC 6265 section 5.4), and taken by most readers.
        return max(found, key=lambda cookie: len(cookie.path)).value or ""

    def __setitem__(self, name: str, value: str) -> None:
        """Set a cookie for every path, in place of all others of this name."""
        for cookie in self._find(name):
            self.jar.clear(cookie.domain, cookie.path, cookie.name)
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self._all()))

    def __len__(self) -> int:
        return len({cookie.name for cookie in self._all()})

    def __repr__(self) -> str:
        return f"Cookies({dict(self)!r})"

    def header_for(self, url: str, more: Mapping[str, str] | None = None) -> str | None:
        """Return the cookies for a request to this address, and more, as ``Cookie`` has them."""
        request = Request(url)  # noqa: S310 - nothing is opened
        self.jar.add_cookie_header(request)
        kept = request.get_header("Cookie")
        values = [] if kept is None else [kept]
        values += [f"{name}={value}" for name, value in (more or {}).items()]
        return wire_text("; ".join(values)) or None

    def take(self, url: str, response: HTTPResponse) -> dict[str, str]:
        """Keep what a response sets; return the names and values that it set."""
        request = Request(url)  # noqa: S310 - nothing is opened
        setting = Setting(response)
        self.jar.extract_cookies(setting, request)  # type: ignore[arg-type]
        alone = CookieJar()
        alone.extract_cookies(setting, request)  # type: ignore[arg-type]
        return {cookie.name: cookie.value or "" for cookie in alone}

    def _all(self) -> Iterable[Cookie]:
        return [cookie for cookie in self.jar if not cookie.is_expired()]

    def _find(self, name: str, domain: str | None = None, path: str | None = None) -> list[Cookie]:
        return [
            cookie
            for cookie in self._all()
            if cookie.name == name
            and (domain is None or cookie.domain == domain)
            and (path is None or cookie.path == path)
        ]

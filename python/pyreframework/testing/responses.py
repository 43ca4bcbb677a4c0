"""What comes back: `Answer`, whole as a `TestResponse`, with its `Headers`, and an error of it."""

from __future__ import annotations

import json
from codecs import lookup
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from typing import Any, Self

from pyreframework.testing.events import ServerSentEvent, events
from pyreframework.testing.pieces import lines, regrouped, texts

EVENT_STREAM = "text/event-stream"


class Headers(Mapping[str, str]):
    """Header fields; the case of names does not count, and repeated fields are all there.

    A lookup joins repeated fields with ``, ``, as RFC 9110 section 5.3 allows; `get_list` has them
    one by one, which for ``Set-Cookie`` is the only way that makes sense.

    Args:
        fields: Names and values in the order of the wire.

    Example:
        >>> headers = Headers([("Vary", "Accept"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
        >>> headers["vary"], headers.get_list("Set-Cookie"), list(headers)
        ('Accept', ['a=1', 'b=2'], ['Vary', 'Set-Cookie'])
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)

    def get_list(self, name: str) -> list[str]:
        """Return the value of each field of this name, in order; no field gives an empty list."""
        wanted = name.lower()
        return [value for key, value in self._fields if key.lower() == wanted]

    def multi_items(self) -> list[tuple[str, str]]:
        """Return all fields as they stood on the wire, repeated ones too."""
        return list(self._fields)

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_list(name))

    def __iter__(self) -> Iterator[str]:
        names = {name.lower(): name for name, _ in reversed(self._fields)}
        return iter(dict.fromkeys(names[name.lower()] for name, _ in self._fields))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._fields})

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)!r})"


class HTTPStatusError(Exception):
    """The response has a status of 400 or more; raised by `TestResponse.raise_for_status`.

    Args:
        response: The response, kept as an attribute.
    """

    def __init__(self, response: Answer) -> None:
        text = f"{response.status_code} {response.reason} for {response.method} {response.url}"
        super().__init__(text)
        self.response = response


class Answer:
    """What all responses have: a head, and the ways to read a body."""

    status_code: int
    headers: Headers
    reason: str
    """The phrase beside the status."""
    method: str
    """The method of the request that this answers; after a redirect it may be another one."""
    url: str
    """The whole address of the request that this answers."""
    history: list[TestResponse]
    """The redirects that led here, oldest first."""
    cookies: dict[str, str]
    """Cookies that this response set; those of other domains are not among them."""

    @property
    def content(self) -> bytes:
        """The body, by the name that requests and httpx have for it."""
        return self._content()

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    @property
    def encoding(self) -> str:
        """The charset of ``Content-Type``, or UTF-8 if it has none that Python knows."""
        message = Message()
        message["Content-Type"] = self.headers.get("Content-Type", "")
        charset = message.get_content_charset("utf-8")
        try:
            lookup(charset)
        except LookupError:
            return "utf-8"
        return charset

    @property
    def text(self) -> str:
        """The body as text; bytes that do not belong there become U+FFFD."""
        return self._content().decode(self.encoding, errors="replace")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self._content())

    def raise_for_status(self) -> Self:
        """Return the response itself if its status is below 400.

        Raises:
            HTTPStatusError: It is 400 or more.
        """
        if not self.ok:
            raise HTTPStatusError(self)
        return self

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the body in pieces of so many bytes, the last one shorter.

        Args:
            chunk_size: None yields what has come as soon as something has.

        Raises:
            RuntimeError: The body of a streamed response has been read already, or is closed.
            IncompleteBody: It was cut off, behind the pieces that were yielded.
            TimeoutError: The next piece took longer than ``timeout``.
        """
        return regrouped(self._pieces(), chunk_size, b"".join)

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Yield the body as text by its `encoding`, in pieces of so many characters.

        Args:
            chunk_size: None yields what has come as soon as something has.

        Raises:
            Exception: As `iter_bytes`.
        """
        return regrouped(texts(self._pieces(), self.encoding), chunk_size, "".join)

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the text without their ends, CR, LF or both, each once it has ended.

        Raises:
            Exception: As `iter_bytes`.
        """
        return lines(texts(self._pieces(), self.encoding))

    def iter_events(self) -> Iterator[ServerSentEvent]:
        """Yield server-sent events as a browser reads them, each as soon as it has come.

        Raises:
            ValueError: The response is not an event stream by its ``Content-Type``.
            Exception: As `iter_bytes`.
        """
        content_type = self.headers.get("Content-Type", "")
        if content_type.partition(";")[0].strip().lower() != EVENT_STREAM:
            raise ValueError(
                f"{self.method} {self.url} was answered {self.status_code} with content type "
                f"{content_type!r}: events come as {EVENT_STREAM}"
            )
        return events(self._pieces())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code} {self.reason}]>"

    def _content(self) -> bytes:
        """Return the whole body."""
        raise NotImplementedError

    def _pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes, in pieces that are not empty."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class TestResponse(Answer):
    """A whole response.

    Example:
        >>> response = TestResponse(404, b'{"error":"not found"}', Headers(), reason="Not Found")
        >>> response.ok, response.json()["error"]
        (False, 'not found')
    """

    __test__ = False  # Not a test to be collected, whatever its name begins with.

    status_code: int
    body: bytes
    headers: Headers
    reason: str = ""
    """The phrase beside the status."""
    method: str = "GET"
    """The method of the request that this answers; after a redirect it may be another one."""
    url: str = ""
    """The whole address of the request that this answers."""
    history: list[TestResponse] = field(default_factory=list)
    """The redirects that led here, oldest first."""
    elapsed: timedelta = timedelta(0)
    """From the first byte sent to the last one received; of this exchange, not of its history."""
    cookies: dict[str, str] = field(default_factory=dict)
    """Cookies that this response set; those of other domains are not among them."""

    def _content(self) -> bytes:
        return self.body

    def _pieces(self) -> Iterator[bytes]:
        if self.body:
            yield self.body

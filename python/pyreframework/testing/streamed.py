"""`StreamedResponse`: a response whose body is read as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from time import perf_counter

from pyreframework.testing.addresses import is_at, redirected
from pyreframework.testing.incoming import Incoming
from pyreframework.testing.outgoing import REDIRECTS
from pyreframework.testing.responses import Answer, Headers, TestResponse


class StreamedResponse(Answer):
    """A response whose head has come; made by `TestClient.stream`.

    The body comes once: iterate over it one way, or `read` it. Then ``content``, ``text`` and
    ``json()`` have it as well. A thread that iterates waits for the next piece; another one may
    ``close()`` meanwhile.

    Args:
        incoming: The answer itself.
        method: The method of the request that it answers.
        url: The whole address of that.
        history: The redirects that led here.
        began: When the request was sent, by ``perf_counter()``.
        cookies: What it has set.
    """

    def __init__(
        self,
        incoming: Incoming,
        method: str,
        url: str,
        history: list[TestResponse],
        began: float,
        cookies: dict[str, str],
    ) -> None:
        self.status_code = incoming.response.status
        self.headers = Headers(incoming.response.getheaders())
        self.reason = incoming.response.reason
        self.method = method
        self.url = url
        self.history = history
        self.cookies = cookies
        self._incoming = incoming
        self._began = began
        self._latest = perf_counter()
        self._is_begun = False
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The body, once `read` has it.

        Raises:
            RuntimeError: It has not been read.
        """
        if self._body is None:
            raise RuntimeError("the body of a streamed response has to be read first: call read()")
        return self._body

    @property
    def elapsed(self) -> timedelta:
        """From the first byte sent to the last one received until now."""
        return timedelta(seconds=self._latest - self._began)

    def read(self) -> bytes:
        """Wait for the end of the body, and return all of it; again, the same bytes.

        Raises:
            RuntimeError: Parts of it were read by iterating, or the response is closed.
            IncompleteBody: It was cut off.
            TimeoutError: The next piece took longer than ``timeout``.
        """
        if self._body is None:
            self._body = b"".join(self._pieces())
        return self._body

    def close(self) -> None:
        """Close the connection, unless the whole body has come; a second call does nothing.

        The server learns that the client has gone. The end of the ``with`` does the same.
        """
        self._incoming.close()

    def whole(self) -> TestResponse:
        """Read the body, and return all of the response.

        Raises:
            Exception: As `read`.
        """
        body = self.read()
        return TestResponse(
            status_code=self.status_code,
            body=body,
            headers=self.headers,
            reason=self.reason,
            method=self.method,
            url=self.url,
            history=self.history,
            elapsed=self.elapsed,
            cookies=self.cookies,
        )

    def _content(self) -> bytes:
        return self.body

    def _pieces(self) -> Iterator[bytes]:
        if self._body is not None:
            if self._body:
                yield self._body
            return
        if self._is_begun and not self._incoming.is_closed:
            raise RuntimeError(
                "the body of a streamed response comes once: go on with the iterator that has "
                "begun it, or call read() first"
            )
        self._is_begun = True
        while piece := self._incoming.piece():
            self._latest = perf_counter()
            yield piece
        self._latest = perf_counter()


def leads_to(base: str, response: StreamedResponse) -> str | None:
    """Return the address that a response redirects to, if this is one of the server at ``base``."""
    location = response.headers.get("Location")
    if location is None or response.status_code not in REDIRECTS:
        return None
    there = redirected(response.url, location)
    return there if is_at(base, there) else None

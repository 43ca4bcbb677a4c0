"""A method of a client for each method of HTTP."""

from __future__ import annotations

from typing import Any, Unpack

from pyreframework.testing.outgoing import RequestOptions
from pyreframework.testing.responses import TestResponse


class Verbs:
    """What `TestClient` has beside `TestClient.request`."""

    def request(self, *what: Any, **options: Any) -> TestResponse:
        """Send a request and return the whole response."""
        raise NotImplementedError

    def get(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a GET; see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a POST; see `request`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a PUT; see `request`."""
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a DELETE; see `request`."""
        return self.request("DELETE", path, **options)

    def patch(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a PATCH; see `request`."""
        return self.request("PATCH", path, **options)

    def options(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send an OPTIONS; see `request`."""
        return self.request("OPTIONS", path, **options)

    def head(self, path: str, **options: Unpack[RequestOptions]) -> TestResponse:
        """Send a HEAD; see `request`."""
        return self.request("HEAD", path, **options)

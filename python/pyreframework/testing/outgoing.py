"""A request on its way out: what is sent, and what becomes of it after a redirect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from pyreframework.testing.bodies import Body, Data, Encoded, FileSpec, Pairs, as_bytes

# They have a length even without a body (RFC 9110 section 8.6).
WITH_BODY = ("POST", "PUT", "PATCH")
REDIRECTS = (301, 302, 303, 307, 308)
DEFAULT_HEADERS = {
    "User-Agent": "pyre-test-client",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}

type Value = str | bytes
type HeaderFields = Mapping[str, Value | None] | Sequence[tuple[str, Value | None]]


class RequestOptions(TypedDict, total=False):
    """What a request may have beside method and path; see `TestClient.request`."""

    json: Any
    data: Data | None
    body: Body | None
    files: Mapping[str, FileSpec] | Sequence[tuple[str, FileSpec]] | None
    params: Pairs | str | None
    headers: HeaderFields | None
    cookies: Mapping[str, str] | None
    follow_redirects: bool | None
    timeout: float | None


class Fields:
    """Header fields to send; those of a later layer take the place of earlier ones."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, list[tuple[str, Value]]] = {}

    def lay(self, given: HeaderFields | None) -> None:
        """Put fields in the place of those with the same names; None takes a field out."""
        items = given.items() if isinstance(given, Mapping) else given or ()
        own: dict[str, list[tuple[str, Value]]] = {}
        for name, value in items:
            several = own.setdefault(name.lower(), [])
            if value is not None:
                several.append((name, value))
        self._fields |= own

    def decides(self, name: str) -> bool:
        """Tell whether a layer has set this field, or taken it out."""
        return name in self._fields

    def text(self, name: str) -> str:
        """Return the value of a field as text; of several, the last one, of none, nothing."""
        value = self._fields.get(name.lower(), [("", "")])[-1:]
        return "".join(as_bytes(one).decode("latin-1") for _, one in value)

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return (field for several in self._fields.values() for field in several)


class Outgoing:
    """One request.

    Args:
        method: In upper case.
        target: What stands in the request line.
        body: What is sent, with its type.
    """

    __slots__ = ("body", "method", "target")

    def __init__(self, method: str, target: str, body: Encoded) -> None:
        self.method = method
        self.target = target
        self.body = body

    def fields(self, *layers: HeaderFields | None) -> Fields:
        """Return the header fields to send: what describes the body, and these layers over it.

        A length or coding that a layer gives is sent as it is, right or wrong.
        """
        fields = Fields()
        if self.body.content_type is not None:
            fields.lay({"Content-Type": self.body.content_type})
        for layer in layers:
            fields.lay(layer)
        if not (fields.decides("content-length") or fields.decides("transfer-encoding")):
            if self.body.stream is not None:
                fields.lay({"Transfer-Encoding": "chunked"})
            elif self.body.content is not None or self.method in WITH_BODY:
                fields.lay({"Content-Length": str(len(self.body.content or b""))})
        return fields

    def follow(self, status: int, target: str) -> None:
        """Turn into the request that a redirect asks for.

        Raises:
            RuntimeError: The body would have to be sent again, but can be read only once.
        """
        self.target = target
        # RFC 9110 section 15.4: 303 asks for GET, and so do 301 and 302 after a POST; HEAD is kept.
        if self.method not in ("GET", "HEAD") and (
            status == 303 or (status in (301, 302) and self.method == "POST")
        ):
            self.method = "GET"
            self.body = Encoded(None)
        elif self.body.stream is not None:
            raise RuntimeError(
                f"the redirect to {target} asks for the body again, and an iterable is used up: "
                "give it as bytes, or follow_redirects=False"
            )

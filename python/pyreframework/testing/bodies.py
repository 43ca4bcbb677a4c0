"""What is sent: bodies and queries from what tests write.

Values follow httpx: ``True`` becomes ``true``, ``None`` nothing, a list several pairs.
"""

from __future__ import annotations

import json as json_codec
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from mimetypes import guess_type
from os.path import basename
from secrets import token_hex
from typing import Any, Protocol, TypeIs
from urllib.parse import urlencode


class Readable(Protocol):
    """A file that is open for reading, in bytes or in text."""

    def read(self) -> str | bytes:
        """Return all that is left of it."""
        ...


type Pairs = Mapping[str, Any] | Sequence[tuple[str, Any]]
type Content = str | bytes | bytearray | memoryview | Readable
type FileSpec = (
    Content
    | tuple[str | None, Content]
    | tuple[str | None, Content, str | None]
    | tuple[str | None, Content, str | None, Mapping[str, str]]
)
"""A file of a form: its content, or ``(filename, content, content_type, headers)``, cut where you
like."""
type Body = Content | Iterable[str | bytes] | Mapping[str, Any]
type Data = Pairs | Content | Iterable[str | bytes]


class Encoded:
    """A body ready to be sent.

    Args:
        content: All of it, or None.
        content_type: What goes beside it.
        stream: Its pieces, if it is to be sent in chunks.
    """

    __slots__ = ("content", "content_type", "stream")

    def __init__(
        self,
        content: bytes | None,
        content_type: str | None = None,
        stream: Iterator[bytes] | None = None,
    ) -> None:
        self.content = content
        self.content_type = content_type
        self.stream = stream


def encode(
    json: object = None,
    data: Data | None = None,
    body: Body | None = None,
    files: Mapping[str, FileSpec] | Sequence[tuple[str, FileSpec]] | None = None,
) -> Encoded:
    """Return the body of a request.

    Raises:
        ValueError: Two kinds of body are given, or one that cannot be written.
        TypeError: A value is of a type that has no meaning here.
    """
    given = [
        name
        for name, value in (("json", json), ("data= or files", data or files), ("body", body))
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(f"a request has one body: give {'= or '.join(given)}=, not both")
    if json is not None:
        return as_json(json)
    if files:
        if data is not None and not is_form(data):
            raise TypeError(
                f"beside files=, data= has to be a dict of fields, not {type(data).__qualname__}"
            )
        return multipart(pairs(data or {}), files)
    if data is not None:
        if not is_form(data):
            return as_is("data", data)
        return Encoded(urlencode(pairs(data)).encode(), "application/x-www-form-urlencoded")
    if body is None:
        return Encoded(None)
    if isinstance(body, (Mapping, list)):
        return as_json(body)
    return as_is("body", body)


def is_form(data: Data) -> TypeIs[Pairs]:
    """Tell whether data are fields of a form, and not what is sent as it is."""
    return isinstance(data, Collection) and not is_content(data)


def is_content(value: object) -> TypeIs[Content]:
    """Tell whether this is text, bytes or an open file."""
    return isinstance(value, (str, bytes, bytearray, memoryview)) or hasattr(value, "read")


def as_is(name: str, value: Content | Iterable[str | bytes]) -> Encoded:
    """Return content as it is, other iterables as pieces."""
    if is_content(value):
        return Encoded(as_bytes(value))
    if not isinstance(value, Iterable):
        raise TypeError(f"{name}= cannot be of type {type(value).__qualname__}")
    return Encoded(None, stream=(as_bytes(piece) for piece in value))


def as_json(value: object) -> Encoded:
    """Return JSON without spaces, in UTF-8."""
    text = json_codec.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Encoded(text.encode(), "application/json")


def as_bytes(content: Any) -> bytes:
    """Return content as bytes, text in UTF-8, a file as all that is left of it."""
    if hasattr(content, "read"):
        content = content.read()
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    raise TypeError(
        f"content has to be text, bytes or an open file, not {type(content).__qualname__}"
    )


def pairs(values: Pairs) -> list[tuple[str, str | bytes]]:
    """Return names with values, one for each value of a list.

    Example:
        >>> pairs({"tag": ["a", "b"], "draft": True, "page": 2})
        [('tag', 'a'), ('tag', 'b'), ('draft', 'true'), ('page', '2')]
    """
    items = values.items() if isinstance(values, Mapping) else values
    found: list[tuple[str, str | bytes]] = []
    for name, value in items:
        several = value if isinstance(value, (list, tuple)) else (value,)
        found.extend((str(name), plain(one)) for one in several)
    return found


def plain(value: object) -> str | bytes:
    """Return the text of one value of a form or a query."""
    if isinstance(value, (str, bytes)):
        return value
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def query(params: Pairs | str | None) -> str:
    """Return the part of an address behind the question mark.

    Example:
        >>> query({"q": "a b", "tag": ["x", "y"]})
        'q=a+b&tag=x&tag=y'
    """
    if params is None:
        return ""
    if isinstance(params, str):
        return params.removeprefix("?")
    return urlencode(pairs(params))


def multipart(
    fields: Iterable[tuple[str, str | bytes]],
    files: Mapping[str, FileSpec] | Sequence[tuple[str, FileSpec]],
) -> Encoded:
    """Return a form with files (RFC 7578)."""
    boundary = token_hex(16)
    parts = []
    for name, value in fields:
        head = f'Content-Disposition: form-data; name="{escaped(name)}"\r\n'
        parts.append((head, as_bytes(value)))
    items = files.items() if isinstance(files, Mapping) else files
    parts.extend(file_part(str(name), spec) for name, spec in items)
    written = b"".join(
        f"--{boundary}\r\n{head}\r\n".encode() + content + b"\r\n" for head, content in parts
    )
    written += f"--{boundary}--\r\n".encode()
    return Encoded(written, f"multipart/form-data; boundary={boundary}")


def file_part(name: str, spec: FileSpec) -> tuple[str, bytes]:
    """Return the head and the content of one file."""
    parts: tuple[Any, ...]
    if isinstance(spec, tuple):
        parts = spec
    else:
        path = getattr(spec, "name", None)
        parts = (basename(path) if isinstance(path, str) else name, spec)
    if not 2 <= len(parts) <= 4:
        raise ValueError(f"a file is (filename, content, content_type, headers), not {spec!r}")
    filename, content, content_type, headers = (*parts, None, None)[:4]
    head = f'Content-Disposition: form-data; name="{escaped(name)}"'
    if filename is not None:
        head += f'; filename="{escaped(filename)}"'
        content_type = content_type or guess_type(filename)[0] or "application/octet-stream"
    lines = [head]
    if content_type is not None and "content-type" not in map(str.lower, headers or ()):
        lines.append(f"Content-Type: {content_type}")
    lines.extend(f"{key}: {value}" for key, value in (headers or {}).items())
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError(f"a header of a file must be one line, not {line!r}")
    return "".join(f"{line}\r\n" for line in lines), as_bytes(content)


def escaped(name: str) -> str:
    """Return a name that can stand between quotes, escaped as browsers do."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")

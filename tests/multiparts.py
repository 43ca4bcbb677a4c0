"""Forms with files as tests write them, byte by byte: no encoder of ours is between."""

from __future__ import annotations

from dialogue import request

BOUNDARY = "a-Boundary"


def part(parameters: str, data: bytes = b"", *lines: str) -> bytes:
    """A part with these parameters of its Content-Disposition."""
    head = "\r\n".join([f"Content-Disposition: form-data; {parameters}", *lines])
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A form with these parts."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def fields(kind: str = f"multipart/form-data; boundary={BOUNDARY}") -> list[tuple[str, str]]:
    """The header fields of a form."""
    return [("Content-Type", kind)]


def posted(target: str, body: bytes) -> bytes:
    """A request with a form."""
    return request("POST", target, [*fields(), ("Content-Length", str(len(body)))]) + body

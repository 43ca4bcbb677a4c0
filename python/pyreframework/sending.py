"""``send_file()``: an answer whose body is a file.

Imported in every worker.
"""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISREG

from pyreframework.engine import PyreResponse, file_body
from pyreframework.folders import cache_control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# What RFC 8187 lets stand in a value as it is.
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&+-.^_`|~")


def send_file(
    path: str | bytes | PathLike[str] | PathLike[bytes],
    *,
    status_code: int = 200,
    content_type: str | None = None,
    headers: Mapping[str, str | list[str]] | None = None,
    download_name: str | None = None,
    attachment: bool | None = None,
    max_age: int | None = None,
) -> PyreResponse:
    """Return an answer whose body is a file, sent without its bytes passing Python.

    The file is opened here, and is sent as it is then, whatever becomes of its name. With status
    200 preconditions and ranges of the request are heard, as those for files of `Pyre.static`.

    Whoever asks must not decide about the path: a name out of a request can lead anywhere.

    Args:
        path: The file.
        status_code: The status, unless the request makes it 206, 304, 412 or 416.
        content_type: The media type; left out, by what the name ends with.
        headers: Further headers; an ``ETag`` or ``Last-Modified`` among them replaces our own.
        download_name: What the client is to call the file.
        attachment: Whether the client is to store the file rather than to show it. Left out, it is
            if there is a name for it.
        max_age: Seconds that the client may keep it without asking again.

    Raises:
        OSError: It cannot be opened, as ``FileNotFoundError``; or is no file.
        ValueError: A name that cannot be one, or something is out of bounds.
        TypeError: Something is of a wrong type.

    Example:
        >>> response = send_file(__file__, download_name="größe.py")
        >>> print(response.headers["Content-Disposition"])
        attachment; filename="gr__e.py"; filename*=UTF-8''gr%C3%B6%C3%9Fe.py
    """
    own: dict[str, str | list[str]] = {"X-Content-Type-Options": "nosniff"}
    if attachment is None and download_name is not None:
        attachment = True
    if attachment is not None:
        own["Content-Disposition"] = disposition(download_name, attachment)
    kept = cache_control(max_age, False, "send_file")
    if kept is not None:
        own["Cache-Control"] = kept
    descriptor = os.open(path, FLAGS)
    try:
        mode = os.fstat(descriptor).st_mode
        if not S_ISREG(mode):
            from errno import EINVAL, EISDIR

            number = EISDIR if S_ISDIR(mode) else EINVAL
            raise OSError(number, os.strerror(number), os.fsdecode(path))
        name = os.fsdecode(path if download_name is None else download_name)
        body = file_body(descriptor, name.encode("utf-8", "replace").decode())
    finally:
        os.close(descriptor)
    response = PyreResponse(body, status_code, content_type, headers)
    for field, value in own.items():
        if field not in response.headers:
            response.headers[field] = value
    return response


def disposition(name: str | None, attachment: bool) -> str:
    """Return the value of ``Content-Disposition`` (RFC 6266).

    A name that is not all plain ASCII is told twice: in full for those who read RFC 8187, and as
    near as may be for the others.

    Raises:
        ValueError: The name is empty, or has control characters or separators of paths.
    """
    kind = "attachment" if attachment else "inline"
    if name is None:
        return kind
    if not isinstance(name, str):
        raise TypeError(f"download_name is a str, not {type(name).__qualname__}")
    if not name or any(char < " " or char in "/\\\x7f" for char in name):
        raise ValueError(f"{name!r} cannot be the name of a file that is downloaded")
    # Some decode what looks like an escape, and some do not.
    plain = "".join(char if " " <= char <= "~" and char not in '"%' else "_" for char in name)
    value = f'{kind}; filename="{plain}"'
    if plain != name:
        encoded = "".join(
            char if char in PLAIN else "".join(f"%{byte:02X}" for byte in char.encode())
            for char in name
        )
        value += f"; filename*=UTF-8''{encoded}"
    return value

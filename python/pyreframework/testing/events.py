"""Server-sent events, as the HTML standard (section 9.2) has browsers read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyreframework.testing.pieces import lines, texts


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of an event stream.

    Example:
        >>> ServerSentEvent('{"total": 3}', "order").json()
        {'total': 3}
    """

    data: str
    """Its ``data`` lines, joined by newlines."""
    event: str = "message"
    """Its type."""
    id: str = ""
    """The last id that the stream has given, be it with this event or an earlier one."""
    retry: int | None = None
    """Milliseconds to wait before connecting again, if given since the event before."""

    def json(self) -> Any:
        """Return the data as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.data)


def events(pieces: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    r"""Yield the events of a stream, each as soon as the empty line behind it has come.

    Comments are skipped, and so are events without data, and one that the end of the stream cuts.

    Example:
        >>> list(events([b": hi\n\nid: 7\nevent: tick\ndata: a\nda", b"ta: b\n\ndata: cut"]))
        [ServerSentEvent(data='a\nb', event='tick', id='7', retry=None)]
    """
    data: list[str] = []
    kind = last_id = ""
    retry: int | None = None
    # An event stream is UTF-8, whatever its Content-Type says, with or without a mark before it.
    for line in lines(texts(pieces, "utf-8-sig")):
        if not line:
            if data:
                yield ServerSentEvent("\n".join(data), kind or "message", last_id, retry)
                retry = None
            data, kind = [], ""
            continue
        # A comment is a line with an empty name.
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                data.append(value)
            case "event":
                kind = value
            case "id" if "\0" not in value:
                last_id = value
            case "retry" if value.isascii() and value.isdigit():
                retry = int(value)

"""Heads of answers, read strictly."""

from __future__ import annotations

import re

type Fields = dict[bytes, bytes]

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t\x20-\x7e]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)")


def read_head(head: bytes) -> tuple[int, Fields] | str:
    """Return status and fields of an answer, names in lower case; else what is wrong with it."""
    lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(lines[0])
    if status is None:
        return f"no status line: {lines[0][:100]!r}"
    fields: Fields = {}
    for line in lines[1:]:
        found = _FIELD.fullmatch(line)
        if found is None:
            return f"no field: {line[:100]!r}"
        name = found[1].lower()
        if name in fields:
            return f"a field twice: {line[:100]!r}"
        fields[name] = found[2]
    return int(status[1]), fields

"""Conditional and range requests: what nginx answers, we answer, or RFC 9110 says why not."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import NamedTuple

import nginx
import pytest
from files import make_tree, serve_tree

CONFIGURATION = """
    types {{ text/plain txt; }}
    charset utf-8;
    # As RFC 9110 has it.
    if_modified_since before;
    server {{
        listen 127.0.0.1:{port};
        location /s/ {{ alias {folder}/root/; }}
    }}
"""
AT = "Tue, 14 Nov 2023 22:13:20 GMT"
BEFORE = "Tue, 14 Nov 2023 22:13:19 GMT"
BEHIND = "Tue, 14 Nov 2023 22:13:21 GMT"
# What each calls the version of the file that is there.
TAG = "{tag}"

SINCE, UNMODIFIED = "If-Modified-Since", "If-Unmodified-Since"
MATCH, NONE_MATCH, IF_RANGE = "If-Match", "If-None-Match", "If-Range"

type Fields = tuple[tuple[str, str], ...]


def of(name: str, *values: str) -> list[Fields]:
    """Requests with one field each, of these values."""
    return [((name, value),) for value in values]


TENS = "bytes=10-19"
SAME: list[Fields] = [
    (),
    *of(SINCE, AT, BEFORE, BEHIND, "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023"),
    *of(SINCE, "nonsense", "1700000000", ""),
    *of(UNMODIFIED, AT, BEFORE, BEHIND),
    *of(MATCH, TAG, "*", '"other"', f'"other", {TAG}', f"W/{TAG}", f'"a,b" , {TAG}'),
    *of(NONE_MATCH, TAG, "*", '"other"', f'"other", {TAG}', f"W/{TAG}", f'"a,b" , {TAG}', '""'),
    ((NONE_MATCH, TAG), (SINCE, AT)),
    ((NONE_MATCH, '"other"'), (SINCE, AT)),
    ((MATCH, TAG), (NONE_MATCH, TAG)),
    ((MATCH, '"other"'), (NONE_MATCH, TAG)),
    ((UNMODIFIED, BEFORE), (SINCE, AT)),
    ((UNMODIFIED, AT), (SINCE, AT)),
    *of("Range", "bytes=0-0", TENS, "bytes=990-", "bytes=999-999", "bytes=-1", "bytes=-1000"),
    *of("Range", "bytes=0-", "bytes=0-999", "bytes=0-5000", "bytes=-5000", "bytes=990-5000"),
    *of("Range", "bytes=1000-", "bytes=1000-1001", "bytes=5000-"),
    *of("Range", "lines=0-1", "bytes", ""),
    *of("Range", "bytes=0-9,500-509", "bytes=500-509,0-9", "bytes=0-0,-1", "bytes=0-9,2000-"),
    *of("Range", "bytes=0-9, 200-209 ,400-409,-10"),
    (("Range", TENS), (IF_RANGE, TAG)),
    (("Range", TENS), (IF_RANGE, '"other"')),
    (("Range", TENS), (IF_RANGE, f"W/{TAG}")),
    (("Range", TENS), (IF_RANGE, AT)),
    (("Range", TENS), (IF_RANGE, BEFORE)),
    (("Range", TENS), (IF_RANGE, BEHIND)),
    (("Range", "bytes=5000-"), (IF_RANGE, '"other"')),
    (("Range", TENS), (NONE_MATCH, TAG)),
    (("Range", TENS), (NONE_MATCH, '"other"')),
    (("Range", TENS), (MATCH, '"other"')),
    (("Range", TENS), (SINCE, AT)),
    (("Range", TENS), (IF_RANGE, "nonsense")),
    (("Range", TENS), (IF_RANGE, "*")),
    *of("Range", "bytes=-0", "bytes = 0-1", "Bytes=0-1", "bytes=99999999999999999999-"),
    *of(MATCH, ""),
]
INVALID = (
    "section 14.2 allows to reject it, and section 14.1.1 has it be ignored where it is no range"
)
COALESCED = "section 15.3.7.2: parts that overlap or lie near each other may be sent as one"
LISTS = "section 5.6.1.2: empty elements of lists are to be ignored"
MANY = "bytes=" + ",".join(f"{place * 50}-{place * 50}" for place in range(17))
# What is asked, what we answer and what nginx answers, and why.
OTHERWISE: list[tuple[Fields, tuple[int, int], str]] = [
    (((NONE_MATCH, TAG), (SINCE, BEFORE)), (304, 200), "section 13.2.2: the date is not looked at"),
    (((MATCH, TAG), (UNMODIFIED, BEFORE)), (200, 412), "section 13.2.2: the date is not looked at"),
    *((fields, (200, 416), INVALID) for fields in of("Range", "bytes=5-2", "bytes=a-b", "bytes=-")),
    *((fields, (200, 416), INVALID) for fields in of("Range", "bytes=0-1;2-3", "bytes=1--2")),
    *((fields, (200, 206), INVALID) for fields in of("Range", "bytes=0-9,20-10")),
    *((fields, (200, 416), LISTS) for fields in of("Range", "bytes=,")),
    *((fields, (206, 416), LISTS) for fields in of("Range", "bytes=,0-1")),
    *((fields, (206, 200), COALESCED) for fields in of("Range", "bytes=0-500,400-999")),
    *((fields, (200, 206), "section 17.15: many small ranges") for fields in of("Range", MANY)),
    *(
        (fields, (206, 416), "section 14.1.2: a last position behind the end is that of the end")
        for fields in of("Range", "bytes=0-99999999999999999999")
    ),
    (((SINCE, AT), (SINCE, AT)), (200, 400), "section 13.1.3: of more than one it is ignored"),
    (((NONE_MATCH, '"x"'), (NONE_MATCH, TAG)), (304, 400), "section 5.3: fields are one list"),
    (((NONE_MATCH, f"x, {TAG}"),), (200, 304), "section 8.8.3: x is no tag, so this is no list"),
]


class Answer(NamedTuple):
    """What has to be the same; the texts that frame parts are chosen by each."""

    status: int
    body: bytes
    content_range: str | None
    framed: bool


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Where we are, and where nginx is."""
    nginx.program()
    with tempfile.TemporaryDirectory(prefix="pyre-files-") as name:
        base = Path(name)
        base.chmod(0o755)
        closed = [parent for parent in base.parents if not parent.stat().st_mode & 0o001]
        if closed:
            pytest.skip(f"other users may not enter {closed[0]}: set TMPDIR to a folder they may")
        make_tree(base)
        with nginx.running(base, CONFIGURATION) as port, serve_tree(base) as server:
            yield server.addresses()[0][1], port


def ask(port: int, fields: Fields, method: str = "GET") -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def exchange(method: str, fields: Fields) -> HTTPResponse:
        connection.putrequest(method, "/s/small.txt")
        for name, value in fields:
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse()

    try:
        head = exchange("HEAD", ())
        head.read()
        tag = head.headers["ETag"]
        reply = exchange(method, tuple((name, value.format(tag=tag)) for name, value in fields))
        body = reply.read() if reply.status in (200, 206) else b""
        found = re.search("boundary=(.*)", reply.headers["Content-Type"] or "")
        if found:
            body = body.replace(found[1].encode(), b"boundary").removeprefix(b"\r\n")
        return Answer(reply.status, body, reply.headers["Content-Range"], found is not None)
    finally:
        connection.close()


def name_of(value: object) -> str | None:
    return str(value) if isinstance(value, tuple) else ""


@pytest.mark.parametrize("fields", SAME, ids=name_of)
def test_we_answer_what_nginx_answers(ports: tuple[int, int], fields: Fields) -> None:
    ours, theirs = (ask(port, fields) for port in ports)
    assert ours == theirs


@pytest.mark.parametrize(("fields", "expected", "why"), OTHERWISE, ids=name_of)
def test_we_do_not_where_the_rfc_says_so(
    ports: tuple[int, int], fields: Fields, expected: tuple[int, int], why: str
) -> None:
    assert tuple(ask(port, fields).status for port in ports) == expected, why


@pytest.mark.parametrize("asked", ["bytes=0-9,5-14", "bytes=0-9,10-19", "bytes=0-9,15-20"])
def test_parts_near_each_other_are_one(ports: tuple[int, int], asked: str) -> None:
    ours, theirs = (ask(port, (("Range", asked),)) for port in ports)
    assert (ours.status, theirs.status) == (206, 206)
    assert (ours.framed, theirs.framed) == (False, True), COALESCED


@pytest.mark.parametrize("asked", ["bytes=0-1", "bytes=5000-"])
def test_ranges_are_of_get_alone(ports: tuple[int, int], asked: str) -> None:
    """Section 14.2: a range that comes with any other method is to be ignored."""
    assert ask(ports[0], (("Range", asked),), "HEAD").status == 200


@pytest.mark.parametrize(
    ("fields", "status"), [(((NONE_MATCH, TAG),), 304), (((MATCH, '"x"'),), 412)], ids=name_of
)
def test_preconditions_are_of_head_as_well(
    ports: tuple[int, int], fields: Fields, status: int
) -> None:
    assert [ask(port, fields, "HEAD").status for port in ports] == [status, status]

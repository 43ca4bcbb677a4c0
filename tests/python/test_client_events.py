"""Bodies as the test client reads them from pieces: by size, as text, as lines, as events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyreframework.testing import Headers, ServerSentEvent, TestResponse
from pyreframework.testing.events import events
from pyreframework.testing.pieces import lines, regrouped, texts


def cuts(body: bytes) -> Iterator[list[bytes]]:
    """A body whole, byte by byte, and cut in two at every place."""
    yield [body]
    yield [body[at : at + 1] for at in range(len(body))]
    for at in range(len(body)):
        yield [body[:at], body[at:]]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, [b"ab", b"cde", b"f"]),
        (1, [b"a", b"b", b"c", b"d", b"e", b"f"]),
        (2, [b"ab", b"cd", b"ef"]),
        (4, [b"abcd", b"ef"]),
        (6, [b"abcdef"]),
        (100, [b"abcdef"]),
    ],
)
def test_pieces_of_a_size(size: int | None, expected: list[bytes]) -> None:
    assert list(regrouped([b"ab", b"cde", b"f"], size, b"".join)) == expected
    assert list(regrouped(iter(["ab", "cde", "f"]), size, "".join)) == [
        piece.decode() for piece in expected
    ]
    assert list(regrouped([], size, b"".join)) == []


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        list(regrouped([b"a"], size, b"".join))


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (b"", "utf-8", ""),
        ("caf\xe9 \u20ac \U0001f600".encode(), "utf-8", "caf\xe9 \u20ac \U0001f600"),
        (b"caf\xe9", "latin-1", "caf\xe9"),
        ("\u20ac".encode("utf-16"), "utf-16", "\u20ac"),
        (b"a\xffb\xe2\x82", "utf-8", "a\ufffdb\ufffd"),
    ],
)
def test_text_in_pieces(body: bytes, encoding: str, text: str) -> None:
    for pieces in cuts(body):
        found = list(texts(pieces, encoding))
        assert "".join(found) == text, pieces
        assert all(found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\nb\rc\r\nd", ["a", "b", "c", "d"]),
        ("a\n", ["a"]),
        ("\n\r\r\n\n", ["", "", "", ""]),
        ("a\n\rb", ["a", "", "b"]),
        ("a\u2028b\x0bc\x85d", ["a\u2028b\x0bc\x85d"]),
    ],
)
def test_lines(body: str, expected: list[str]) -> None:
    for pieces in cuts(body.encode()):
        assert list(lines(texts(pieces, "utf-8"))) == expected, pieces


def test_a_line_is_told_once_it_has_ended() -> None:
    told: list[str] = []

    def pieces() -> Iterator[str]:
        for piece, before in [("a\r", []), ("\nb", ["a"]), ("\n", ["a"]), ("\r\n", ["a", "b"])]:
            assert told == before
            yield piece

    for line in lines(pieces()):
        told.append(line)  # noqa: PERF402 - `pieces` looks at it meanwhile
    assert told == ["a", "b", ""]


# What the HTML standard gives as examples, and its rules for each field.
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", []),
        ("data: a\n\n", [("a",)]),
        ("data: This is the first message.\n\ndata: second, it\ndata: has two lines.\n\n",
         [("This is the first message.",), ("second, it\nhas two lines.",)]),
        ("event: add\ndata: 73857293\n\ndata: x\n\n", [("73857293", "add"), ("x",)]),
        (": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n",
         [("first event", "message", "1"), ("second event",), (" third",)]),
        ("data\n\ndata\ndata\n\ndata:", [("",), ("\n",)]),
        ("data:test\n\ndata: test\n\n", [("test",), ("test",)]),
        ("data: a\r\rdata: b\r\n\r\n", [("a",), ("b",)]),
        ("\ufeffdata: a\n\n", [("a",)]),
        ("\ufeff\ufeffdata: a\n\n", []),
        ("event: gone\n\ndata: a\n\n", [("a",)]),
        ("id: 7\n\ndata: a\n\ndata: b\n\n", [("a", "message", "7"), ("b", "message", "7")]),
        ("id: 7\nid: a\0b\ndata: a\n\n", [("a", "message", "7")]),
        ("retry: 20\n\ndata: a\n\ndata: b\n\n", [("a", "message", "", 20), ("b",)]),
        ("retry: 2s\nretry: -1\nretry: \u0662\nretry:\ndata: a\n\n", [("a",)]),
        ("Data: a\nfoo: b\n data: c\ndata : d\n\n", []),
        ("data: a:b\nevent:  x\n\n", [("a:b", " x")]),
        ("data: caf\xe9 \U0001f600\n\n", [("caf\xe9 \U0001f600",)]),
        ("data: a\n\ndata: cut\n", [("a",)]),
        ("data: a\n\ndata: cut", [("a",)]),
    ],
)  # fmt: skip
def test_events(body: str, expected: list[tuple[str]]) -> None:
    for pieces in cuts(body.encode()):
        assert list(events(pieces)) == [ServerSentEvent(*parts) for parts in expected], pieces


def test_an_event_is_told_at_its_empty_line() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"data: a\n\n"
        raise AssertionError("it has asked for more")

    assert next(events(pieces())).data == "a"


def test_the_data_of_an_event_as_json() -> None:
    (event,) = events([b'data: {"a":\ndata: 1}\n\n'])
    assert event.json() == {"a": 1}
    with pytest.raises(ValueError, match="Expecting value"):
        ServerSentEvent("no").json()


def test_a_whole_response_has_them_too() -> None:
    headers = Headers([("Content-Type", "Text/Event-Stream; charset=utf-8")])
    response = TestResponse(200, b"data: a\n\ndata: b\n\n", headers)
    for _ in range(2):
        assert list(response.iter_bytes()) == [response.body]
        assert list(response.iter_text(10)) == ["data: a\n\nd", "ata: b\n\n"]
        assert list(response.iter_lines()) == ["data: a", "", "data: b", ""]
        assert [event.data for event in response.iter_events()] == ["a", "b"]
    assert list(TestResponse(204, b"", Headers()).iter_bytes()) == []


@pytest.mark.parametrize("content_type", [None, "text/plain", "text/event-streams"])
def test_events_of_something_else(content_type: str | None) -> None:
    headers = Headers([("Content-Type", content_type)] if content_type else [])
    response = TestResponse(500, b"data: a\n\n", headers, method="GET", url="http://a/")
    with pytest.raises(ValueError, match=r"GET http://a/ was answered 500 .*: events come as"):
        response.iter_events()

"""The headers of a response: a mapping that refuses, where it is set, what may not be sent."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import pytest

from pyreframework import PyreResponse
from pyreframework.engine import ResponseHeaders

BROKEN = [
    ("X", "a\r\nY: b"),
    ("X", "a\nb"),
    ("X", "a\rb"),
    ("X", "a\x00b"),
    ("X", "\x7f"),
    ("X", "\u0100"),
    ("X", ["fine", "a\nb"]),
    ("X", ("fine", "a\nb")),
    ("X\r\nY", "b"),
    ("X\n", "b"),
    ("X\x00", "b"),
    ("X Y", "b"),
    ("", "b"),
    ("\u00e9", "b"),
    ("Content-Length", "5"),
    ("transfer-encoding", "chunked"),
    ("Date", "now"),
]
OF_ANOTHER_TYPE = [("X", 5), ("X", None), ("X", b"a"), ("X", ["a", 5]), ("X", {"a": "b"}), (5, "a")]
WAYS: list[Callable[[Any, Any, Any], object]] = [
    lambda headers, name, value: headers.__setitem__(name, value),
    lambda headers, name, value: headers.update({name: value}),
    lambda headers, name, value: headers.update([(name, value)]),
    lambda headers, name, value: headers.update({"Fine": "a", name: value}),
    lambda headers, name, value: headers.setdefault(name, value),
    lambda _, name, value: ResponseHeaders({name: value}),
    lambda _, name, value: PyreResponse("x", headers={name: value}),
    lambda _, name, value: setattr(PyreResponse("x"), "headers", {name: value}),
]


def made(**headers: str) -> ResponseHeaders:
    return PyreResponse("x", headers={"X-First": "1", **headers}).headers


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize(("name", "value"), BROKEN)
def test_what_breaks_out_is_refused_where_it_is_set(name: Any, value: Any, way: int) -> None:
    headers = made()
    with pytest.raises(ValueError, match="header"):
        WAYS[way](headers, name, value)
    assert dict(headers) == {"X-First": "1"}


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize(("name", "value"), OF_ANOTHER_TYPE)
def test_other_types_are_refused_where_they_are_set(name: Any, value: Any, way: int) -> None:
    headers = made()
    with pytest.raises(TypeError, match="header"):
        WAYS[way](headers, name, value)
    assert dict(headers) == {"X-First": "1"}


@pytest.mark.parametrize("value", ["", "a", "\u00e9\xff", "a\tb", ["a", "b"], ("a",), []])
def test_what_may_be_sent(value: Any) -> None:
    headers = made()
    headers["X"] = value
    assert headers["X"] == value
    assert list(headers.items()) == [("X-First", "1"), ("X", value)]


def test_case_does_not_count_and_spelling_is_kept() -> None:
    headers = made(ETag="a", Age="5")
    assert (headers["etag"], headers.get("ETAG"), "eTag" in headers) == ("a", "a", True)
    assert list(headers) == ["X-First", "ETag", "Age"]
    headers["ETag"] = "b"
    assert list(headers) == ["X-First", "ETag", "Age"]
    headers["etag"] = "c"
    assert headers.copy() == {"X-First": "1", "Age": "5", "etag": "c"}
    assert headers.setdefault("ETag", "d") == "c"
    assert headers.pop("ETAG") == "c"
    del headers["AGE"]
    assert list(headers) == ["X-First"]


def test_two_spellings_given_at_once_stay_until_one_is_set() -> None:
    headers = PyreResponse("x", headers={"Link": "a", "link": "b"}).headers
    assert (headers["Link"], headers["link"], len(headers)) == ("a", "b", 2)
    headers["LINK"] = "c"
    assert dict(headers) == {"LINK": "c"}
    headers = PyreResponse("x", headers={"Link": "a", "link": "b"}).headers
    del headers["link"]
    assert not headers


def test_a_mapping_in_every_respect() -> None:
    headers = made()
    assert isinstance(headers, Mapping)
    assert isinstance(headers, MutableMapping)
    assert not isinstance(headers, dict)
    headers.update({"B": "2"}, C="3")
    headers.update([("D", "4")])
    headers.update(made())
    headers.update()
    assert dict(headers) == {"X-First": "1", "B": "2", "C": "3", "D": "4"}
    assert {**headers} == dict(headers) == headers.copy()
    assert type(headers.copy()) is dict
    assert list(headers.keys()) == ["X-First", "B", "C", "D"]
    assert list(headers.values()) == ["1", "2", "3", "4"]
    assert headers.pop("none", None) is None
    assert headers.pop("none", default="x") == "x"
    assert headers.get("none") is None
    assert headers.get("none", default=5) == 5
    assert headers.popitem() == ("D", "4")
    assert repr(headers) == "ResponseHeaders({'X-First': '1', 'B': '2', 'C': '3'})"
    assert len(headers) == 3
    headers.clear()
    assert len(headers) == 0
    assert dict(ResponseHeaders([("A", "1")], B="2")) == {"A": "1", "B": "2"}


def test_missing_names() -> None:
    headers: Any = made()
    for call in (
        lambda: headers["none"],
        lambda: headers.pop("none"),
        lambda: headers.__delitem__("none"),
        lambda: headers[5],
        lambda: ResponseHeaders().popitem(),
    ):
        with pytest.raises(KeyError):
            call()
    assert 5 not in headers
    assert [] not in headers
    for call in (
        lambda: headers.get(),
        lambda: headers.pop("a", "b", "c"),
        lambda: headers.setdefault("a"),
        lambda: headers.update({}, {}),
        lambda: headers.update(5),
        lambda: ResponseHeaders(5),  # type: ignore[arg-type]
        lambda: hash(headers),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(AttributeError):
        headers.nothing = 1


def test_equality() -> None:
    headers: Any = made(A="1")
    assert headers == {"X-First": "1", "A": "1"}
    assert headers == {"a": "1", "x-first": "1"}
    assert headers == made(a="1")
    assert headers != made(A="2")
    assert headers != made()
    assert headers != made(B="1")
    assert headers != {"A": "1", "a": "1"}
    assert headers != [("X-First", "1"), ("A", "1")]
    assert headers != "text"


def test_one_mapping_of_one_response() -> None:
    given = {"A": "1"}
    resp = PyreResponse("x", headers=given)
    assert resp.headers is resp.headers
    resp.headers["B"] = "2"
    assert given == {"A": "1"}
    earlier = resp.headers
    resp.headers = given
    assert resp.headers == {"A": "1"}
    assert resp.headers is not earlier
    other = PyreResponse("y", headers=resp.headers)
    other.headers["C"] = "3"
    assert resp.headers == {"A": "1"}
    assert PyreResponse("z").headers == {}


def test_references_balance() -> None:
    value = str(sys.maxsize)
    count = sys.getrefcount(value)
    resp = PyreResponse("x", headers={"A": value})
    for _ in range(10):
        resp.headers["B"] = value
        resp.headers["b"] = value
        assert resp.headers.pop("B") is value
        resp.headers.get("a")
        resp.headers.setdefault("c", value)
        assert resp.headers == {"A": value, "c": value}
        with pytest.raises(ValueError, match="header"):
            resp.headers.update({"D": value, "E": "\n"})
    resp.headers.clear()
    del resp
    assert sys.getrefcount(value) == count


def test_cycles_are_collected() -> None:
    class Marker(str):
        back: object

    import weakref

    marker = Marker("a")
    resp = PyreResponse("x")
    resp.headers["A"] = marker
    marker.back = resp.headers
    gone = weakref.ref(marker)
    del marker, resp
    gc.collect()
    assert gone() is None


def test_what_is_set_last_of_the_content_type_is_told() -> None:
    resp = PyreResponse("x", content_type="text/a", headers={"Content-type": "text/b", "X": "1"})
    assert resp.content_type == "text/a"
    assert dict(resp.headers) == {"X": "1"}
    resp.headers["content-TYPE"] = "text/c"
    assert resp.content_type == "text/c"
    resp.content_type = "text/d"
    assert (resp.content_type, dict(resp.headers)) == ("text/d", {"X": "1"})
    resp.headers = {"content-type": ["text/e", "text/f"]}
    assert resp.content_type == "text/f"
    resp.content_type = None
    assert (resp.content_type, dict(resp.headers)) == (None, {})


def test_what_may_stand_once_is_there_once() -> None:
    headers = ResponseHeaders({"location": "/a", "X": "1", "Location": "/b", "x": "2"})
    assert dict(headers) == {"X": "1", "Location": "/b", "x": "2"}
    assert headers["location"] == "/b"

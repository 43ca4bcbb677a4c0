"""Cookies, read and written; what they must not hold never reaches a header."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyreframework import (
    Pyre,
    PyreRequest,
    PyreResponse,
    delete_cookie,
    get_cookie,
    get_cookies,
    set_cookie,
)
from pyreframework.testing import TestClient


class Request:
    def __init__(self, cookie: str | None = None) -> None:
        self.headers = {} if cookie is None else {"cookie": cookie}


def lines(resp: PyreResponse) -> list[str]:
    found = resp.headers["Set-Cookie"]
    if isinstance(found, str):
        return [found]
    assert len(found) > 1, "one cookie is a str"
    return found


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (None, {}),
        ("", {}),
        (";;; ;", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2;c=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1; a=2", {"a": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("a", {}),
        ("=1", {}),
        ('a="quoted value"; b="', {"a": "quoted value", "b": '"'}),
        ("a=%20", {"a": "%20"}),
        ("  a  =  1  ", {"a": "1"}),
    ],
)
def test_reading(sent: str | None, found: dict[str, str]) -> None:
    assert get_cookies(Request(sent)) == found


def test_reading_one() -> None:
    assert get_cookie(Request("a=1"), "a") == "1"
    assert get_cookie(Request("a=1"), "b") is None
    assert get_cookie(Request("a=1"), "b", "x") == "x"


@given(st.text())
def test_reading_never_fails(sent: str) -> None:
    get_cookies(Request(sent))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "n=v; Path=/; SameSite=Lax"),
        ({"path": None, "samesite": None}, "n=v"),
        ({"max_age": 60, "samesite": None}, "n=v; Max-Age=60; Path=/"),
        ({"max_age": 0, "samesite": None}, "n=v; Max-Age=0; Path=/"),
        (
            {"domain": "example.org", "path": "/a", "samesite": "strict"},
            "n=v; Domain=example.org; Path=/a; SameSite=Strict",
        ),
        (
            {"secure": True, "httponly": True, "samesite": "None"},
            "n=v; Path=/; Secure; HttpOnly; SameSite=None",
        ),
    ],
)
def test_writing(options: dict[str, Any], line: str) -> None:
    assert lines(set_cookie(PyreResponse("x"), "n", "v", **options)) == [line]


@pytest.mark.parametrize(
    "expires",
    [
        1445412480,
        1445412480.5,
        datetime(2015, 10, 21, 7, 28),
        datetime(2015, 10, 21, 7, 28, tzinfo=UTC),
        datetime(2015, 10, 21, 9, 28, tzinfo=timezone(timedelta(hours=2))),
        "Wed, 21 Oct 2015 07:28:00 GMT",
    ],
)
def test_expires(expires: Any) -> None:
    (line,) = lines(set_cookie(PyreResponse("x"), "n", "v", expires=expires, samesite=None))
    assert line == "n=v; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/"


def test_a_new_response_with_all_that_was_there() -> None:
    first = PyreResponse("body", status_code=201, content_type="text/x", headers={"X-A": "1"})
    second = set_cookie(first, "a", "1", samesite=None)
    third = set_cookie(second, "b", "2", samesite=None)
    assert "Set-Cookie" not in first.headers
    assert lines(second) == ["a=1; Path=/"]
    assert lines(third) == ["a=1; Path=/", "b=2; Path=/"]
    assert (third.status_code, third.content_type, third.body) == (201, "text/x", "body")
    assert third.headers["X-A"] == "1"


def test_cookies_set_by_hand_are_kept() -> None:
    resp = PyreResponse("x", headers={"set-cookie": "a=1"})
    assert lines(set_cookie(resp, "b", "2", samesite=None)) == ["a=1", "b=2; Path=/"]


@pytest.mark.parametrize("name", ["Set-Cookie", "set-cookie", "SET-COOKIE"])
def test_one_cookie_is_a_str_and_a_list_from_the_second_on(name: str) -> None:
    one = set_cookie(PyreResponse("ok"), "session", "abc", httponly=True)
    assert isinstance(one.headers[name], str)
    assert "HttpOnly" in one.headers[name]
    gone = delete_cookie(PyreResponse("ok"), "session")
    assert isinstance(gone.headers[name], str) and "Max-Age=0" in gone.headers[name]
    for change in (set_cookie, delete_cookie):
        more = {} if change is delete_cookie else {"value": "2"}
        for before, count in (("a=1", 2), (["a=1"], 2), (["a=1", "b=1"], 3), ([], 1)):
            resp = change(PyreResponse("ok", headers={name: before}), "c", **more)
            found = lines(resp)
            assert len(found) == count and found[-1].startswith("c=")
            assert found[:-1] == ([before] if isinstance(before, str) else before)
            assert [key.lower() for key in resp.headers] == ["set-cookie"]


def test_deleting() -> None:
    (line,) = lines(delete_cookie(PyreResponse("x"), "n", path="/a", domain="example.org"))
    assert line == (
        "n=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=example.org; Path=/a; "
        "SameSite=Lax"
    )


@pytest.mark.parametrize("char", ["\r", "\n", "\0", ";", ",", "\x1f", "\x7f"])
def test_what_no_part_may_hold(char: str) -> None:
    bad = f"a{char}b"
    for arguments, options in (
        (("n", bad), {}),
        ((bad, "v"), {}),
        (("n", "v"), {"path": bad}),
        (("n", "v"), {"domain": bad}),
    ):
        with pytest.raises(ValueError, match="cookie"):
            set_cookie(PyreResponse("x"), *arguments, **options)
    if char != ",":
        with pytest.raises(ValueError, match="expires"):
            set_cookie(PyreResponse("x"), "n", "v", expires=bad)


@pytest.mark.parametrize(
    ("what", "arguments", "options"),
    [
        ("name", (1, "v"), {}),
        ("value", ("n", 5), {}),
        ("value", ("n", None), {}),
        ("value", ("n", b"v"), {}),
        ("path", ("n", "v"), {"path": 1}),
        ("domain", ("n", "v"), {"domain": b"d"}),
        ("samesite", ("n", "v"), {"samesite": True}),
        ("max_age", ("n", "v"), {"max_age": timedelta(1)}),
        ("expires", ("n", "v"), {"expires": date(2026, 1, 1)}),
    ],
)
def test_parts_of_other_types_are_named(what: str, arguments: Any, options: Any) -> None:
    with pytest.raises(TypeError, match=f"{what}.* must be"):
        set_cookie(PyreResponse("x"), *arguments, **options)


@pytest.mark.parametrize("name", ["", "a b", "a=b", '"a"', "caf\u00e9", "a/b", "[a]"])
def test_names_that_are_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="name of a cookie"):
        set_cookie(PyreResponse("x"), name, "v")


def test_samesite_is_checked() -> None:
    with pytest.raises(ValueError, match="samesite"):
        set_cookie(PyreResponse("x"), "n", "v", samesite="maybe")


@given(
    st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1),
    st.text(st.characters(exclude_characters=';,"\x7f \t', min_codepoint=33, max_codepoint=126)),
)
def test_what_is_written_is_read_back(name: str, value: str) -> None:
    (line,) = lines(set_cookie(PyreResponse("x"), name, value, samesite=None))
    assert get_cookies(Request(line.partition(";")[0])) == {name: value}


UTF8, LATIN1 = "J\xc3\xbcrgen", "J\xfcrgen"


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (UTF8, "Jürgen"),
        (LATIN1, "Jürgen"),
        ("\xe2\x82\xac", "€"),
        ("\xc3\xa0", "à"),
        ('"\xc3\xbc \xfc"', "\xc3\xbc \xfc"),
        ("日本", "日本"),
    ],
)
def test_reading_what_is_not_ascii(sent: str, value: str) -> None:
    assert get_cookies(Request(f"name={sent}; b=1")) == {"name": value, "b": "1"}
    assert get_cookie(Request(f"name={sent}"), "name") == value


def test_writing_what_is_not_ascii() -> None:
    once = set_cookie(PyreResponse("x"), "name", "Jürgen", path=None, samesite=None)
    assert lines(once) == [f"name={UTF8}"]
    twice = set_cookie(once, "other", "€", path=None, samesite=None)
    assert lines(twice) == [f"name={UTF8}", "other=\xe2\x82\xac"]
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        set_cookie(PyreResponse("x"), "name", "\ud800")


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=';,"'), min_size=1)
)
def test_what_is_written_is_read(value: str) -> None:
    (line,) = lines(set_cookie(PyreResponse("x"), "name", value, path=None, samesite=None))
    assert get_cookie(Request(line), "name") == value.strip(" \t")


@pytest.mark.parametrize("value", ["Jürgen", "à", "Å…", "日本 €", "plain"])
def test_all_who_read_cookies_agree(value: str) -> None:
    app = Pyre()

    @app.get("/set")
    def sets(req: PyreRequest) -> PyreResponse:
        return set_cookie(PyreResponse("x"), "name", value)

    @app.get("/read")
    def reads(req: PyreRequest) -> list[str | None]:
        return [req.cookies.get("name"), get_cookies(req).get("name"), get_cookie(req, "name")]

    with TestClient(app, mode="default") as client:
        assert client.get("/set").cookies == {"name": value}
        assert client.cookies["name"] == value
        assert client.get("/read").json() == [value] * 3
        client.cookies.clear()
        assert client.get("/read", cookies={"name": value}).json() == [value] * 3
        client.cookies["name"] = value
        assert client.get("/read").json() == [value] * 3
    with TestClient(app, mode="default") as client:
        # Not UTF-8 is Latin-1, for all of them.
        assert client.get("/read", headers={"Cookie": "name=J\xfcrgen"}).json() == ["Jürgen"] * 3


def test_methods_of_responses() -> None:
    resp = PyreResponse("x", headers={"set-cookie": "z=1"})
    resp.set_cookie("a", "\u00e9", max_age=5, httponly=True)
    resp.delete_cookie(name="b", path="/b")
    expected = delete_cookie(
        set_cookie(PyreResponse(), "a", "\u00e9", max_age=5, httponly=True), "b", path="/b"
    )
    assert resp.headers["Set-Cookie"] == ["z=1", *lines(expected)]
    one = PyreResponse()
    one.set_cookie("a", "1", samesite=None)
    assert one.headers["Set-Cookie"] == "a=1; Path=/"
    with pytest.raises(ValueError, match="must not hold"):
        one.set_cookie("a", "1;2")
    with pytest.raises(TypeError):
        one.set_cookie("a")  # type: ignore[call-arg]
    assert one.headers["Set-Cookie"] == "a=1; Path=/"


def test_a_cookie_leaves_the_length_of_an_answer_in_pieces() -> None:
    app = Pyre()

    @app.get("/")
    def pieces(req: PyreRequest) -> PyreResponse:
        resp = PyreResponse((text for text in "abc"), headers={"Content-Length": "3"})
        resp.set_cookie("a", "1")
        return resp

    with TestClient(app) as client:
        found = client.get("/")
        assert (found.text, found.headers["Content-Length"]) == ("abc", "3")
        assert client.cookies["a"] == "1"

"""`TestClient`: what it sends, and what it gives back."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from echoing import METHODS, echo, echoing

from pyreframework import HTTPError, Pyre, PyreRequest
from pyreframework.testing import Cookies, Headers, HTTPStatusError, TestClient, TestResponse
from pyreframework.testing.addresses import target

BASE = "http://127.0.0.1:80"


@pytest.fixture(scope="module")
def shared() -> Iterator[TestClient]:
    with TestClient(echoing()) as client:
        yield client


@pytest.fixture
def client(shared: TestClient) -> TestClient:
    shared.cookies.clear()
    return shared


# What is sent.


@pytest.mark.parametrize("method", METHODS)
def test_methods(client: TestClient, method: str) -> None:
    response = getattr(client, method.lower())("/echo/a")
    assert response.json()["method"] == response.method == method
    assert client.request(method.lower(), "/echo/a").json()["method"] == method


def test_head(client: TestClient) -> None:
    response = client.head("/status/200")
    assert (response.body, response.headers["Content-Length"]) == (b"", "4")
    assert client.head("/to/303/status/200").method == "HEAD"


@pytest.mark.parametrize(
    ("options", "body", "content_type"),
    [
        ({}, "", None),
        ({"json": {"a": [1, None, "\xe9"]}}, '{"a":[1,null,"\xc3\xa9"]}', "application/json"),
        ({"json": 0}, "0", "application/json"),
        ({"json": []}, "[]", "application/json"),
        ({"body": {"a": 1}}, '{"a":1}', "application/json"),
        ({"body": [1]}, "[1]", "application/json"),
        ({"body": b"\x00\xff"}, "\x00\xff", None),
        ({"body": bytearray(b"ab")}, "ab", None),
        ({"body": memoryview(b"ab")}, "ab", None),
        ({"body": "t\xe9xt"}, "t\xc3\xa9xt", None),
        ({"body": io.BytesIO(b"file")}, "file", None),
        ({"body": io.StringIO("text file")}, "text file", None),
        ({"body": ""}, "", None),
        ({"data": b"as is"}, "as is", None),
        ({"data": "as is"}, "as is", None),
        (
            {"data": {"a": "x y", "b": [1, True, None], "c": "&"}},
            "a=x+y&b=1&b=true&b=&c=%26",
            "application/x-www-form-urlencoded",
        ),
        ({"data": [("a", 1), ("a", 2)]}, "a=1&a=2", "application/x-www-form-urlencoded"),
        ({"json": 1, "headers": {"content-type": "x/y"}}, "1", "x/y"),
    ],
)
def test_bodies(
    client: TestClient, options: dict[str, Any], body: str, content_type: str | None
) -> None:
    seen = echo(client, **options)
    assert seen["body"] == body
    assert seen["headers"].get("content-type") == content_type
    assert seen["headers"]["content-length"] == str(len(body))
    assert "transfer-encoding" not in seen["headers"]


def test_a_body_in_chunks(client: TestClient) -> None:
    pieces = ["one ", b"two ", bytearray(b"three")]
    seen = echo(client, body=(piece for piece in pieces))
    assert seen["body"] == "one two three"
    assert seen["headers"]["transfer-encoding"] == "chunked"
    seen = echo(client, body=iter([b"ab", b"c"]), headers={"Content-Length": "3"})
    assert (seen["body"], seen["headers"]["content-length"]) == ("abc", "3")


def test_a_get_without_a_body_says_nothing_of_one(client: TestClient) -> None:
    assert "content-length" not in echo(client, "GET")["headers"]
    assert echo(client, "GET", body=b"abc")["body"] == "abc"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"json": 1, "body": b"x"}, "json= or body="),
        ({"data": {"a": 1}, "body": b"x"}, "data= or files= or body="),
        ({"files": {"a": b"x"}, "json": 1}, "json= or data= or files="),
        ({"json": float("nan")}, "not JSON compliant"),
        ({"files": {"a": ("only",)}}, "a file is"),
        ({"files": {"a": ("n", b"", "x/y\r\nEvil: 1")}}, "one line"),
        ({"headers": {"X": "a\r\nEvil: 1"}}, "Invalid header value"),
    ],
)
def test_what_cannot_be_sent(client: TestClient, options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        client.post("/echo/x", **options)
    assert client.get("/status/200").ok


@pytest.mark.parametrize(
    "options", [{"body": 5}, {"body": [b"x"]}, {"body": iter([5])}, {"files": {"a": 5}}]
)
def test_content_of_a_wrong_type(client: TestClient, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        client.post("/echo/x", **options)
    assert client.get("/status/200").ok


def test_unknown_arguments_are_refused(client: TestClient) -> None:
    with pytest.raises(TypeError, match="content"):
        client.post("/echo/x", content=b"x")  # type: ignore[call-arg]


def test_files(client: TestClient, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("on disk")
    with file.open("rb") as opened:
        seen = echo(
            client,
            data={"title": "T", "tags": ["a", "b"]},
            files=[
                ("disk", opened),
                ("plain", b"\x00\xff"),
                ("named", ('a"b\r\n.png', b"png")),
                ("typed", ("n", "te\xe9xt", "text/x-test")),
                ("more", ("n", b"m", "a/b", {"X-More": "1"})),
                ("own", ("n.txt", b"o", None, {"content-type": "a/b"})),
                ("field", (None, "no file")),
            ],
        )
    kind, _, boundary = seen["headers"]["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    before, *parts, after = seen["body"].split(f"--{boundary}")
    assert (before, after) == ("", "--\r\n")
    disposition = "\r\nContent-Disposition: form-data; name="
    octets = "\r\nContent-Type: application/octet-stream\r\n\r\n"
    assert parts == [
        f'{disposition}"title"\r\n\r\nT\r\n',
        f'{disposition}"tags"\r\n\r\na\r\n',
        f'{disposition}"tags"\r\n\r\nb\r\n',
        f'{disposition}"disk"; filename="notes.txt"\r\nContent-Type: text/plain\r\n\r\non disk\r\n',
        f'{disposition}"plain"; filename="plain"{octets}\x00\xff\r\n',
        (
            f'{disposition}"named"; filename="a%22b%0D%0A.png"\r\n'
            "Content-Type: image/png\r\n\r\npng\r\n"
        ),
        f'{disposition}"typed"; filename="n"\r\nContent-Type: text/x-test\r\n\r\nte\xc3\xa9xt\r\n',
        f'{disposition}"more"; filename="n"\r\nContent-Type: a/b\r\nX-More: 1\r\n\r\nm\r\n',
        f'{disposition}"own"; filename="n.txt"\r\ncontent-type: a/b\r\n\r\no\r\n',
        f'{disposition}"field"\r\n\r\nno file\r\n',
    ]


def test_names_of_files_are_made_text_as_those_of_fields_are(client: TestClient) -> None:
    numbered: Any = {1: b"x"}
    assert 'name="1"; filename="1"' in echo(client, files=numbered)["body"]


def test_headers_that_are_sent(client: TestClient) -> None:
    seen = echo(client, headers=[("X-Two", "1"), ("x-two", b"2"), ("User-Agent", "me")])["headers"]
    assert seen["x-two"] == "1, 2"
    assert seen["user-agent"] == "me"
    assert seen["host"] == client.base_url.removeprefix("http://")
    seen = echo(client, headers={"User-Agent": None, "Accept": None})["headers"]
    assert not {"user-agent", "accept"} & set(seen)
    assert echo(client, headers={"Host": "other.test"})["headers"]["host"] == "other.test"


def test_headers_of_the_client() -> None:
    with TestClient(echoing(), headers={"X-Key": "k", "Accept": "a/b"}) as client:
        client.headers["X-More"] = "m"
        seen = echo(client)["headers"]
        assert (seen["x-key"], seen["x-more"], seen["accept"]) == ("k", "m", "a/b")
        assert echo(client, headers={"x-key": "other"})["headers"]["x-key"] == "other"


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/", None, "/"),
        ("", None, "/"),
        ("a/b", None, "/a/b"),
        ("/a?x=1", {"y": 2}, "/a?x=1&y=2"),
        ("/a", {"x": ["1", 2], "y": None, "z": "\xe9 &"}, "/a?x=1&x=2&y=&z=%C3%A9+%26"),
        ("/a", [("x", 1), ("x", True)], "/a?x=1&x=true"),
        ("/a", "?raw=1", "/a?raw=1"),
        ("/a", {}, "/a"),
        ("/caf\xe9 au/%20%2F", None, "/caf%C3%A9%20au/%20%2F"),
        ("/a/../b//c", None, "/a/../b//c"),
        ("//double", None, "//double"),
        ("/a#part", None, "/a"),
        ("/a?b=http://c.test/", None, "/a?b=http://c.test/"),
        ("http://127.0.0.1/a?b", None, "/a?b"),
        ("http://127.0.0.1:80", None, "/"),
        ("/to/http://c.test/", None, "/to/http://c.test/"),
        ("*", None, "*"),
    ],
)
def test_targets(path: str, params: Any, expected: str) -> None:
    assert target(BASE, path, params) == expected


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:81/", "https://127.0.0.1:80/", "http://example.com/", "http://127.0.0.1:x/"],
)
def test_other_servers_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an address of the app"):
        target(BASE, url)


def test_a_path_is_received_as_it_was_meant(client: TestClient) -> None:
    seen = echo(client, "GET", "/echo/a b/\xe9?q=1", params={"r": "x y"})
    assert (seen["path"], seen["query"]) == ("/echo/a%20b/%C3%A9", "q=1&r=x+y")


# Redirects.


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("GET", 301, "GET"),
        ("GET", 308, "GET"),
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
    ],
)
def test_redirects(client: TestClient, method: str, status: int, then: str) -> None:
    body = b"kept" if method != "GET" else None
    response = client.request(method, f"/to/{status}/echo/b", body=body, headers={"X-A": "1"})
    seen = response.json()
    assert (seen["method"], seen["path"]) == (then, "/echo/b")
    assert seen["body"] == ("kept" if then == method != "GET" else "")
    assert seen["headers"]["x-a"] == "1"
    assert response.url == f"{client.base_url}/echo/b"
    assert [(one.status_code, one.text) for one in response.history] == [(status, "moved")]
    assert response.history[0].url == f"{client.base_url}/to/{status}/echo/b"


def test_a_chain_of_redirects(client: TestClient) -> None:
    response = client.get("/to/302/to/307/status/201")
    assert response.status_code == 201
    assert [one.status_code for one in response.history] == [302, 307]
    assert [len(one.history) for one in response.history] == [0, 1]


def test_redirects_that_are_not_followed(client: TestClient) -> None:
    response = client.get("/to/302/status/200", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (302, "/status/200")
    assert response.history == []
    elsewhere = client.get("/to/302/http://example.com/")
    assert (elsewhere.status_code, elsewhere.headers["location"]) == (302, "http://example.com/")
    with TestClient(client.app, follow_redirects=False) as other:
        assert other.get("/to/302/status/200").status_code == 302
        assert other.get("/to/302/status/200", follow_redirects=True).status_code == 200


def test_redirects_without_end(client: TestClient) -> None:
    with pytest.raises(RuntimeError, match="more than 20 redirects"):
        client.get("/loop")


def test_a_redirect_cannot_send_an_iterable_again(client: TestClient) -> None:
    with pytest.raises(RuntimeError, match="used up"):
        client.post("/to/307/echo/b", body=iter([b"x"]))
    assert client.post("/to/303/echo/b", body=iter([b"x"])).json()["body"] == ""


# Cookies.


def test_cookies_are_kept_and_sent(client: TestClient) -> None:
    response = client.get("/cookies/plain")
    assert response.cookies == {"plain": "1"}
    assert dict(client.cookies) == {"plain": "1"}
    assert echo(client)["cookies"] == {"plain": "1"}
    assert echo(client, cookies={"more": "2"})["cookies"] == {"plain": "1", "more": "2"}
    assert echo(client)["cookies"] == {"plain": "1"}
    assert echo(client, headers={"Cookie": "own=3"})["cookies"] == {"own": "3"}
    assert client.get("/cookies/expired").cookies == {}
    assert echo(client)["cookies"] == {}
    assert not client.cookies


def test_a_path_limits_a_cookie(client: TestClient) -> None:
    assert client.get("/cookies/path").cookies == {"deep": "1"}
    assert echo(client, path="/echo/deep/er")["cookies"] == {"deep": "1"}
    assert echo(client, path="/echo/other")["cookies"] == {}


@pytest.mark.parametrize("kind", ["domain", "secure"])
def test_cookies_that_are_not_for_us(client: TestClient, kind: str) -> None:
    client.get(f"/cookies/{kind}").raise_for_status()
    assert echo(client)["cookies"] == {}


def test_cookies_set_by_hand(client: TestClient) -> None:
    client.cookies["a"] = "1"
    client.cookies.update({"b": "2"})
    assert echo(client)["cookies"] == {"a": "1", "b": "2"}
    del client.cookies["a"]
    assert echo(client)["cookies"] == {"b": "2"}
    with TestClient(client.app, cookies={"c": "3"}) as other:
        assert echo(other)["cookies"] == {"c": "3"}
        assert echo(client)["cookies"] == {"b": "2"}


def test_the_mapping_of_cookies() -> None:
    cookies = Cookies({"a": "1"})
    cookies.set("a", "2", path="/deep")
    cookies.set("b", "3", domain="example.com")
    assert (len(cookies), list(cookies), cookies["a"], cookies["b"]) == (2, ["a", "b"], "2", "3")
    assert "a" in cookies and "c" not in cookies and cookies.get("c") is None
    assert repr(cookies) == "Cookies({'a': '2', 'b': '3'})"
    assert cookies.header_for(f"{BASE}/deep/x") == "a=2; a=1"
    assert cookies.header_for(f"{BASE}/x") == "a=1"
    cookies.delete("a", path="/deep")
    assert cookies["a"] == "1"
    for absent in (lambda: cookies["c"], lambda: cookies.delete("a", domain="no")):
        with pytest.raises(KeyError):
            absent()
    cookies["a"] = "4"
    assert cookies.header_for(f"{BASE}/") == "a=4"


# What comes back.


def test_a_response(client: TestClient) -> None:
    response = client.get("/headers")
    assert response.status_code == 200 and response.ok
    assert (response.reason, repr(response)) == ("OK", "<TestResponse [200 OK]>")
    assert response.body == response.content == b"caf\xe9"
    assert (response.encoding, response.text) == ("latin-1", "caf\xe9")
    assert response.url == f"{client.base_url}/headers"
    assert timedelta(0) < response.elapsed < timedelta(minutes=1)
    assert response.headers["x-ONE"] == "1" == response.headers.get("X-One")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2; Path=/"]
    assert response.cookies == {"a": "1", "b": "2"}
    assert response.raise_for_status() is response
    with pytest.raises(ValueError, match="can't decode"):
        response.json()


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_raise_for_status(client: TestClient, status: int) -> None:
    response = client.get(f"/status/{status}")
    assert not response.ok
    with pytest.raises(
        HTTPStatusError, match=f"^{status} .* for GET http://.*/{status}$"
    ) as caught:
        response.raise_for_status()
    assert caught.value.response is response


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=utf-8", b"\xc3\xa9", "\xe9"),
        ("text/plain", b"\xc3\xa9\xff", "\xe9\ufffd"),
        ("text/plain; charset=nonsense", b"\xc3\xa9", "\xe9"),
        ('text/plain; charset="UTF-16"', "\xe9".encode("utf-16"), "\xe9"),
        (None, b"plain", "plain"),
    ],
)
def test_text(content_type: str | None, body: bytes, text: str) -> None:
    fields = [] if content_type is None else [("Content-Type", content_type)]
    assert TestResponse(200, body, Headers(fields)).text == text


def test_headers_are_a_mapping() -> None:
    headers = Headers([("B", "1"), ("Set-Cookie", "x"), ("b", "2"), ("A", "3")])
    assert list(headers) == ["B", "Set-Cookie", "A"]
    assert dict(headers) == {"B": "1, 2", "Set-Cookie": "x", "A": "3"}
    assert len(headers) == 3
    assert "a" in headers and "C" not in headers and 5 not in headers
    assert headers.get_list("c") == [] and headers.get("c", "no") == "no"
    assert headers.multi_items() == [("B", "1"), ("Set-Cookie", "x"), ("b", "2"), ("A", "3")]
    with pytest.raises(KeyError):
        headers["c"]


def test_errors_of_handlers_are_answers_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = Pyre()

    @app.get("/fails")
    def fails(req: PyreRequest) -> None:
        raise LookupError("secret")

    @app.get("/teapot")
    def teapot(req: PyreRequest) -> None:
        raise HTTPError(418)

    with TestClient(app) as client, caplog.at_level(logging.ERROR):
        response = client.get("/fails")
        assert (response.status_code, response.json()) == (500, {"error": "internal server error"})
        assert client.get("/teapot").status_code == 418
    assert "LookupError: secret" in caplog.text

"""What other sites make browsers send is refused; what this site and programs send is not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from places import PLACES
from serving import Server, serve

FRIEND = "https://friend.example"


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sessions", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server


COOKIE = {"Cookie": "session=any"}
PASSES = {
    "a program": {},
    "a program with a key": {"Authorization": "Bearer x"},
    "this origin": {"Sec-Fetch-Site": "same-origin"},
    "the user himself": {"Sec-Fetch-Site": "none"},
    "a friend": {"Sec-Fetch-Site": "cross-site", "Origin": FRIEND},
    "a friend, in an old browser": {"Origin": FRIEND},
    "the origin of the host": {"Origin": "http://app.example"},
    "its port left out": {"Origin": "http://app.example", "Host": "app.example:80"},
    "its port": {"Origin": "http://app.example:81", "Host": "app.example:81"},
    "behind a proxy": {"Origin": "https://app.example", "X-Forwarded-Proto": "https"},
}
REFUSED = {
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another host of the site": {"Sec-Fetch-Site": "same-site"},
    "a word to come": {"Sec-Fetch-Site": "same-planet"},
    "another origin": {"Origin": "http://evil.example"},
    "no origin": {"Origin": "null"},
    "a prefix": {"Origin": "http://app.example.evil.example"},
    "another port": {"Origin": "http://app.example:81"},
    "another scheme, as said anew": {"Origin": "http://app.example", "Forwarded": "proto=https"},
    "another scheme": {"Origin": "http://app.example", "X-Forwarded-Proto": "https"},
    "another scheme, behind what is quoted": {
        "Origin": "http://app.example",
        "Forwarded": 'for="a;proto=http,b";proto=https',
    },
    "a friend's name": {"Origin": "http://friend.example"},
    "neither": {},
    "a program with a password": {"Authorization": "Basic YTpi"},
}


@pytest.mark.parametrize("kind", PASSES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_passes(server: Server, method: str, kind: str) -> None:
    cookie = {} if kind.startswith("a program") else COOKIE
    headers = {"Host": "app.example"} | cookie | PASSES[kind]
    reply = httpx.request(method, f"{server.url}/do", headers=headers)
    assert (reply.status_code, reply.text) == (200, "done")


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("path", ["/do", "/do_async", "/field", "/body", "/nowhere"])
def test_refused(server: Server, path: str, kind: str) -> None:
    cookie = {} if kind.startswith("a program") else COOKIE
    headers = {"Host": "app.example"} | cookie | REFUSED[kind]
    reply = httpx.post(f"{server.url}{path}", headers=headers, data={"a": "b"})
    if path == "/nowhere":
        # There is nothing to be done in anybody's name.
        assert reply.status_code == 404
        return
    assert reply.status_code == 403
    assert reply.json()["error"].startswith("refused: ")


@pytest.mark.parametrize(
    ("target", "host", "origin", "status"),
    [
        ("http://a.example", "b.example", "http://a.example", 200),
        ("http://a.example:81", "a.example", "http://a.example:81", 200),
        ("http://a.example:80", "b.example", "http://a.example", 200),
        ("http://a.example", "b.example", "http://b.example", 403),
        ("http://a.example", "a.example:81", "http://a.example:81", 403),
    ],
)
def test_a_target_with_a_host_goes_before_the_field(
    server: Server, target: str, host: str, origin: str, status: int
) -> None:
    """RFC 9112 section 3.2.2."""
    headers = [("Host", host), ("Origin", origin), ("Cookie", "session=any")]
    for path in ("/do", "/do_async"):
        assert server.request("POST", target + path, headers).status == status


def test_reading_is_for_everybody(server: Server) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        headers = COOKIE | {"Sec-Fetch-Site": "cross-site"}
        reply = httpx.request(method, f"{server.url}/plain", headers=headers)
        assert reply.status_code in (200, 204)


def test_routes_that_check_for_themselves(server: Server) -> None:
    headers = COOKIE | {"Sec-Fetch-Site": "cross-site"}
    assert httpx.post(f"{server.url}/exempt/me", headers=headers).text == "done"


def test_tokens(server: Server) -> None:
    with httpx.Client(base_url=server.url) as one, httpx.Client(base_url=server.url) as other:
        first, second = one.get("/token").json()
        assert first != second and len(first) == len(second) == 43
        stolen = other.get("/token").json()[0]
        for token in (first, second):
            assert one.post("/do", headers={"X-CSRF-Token": token}).text == "done"
            assert one.post("/do_async", headers={"X-CSRF-Token": token}).text == "done"
            form = {"csrf_token": token, "name": "value"}
            assert one.post("/field", data=form).json() == form
            files = {"file": ("a.txt", b"data")}
            assert one.post("/field", data=form, files=files).json() == form
        # A page can be open for long.
        assert one.post("/do", headers={"X-CSRF-Token": first}).text == "done"
        assert one.post("/body", headers={"X-CSRF-Token": first}, content=b"12345").text == "5"
        for token in (stolen, "", "A" * 43, first[:-1], "\x7f", "A", first + "AAAA"):
            raw = [(b"X-CSRF-Token", token.encode())]
            if token != "\x7f":
                assert one.post("/do", headers=raw).status_code == 403
            assert one.post("/field", data={"csrf_token": token}).status_code == 403
        # Only what a page can send is read for it.
        assert one.post("/do", json={"csrf_token": first}).status_code == 403
        assert one.post("/body", data={"csrf_token": first}).status_code == 403


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_refused_is_in_the_log(form: str) -> None:
    """With the reason, and once for a while: pages can send as much as they like."""
    with serve("sessions", workers=1, log_format=form) as server:
        for origin in ("http://evil.example", "http://other.example"):
            for headers in ([("Cookie", "a=b"), ("Origin", origin)],) * 3:
                assert server.request("POST", "/exempt/x", headers).status == 200
                assert server.request("POST", "/do", headers).status == 403
        line = server.output.wait_for("http://evil.example").string
        server.stop()
        assert "POST /do " in line and "403" in line and "warning" in line.lower()
        assert "other.example" not in server.output.text()
    with serve("sessions", workers=1) as server:
        headers = [("Cookie", "a=b"), ("Sec-Fetch-Site", "\x9b31m" + "x" * 3000)]
        assert server.request("POST", "/field", headers).status == 403
        line = server.output.wait_for("POST /field .*x{50}").string
        assert "\x9b" not in line and len(line) < 500

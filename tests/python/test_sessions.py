"""`app.sessions` and `app.enable_csrf` without a server: what is refused, and what a session is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pyreframework import Pyre, PyreWebSocket
from pyreframework.sessions import Session, SessionStore, packed, unpacked
from pyreframework.testing import TestClient

SECRET = "a secret of this test alone"


class Store(SessionStore):
    """Keeps nothing."""

    def load(self, key: str) -> None:
        return None

    def save(self, key: str, data: dict[str, object], max_age: float) -> None:
        return None

    def delete(self, key: str) -> None:
        return None


class Loads(SessionStore):
    def load(self, key: str) -> None:
        return None


class HalfAsync(Store):
    async def save(self, key: str, data: dict[str, object], max_age: float) -> None:
        return None


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"secret": "short"}, ValueError, "16 bytes or more, not 5; make one with: python -c"),
        ({"secret": []}, ValueError, "needs a secret"),
        ({"secret": [SECRET, 1]}, TypeError, "str or bytes, not int"),
        ({"secret": None}, TypeError, "str or bytes, not NoneType: is the variable of the environ"),
        ({"secret": 5}, TypeError, "str or bytes, not int"),
        ({"secret": bytearray(32)}, TypeError, "str or bytes, not bytearray: give bytes(secret)"),
        ({"secret": memoryview(bytes(32))}, TypeError, "not memoryview: give bytes(secret)"),
        ({"secret": [bytearray(32)]}, TypeError, "not bytearray: give bytes(secret)"),
        ({"secret": {SECRET}}, TypeError, "the first one signs: give a list, not set"),
        ({"secret": {SECRET: 1}}, TypeError, "the first one signs: give a list, not dict"),
        ({"cookie": "a" * 5000}, ValueError, "its name takes 5,000 of the 4,096 bytes that brows"),
        ({"cookie": "a" * 4000}, ValueError, "its name takes 4,000 of the 4,096 bytes that brows"),
        ({"cookie": "a b"}, ValueError, "cannot be the name of a cookie"),
        ({"max_age": 0}, ValueError, "1 second or more, .*not 0"),
        ({"max_age": -1.5}, ValueError, "1 second or more"),
        ({"max_age": float("nan")}, ValueError, "1 second or more"),
        ({"max_age": True}, TypeError, "not bool"),
        ({"max_age": "1h"}, TypeError, "not str"),
        ({"path": "/a;b"}, ValueError, "path"),
        ({"domain": "a\nb"}, ValueError, "domain"),
        ({"path": "a"}, ValueError, "path must begin with '/': '/a'"),
        ({"path": ""}, ValueError, "path must begin with '/': '/'"),
        ({"path": "/a b"}, ValueError, "path must be as in a URL, percent-encoded: '/a%20b'"),
        ({"path": "/\u00e9"}, ValueError, "percent-encoded: '/%C3%A9'"),
        ({"path": 1}, TypeError, "path of a cookie must be a str, not int"),
        ({"domain": "a b"}, ValueError, "domain must be the name of a host, such as example.com"),
        ({"domain": ""}, ValueError, "domain must be the name of a host"),
        ({"domain": "https://a.b"}, ValueError, "domain must be the name of a host"),
        ({"domain": "a.b:80"}, ValueError, "domain must be the name of a host"),
        ({"domain": "a..b"}, ValueError, "domain must be the name of a host"),
        ({"domain": "b\u00fccher.example"}, ValueError, "as DNS has it (xn--)"),
        ({"secure": "no"}, TypeError, "secure must be True, False or None, not 'no'"),
        ({"secure": 1}, TypeError, "secure must be True, False or None, not 1"),
        ({"httponly": "no"}, TypeError, "httponly must be True or False, not 'no'"),
        ({"httponly": None}, TypeError, "httponly must be True or False, not None"),
        ({"samesite": 1}, ValueError, "Lax, Strict or None"),
        ({"samesite": "loose"}, ValueError, "Lax, Strict or None"),
        ({"samesite": "None"}, ValueError, "only with secure=True"),
        ({"samesite": "none", "secure": False}, ValueError, "only with secure=True"),
        ({"cookie": "__Host-a"}, ValueError, "only with secure=True"),
        ({"cookie": "__Secure-a", "secure": False}, ValueError, "only with secure=True"),
        ({"cookie": "__Host-a", "secure": True, "path": "/a"}, ValueError, 'path="/"'),
        ({"cookie": "__Host-a", "secure": True, "domain": "b.c"}, ValueError, "no domain"),
        ({"store": "state"}, ValueError, "is not there yet"),
        ({"store": {}}, TypeError, "load, save and delete"),
        ({"store": Store}, TypeError, "store is the class Store: give one that was made of it"),
        ({"store": Loads()}, TypeError, "Loads has no save() of its own"),
        ({"store": HalfAsync()}, TypeError, "async def functions all, or none"),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    app = Pyre()
    with pytest.raises(error, match=text.replace("(", r"\(").replace(")", r"\)")):
        app.sessions(**{"secret": SECRET} | options)
    app.sessions(SECRET)


@pytest.mark.parametrize(
    "options",
    [
        {"secret": SECRET.encode()},
        {"secret": (SECRET, b"another one, of that length")},
        {"max_age": timedelta(hours=1)},
        {"max_age": None},
        {"cookie": "__Host-a", "secure": True},
        {"samesite": None},
        {"secret": iter([SECRET])},
        {"cookie": "a" * 3900},
        {"domain": ".a-b.example", "path": "/a/b", "secure": False, "httponly": False},
        {"domain": "xn--bcher-kva.example", "path": None},
        {"domain": "127.0.0.1"},
        {"samesite": "None", "secure": True},
        {"store": Store()},
    ],
)
def test_what_is_taken(options: dict[str, Any]) -> None:
    app = Pyre()
    app.sessions(**{"secret": SECRET} | options)
    with pytest.raises(ValueError, match="called before"):
        app.sessions(SECRET)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"trusted_origins": "https://a.example"}, TypeError, "a list of str"),
        ({"trusted_origins": ["https://a.example/"]}, ValueError, "is no origin"),
        ({"exempt": "/a"}, TypeError, "a list of str"),
        ({"exempt": ["a"]}, ValueError, "no pattern of a route: 'a'"),
        ({"trusted_origins": None}, TypeError, "a list of str, not NoneType"),
        ({"trusted_origins": [b"https://a"]}, TypeError, "a list of str: bytes is in it"),
        ({"trusted_origins": ["https://*.a.b"]}, ValueError, "each is written out$"),
        ({"trusted_origins": ["HTTPS://A.B:443"]}, ValueError, "it is 'https://a.b'"),
        ({"exempt": b"/a"}, TypeError, "a list of str"),
        ({"exempt": [1]}, TypeError, "a list of str: int is in it"),
        ({"header": ""}, ValueError, "header is a name that HTTP knows, not ''"),
        ({"header": "a b"}, ValueError, "header is a name that HTTP knows, not 'a b'"),
        ({"header": "x-é"}, ValueError, "header is a name that HTTP knows"),
        ({"header": None}, TypeError, "header is a str, not NoneType"),
        ({"field": ""}, ValueError, "field is empty"),
        ({"field": None}, TypeError, "field is a str, not NoneType"),
    ],
)
def test_what_csrf_refuses(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Pyre().enable_csrf(**options)


def test_csrf_is_guarded_against_once() -> None:
    app = Pyre()
    with pytest.raises(ValueError, match="is no origin"):
        app.enable_csrf(trusted_origins=["a"])
    app.enable_csrf()
    with pytest.raises(ValueError, match=r"enable_csrf\(\) was called before: name all"):
        app.enable_csrf(trusted_origins=["https://a.example"])


def test_what_is_exempt_is_a_route() -> None:
    app = Pyre()
    app.enable_csrf(exempt=["/hooks/{name}", "/hook/{id}", "/metrics"])
    app.post("/hooks/{name}", lambda req, name: name)
    with pytest.raises(
        ValueError, match=r"exempt: no route has the pattern '/hook/\{id\}'"
    ) as error:
        TestClient(app).get("/")
    assert "did you mean '/hooks/{name}'?" in str(error.value)
    app.post("/hook/{id}", lambda req, id: id)
    app.post("/metrics", lambda: "none")
    with TestClient(app) as client:
        assert client.post("/hook/7", headers={"Sec-Fetch-Site": "cross-site"}).text == "7"


def test_origins_have_no_case() -> None:
    """Browsers send them in small letters (RFC 6454 section 4)."""
    app = Pyre()
    app.enable_csrf(trusted_origins=["https://Friend.Example"])
    app.post("/", lambda: "done")
    with TestClient(app) as client:
        for origin in ("https://friend.example", "https://FRIEND.example"):
            headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
            assert client.post("/", headers=headers).text == "done"


def test_a_guard_without_sessions() -> None:
    """There can be no tokens: what says nothing of where it comes from is refused."""
    app = Pyre()
    app.enable_csrf()
    app.post("/", lambda: "done")
    with TestClient(app) as client:
        assert client.post("/").text == "done"
        answer = client.post("/", headers={"Cookie": "a=b", "X-CSRF-Token": "A" * 43})
        assert answer.status_code == 403
        assert "Sec-Fetch-Site" in answer.json()["error"]
        assert "token" not in answer.json()["error"]


def test_an_app_without_sessions_says_so() -> None:
    app = Pyre()

    @app.get("/")
    def index(req: Any) -> str:
        with pytest.raises(RuntimeError, match=r"call app\.sessions\(secret=\.\.\.\)"):
            return str(req.session)
        with pytest.raises(RuntimeError, match=r"call app\.sessions\(secret=\.\.\.\)"):
            return str(req.csrf_token)
        return "said"

    with TestClient(app) as client:
        assert client.get("/").text == "said"


def test_the_jar_of_a_test_client_keeps_it() -> None:
    app = Pyre()
    app.sessions(SECRET)
    app.enable_csrf()

    @app.post("/visit")
    def visit(req: Any) -> int:
        req.session["visits"] = req.session.get("visits", 0) + 1
        return int(req.session["visits"])

    @app.get("/token")
    def token(req: Any) -> str:
        return str(req.csrf_token)

    with TestClient(app) as client:
        assert client.post("/visit").json() == 1
        assert client.post("/visit").status_code == 403
        headers = {"x-csrf-token": client.get("/token").text}
        assert [client.post("/visit", headers=headers).json() for _ in range(2)] == [2, 3]


def test_the_jar_of_a_test_client_keeps_that_of_a_websocket() -> None:
    app = Pyre()
    app.sessions(SECRET)

    @app.before_request
    def count(req: Any) -> None:
        req.session["opened"] = req.session.get("opened", 0) + 1
        req.state.opened = req.session["opened"]

    @app.websocket("/ws")
    async def tell(ws: PyreWebSocket) -> None:
        await ws.send(str(ws.state.opened))

    with TestClient(app) as client:
        for number in ("1", "2", "3"):
            with client.websocket_connect("/ws") as ws:
                assert ws.receive_text() == number


CHANGES = {
    "set": lambda one: one.__setitem__("a", 1),
    "delete": lambda one: one.__delitem__("a"),
    "update": lambda one: one.update(a=2),
    "or": lambda one: one.__ior__({"a": 2}),
    "pop": lambda one: one.pop("a"),
    "popitem": lambda one: one.popitem(),
    "setdefault": lambda one: one.setdefault("a", 2),
    "clear": lambda one: one.clear(),
    "renew": lambda one: one.renew(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_closed_session_is_read_only(change: str) -> None:
    closed = Session()
    closed["a"] = 1
    closed._is_closed = True
    with pytest.raises(RuntimeError, match="a change of the session would be lost"):
        CHANGES[change](closed)
    assert closed == {"a": 1}


def test_it_is_a_dict() -> None:
    session = Session()
    session |= {"a": 1}
    session.update([("b", 2)], c=3)
    assert session.setdefault("a", 9) == 1 and session.pop("z", None) is None
    assert session.pop("c") == 3 and session.popitem() == ("b", 2)
    assert session == {"a": 1} and isinstance(session, Session)


def test_packing() -> None:
    for length in range(70):
        data = bytes(range(200 - length, 200))
        assert unpacked(packed(data)) == data
        assert set(packed(data)).isdisjoint("+/=")

"""Headers that hooks set on answers of handlers, on workers and on main."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from serving import serve

PROGRAM = """
    from pyreframework import Pyre, PyreResponse

    app = Pyre()
    CONSTANT = {"X-From": "tuple"}

    @app.get("/tuple")
    def of_tuple(req):
        return "x", 200, CONSTANT

    @app.get("/plain")
    def plain(req):
        return "x"

    @app.get("/response")
    def response(req):
        return PyreResponse("x", headers={"X-From": "response", "x-seen": "handler"})

    @app.get("/list")
    def changed_list(req):
        resp = PyreResponse("x", headers={"X": ["a"]})
        resp.headers["X"].append("a\\r\\nInjected: 1")
        return resp

    @app.get("/body")
    def body(req):
        return PyreResponse(memoryview(b"0123456789")[::-3])

    @app.get("/released")
    def released(req):
        view = memoryview(b"0123456789")
        view.release()
        return view

    @app.get("/constant")
    def constant(req):
        return CONSTANT

    @app.after_request
    def seen(req, resp):
        resp.headers["X-Seen"] = "hook"

    app.run()
"""


@pytest.mark.parametrize("mode", [None, "default"])
def test_headers_of_hooks(tmp_path: Path, mode: str | None) -> None:
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(PROGRAM))
    with serve(file, mode=mode, workers=1) as server:
        for name in ("tuple", "plain", "response", "tuple"):
            reply = server.get(f"/{name}")
            assert reply.all("x-seen") == ["hook"]
            assert reply.header("x-from") == (None if name == "plain" else name)
        # What the hook set is on the response, not in the dict that the handler gave.
        assert server.get("/constant").json() == {"X-From": "tuple"}
        reply = server.get("/list")
        assert (reply.status, reply.header("injected")) == (500, None)
        reply = server.get("/body")
        assert (reply.status, reply.body) == (200, b"9630")
        reply = server.get("/released")
        assert reply.status == 500


SINGLES = """
    from pyreframework import HTTPError, Pyre, PyreResponse

    app = Pyre()

    X, Y = {"content-type": "text/x"}, {"content-type": "text/y"}
    app.get("/both")(lambda: PyreResponse("x", content_type="text/y", headers=X))
    app.get("/case")(lambda: PyreResponse("x", headers={"Content-Type": "text/x"} | Y))
    app.get("/triple")(lambda: ("x", 200, X | {"Content-TYPE": "text/y"}))
    app.get("/list")(lambda: ("x", 200, {"Content-Type": ["text/x", "text/y"]}))
    app.get("/none")(lambda: PyreResponse("x", content_type=None, headers=Y))
    app.get("/plain")(lambda: "x")

    @app.get("/error")
    def error():
        raise HTTPError(400, "x", headers={"content-type": "text/x", "Content-Type": "text/y"})

    @app.get("/location")
    def location():
        return None, 302, {"location": "/x", "Location": "/y", "ETag": ['"x"', '"y"']}

    @app.get("/many")
    def many():
        return "x", 200, {
            "Set-Cookie": ["a=1", "b=2"], "set-cookie": "c=3", "Link": ["</a>", "</b>"],
            "Vary": "Accept", "vary": "Origin", "X-Tag": ["a", "b"],
        }

    @app.get("/set/{what}")
    def given():
        return PyreResponse("x", content_type="text/x", headers={"Content-Type": "text/z"})

    @app.after_request
    def hook(req, resp):
        match req.params.get("what"):
            case "attribute":
                resp.headers["content-type"] = "text/x"
                resp.content_type = "text/y"
            case "header":
                resp.content_type = "text/x"
                resp.headers["CONTENT-TYPE"] = "text/y"
            case "headers":
                resp.headers = {"content-type": "text/y"}
            case "triple":
                return "x", 200, {"content-type": "text/x", "Content-Type": "text/y"}
        assert resp.content_type in ("text/y", None), resp.content_type

    app.run()
"""


@pytest.mark.parametrize("mode", [None, "default"])
def test_a_header_that_may_stand_once_stands_once(tmp_path: Path, mode: str | None) -> None:
    """The one that was set last; those that may repeat do."""
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(SINGLES))
    with serve(file, mode=mode, workers=1) as server:
        for name in ("both", "case", "triple", "list", "none", "error"):
            assert server.get(f"/{name}").all("content-type") == ["text/y"], name
        for what in ("attribute", "header", "headers", "triple"):
            reply = server.get(f"/set/{what}")
            assert (reply.status, reply.all("content-type")) == (200, ["text/y"]), what
        assert server.get("/plain").all("content-type") == ["text/plain; charset=utf-8"]
        reply = server.get("/location")
        assert (reply.all("location"), reply.all("etag")) == (["/y"], ['"y"'])
        reply = server.get("/many")
        assert reply.all("set-cookie") == ["a=1", "b=2", "c=3"]
        assert reply.all("link") == ["</a>", "</b>"]
        assert reply.all("vary") == ["Accept", "Origin"]
        assert reply.all("x-tag") == ["a", "b"]

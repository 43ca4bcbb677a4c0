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

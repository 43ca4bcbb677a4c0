"""What an app object itself can be told: debug pages, JSON for unknown types, logging, stop()."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from gate import Gate
from places import MODES
from serving import serve, wait_until

Program = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def write(text: str) -> Path:
        file = tmp_path / "program.py"
        file.write_text(textwrap.dedent(text))
        return file

    return write


@MODES
def test_debug_page(program: Program, mode: str | None) -> None:
    """With `debug` the client sees the traceback, and what it sent cannot become markup."""
    text = """
        from pyreframework import Pyre
        app = Pyre(debug=True)

        @app.get("/{word}")
        def fail(req, word):
            raise LookupError(f"no {word}")

        app.run()
    """
    with serve(program(text), mode=mode) as server:
        reply = server.get("/%3Cscript%3E")
        assert reply.status == 500
        assert (reply.header("content-type") or "").startswith("text/html")
        assert "LookupError" in reply.text and "program.py" in reply.text
        assert "<script>" not in reply.text
        assert "&lt;script&gt;" in reply.text


@MODES
def test_json_default(program: Program, mode: str | None) -> None:
    text = """
        from pyreframework import Pyre
        app = Pyre()

        class Money:
            def __init__(self, cents):
                self.cents = cents

        def encode(value):
            if isinstance(value, Money):
                return {"cents": value.cents}
            raise TypeError("not mine")

        app.json_default = encode
        app.get("/money", lambda req: {"price": [Money(5), Money(7)]})
        app.get("/other", lambda req: {"other": object()})
        app.run()
    """
    with serve(program(text), mode=mode) as server:
        assert server.get("/money").json() == {"price": [{"cents": 5}, {"cents": 7}]}
        assert server.get("/other").status == 500
        assert server.get("/money").status == 200


@MODES
def test_http_errors_can_be_mapped(program: Program, mode: str | None) -> None:
    text = """
        from pyreframework import HTTPError, Pyre
        app = Pyre()

        class Teapot(HTTPError):
            def __init__(self):
                super().__init__(418, "short and stout")

        @app.exception_handler(HTTPError)
        def on_http(req, exc):
            return {"mapped": exc.detail}, exc.status

        @app.exception_handler(Exception)
        def on_any(req, exc):
            return {"any": type(exc).__name__}, 500

        @app.get("/teapot")
        def teapot(req):
            raise Teapot

        @app.get("/zero")
        def zero(req):
            return 1 / 0

        @app.post("/json")
        def malformed(req):
            return req.json()

        app.run()
    """
    with serve(program(text), mode=mode) as server:
        reply = server.get("/teapot")
        assert (reply.status, reply.json()) == (418, {"mapped": "short and stout"})
        reply = server.get("/zero")
        assert (reply.status, reply.json()) == (500, {"any": "ZeroDivisionError"})
        assert server.get("/no").json() == {"error": "not found"}


@MODES
def test_cookies(program: Program, mode: str | None) -> None:
    text = """
        from pyreframework import Pyre, PyreResponse, delete_cookie, get_cookie, set_cookie
        app = Pyre()

        @app.get("/set")
        def both(req):
            resp = set_cookie(PyreResponse("set"), "theme", "dark", max_age=60, httponly=True)
            return set_cookie(resp, "id", "5", secure=True, samesite="Strict")

        @app.get("/delete")
        def delete(req):
            return delete_cookie(PyreResponse("deleted"), "theme")

        @app.get("/get")
        def get(req):
            return [get_cookie(req, "theme"), get_cookie(req, "none", "default")]

        app.run()
    """
    with serve(program(text), mode=mode) as server:
        first, second = server.get("/set").all("set-cookie")
        assert first == "theme=dark; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
        assert second == "id=5; Path=/; Secure; SameSite=Strict"
        (deleted,) = server.get("/delete").all("set-cookie")
        assert deleted.startswith("theme=;") and "Max-Age=0" in deleted
        assert server.get("/get", [("Cookie", "theme=dark")]).json() == ["dark", "default"]


def test_logging_of_the_user(program: Program) -> None:
    """`log_config` holds in every interpreter, and what workers log arrives."""
    text = """
        import logging
        from pyreframework import Pyre

        app = Pyre(log_config={
            "version": 1,
            "formatters": {"plain": {"format": "LOGGED %(name)s %(levelname)s %(message)s"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain"}},
            "root": {"level": "INFO", "handlers": ["out"]},
        })

        @app.get("/say/{word}")
        def say(req, word):
            logging.getLogger("mine").info("said %s", word)
            return word

        @app.get("/fail")
        def fail(req):
            raise LookupError("for the log")

        app.run()
    """
    with serve(program(text), workers=1) as server:
        server.get("/say/hello")
        server.output.wait_for("^LOGGED mine INFO said hello")
        server.get("/fail")
        server.output.wait_for("^LOGGED pyre.app ERROR .*GET /fail.*LookupError")


@MODES
def test_stop_from_a_handler(program: Program, mode: str | None) -> None:
    """The request that stops the server is answered, and so are those that run."""
    text = """
        import socket
        from pyreframework import Pyre
        app = Pyre()

        @app.post("/stop")
        def stop(req):
            app.stop()
            return "stopping"

        @app.get("/wait/{port:int}/{name}")
        def wait(req, port, name):
            with socket.create_connection(("127.0.0.1", port)) as gate:
                gate.sendall(name.encode() + b"\\n")
                return gate.makefile().readline().strip()

        app.run()
        if __name__ == "__main__":
            print("run() returned", flush=True)
    """
    with serve(program(text), mode=mode) as server, Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        assert server.request("POST", "/stop").text == "stopping"
        wait_until(lambda: not server.listens(), "new connections are refused")
        gate.release("a")
        assert peer.reply().text == "released"
        assert server.wait() == 0
        assert "run() returned" in server.output.text()


@MODES
def test_many_routes(program: Program, mode: str | None) -> None:
    text = """
        from pyreframework import Pyre
        app = Pyre()
        for n in range(3000):
            app.get(f"/static/{n}", lambda req, n=n: str(n))
            app.get(f"/group{n}/{{name}}/{{id:int}}", lambda req, name, id, n=n: [n, name, id])
        app.run()
    """
    with serve(program(text), mode=mode) as server, server.connect() as peer:
        for n in (0, 1, 17, 1500, 2999):
            assert peer.get(f"/static/{n}").text == str(n)
            assert peer.get(f"/group{n}/x/5").json() == [n, "x", 5]
        assert peer.get("/static/3000").status == 404

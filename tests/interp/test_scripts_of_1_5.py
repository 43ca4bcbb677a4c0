"""Programs written for 1.5 go on working: over real sockets in every mode, and in `TestClient`."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from serving import APPS, serve

from pyreframework import Pyre, PyreApp, PyreResponse, get_gil_metrics
from pyreframework.cookies import set_cookie
from pyreframework.testing import TestClient

SCRIPT = APPS / "script_of_1_5.py"
# Each word that a mode had in 1.5, and whether handlers run on workers with it.
MODES = {"subinterp": True, "auto": True, "default": False, "async": False, "gil": False}


def load() -> ModuleType:
    """The program as a module of the test, afresh: its app is frozen once it was served."""
    spec = importlib.util.spec_from_file_location("script_of_1_5", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Any
    cookies: list[str]
    json: Any


class Asked:
    """One way to ask the program."""

    def __init__(self, client: httpx.Client | TestClient) -> None:
        self.client = client

    def ask(self, method: str, path: str, body: str | bytes = b"", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(self.client, TestClient):
            got = self.client.request(method, path, body=body, headers=sent, follow_redirects=False)
            cookies = got.headers.get_list("set-cookie")
            return Answer(got.status_code, got.text, got.headers, cookies, got.json)
        came = self.client.request(method, path, content=body, headers=sent)
        cookies = came.headers.get_list("set-cookie")
        return Answer(came.status_code, came.text, came.headers, cookies, came.json)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)


@pytest.fixture(scope="module", params=[*MODES, "PyreApp", "TestClient"])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    if request.param == "TestClient":
        with TestClient(load().app) as client:
            yield Asked(client)
        return
    env = {"MADE_BY": "PyreApp"} if request.param == "PyreApp" else {}
    mode = request.param if request.param in MODES else None
    with (
        serve("script_of_1_5", mode=mode, env=env) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        yield Asked(client)


def test_app_and_request(asked: Asked) -> None:
    assert asked.get("/").text == "Hello from Pyre!"
    assert asked.get("/user/ada?q=x").json() == {"name": "ada", "q": "x"}
    assert asked.get("/user/ada").json() == {"name": "ada", "q": ""}
    assert asked.get("/items?page=2&per_page=10").json() == {"page": "2", "per": "10"}
    assert asked.get("/async/ada").json() == {"async": "ada"}
    assert asked.get("/main").text == "on the main interpreter"
    answer = asked.ask("POST", "/json", '{"numbers": [1, 2, 3]}', content_type="application/json")
    assert answer.json() == {"total": 6, "data": {"numbers": [1, 2, 3]}}
    assert asked.ask("POST", "/text", "grüße".encode()).text == "GRÜSSE"
    assert asked.ask("POST", "/bytes", b"abc").text == "cba"
    assert asked.ask("PUT", "/item", "x").json() == {"put": "x"}
    assert asked.ask("PATCH", "/item", "x").json() == {"patched": "x"}
    assert asked.ask("DELETE", "/item").json() == {"deleted": True}
    options = asked.ask("OPTIONS", "/item")
    assert options.status == 204 and options.headers["x-options"] == "mine"
    told = asked.get("/about-me", x_token="t", user_agent="a").json()
    assert told == {
        "agent": "a", "token": "t", "ip": "127.0.0.1", "method": "GET", "path": "/about-me",
    }  # fmt: skip


def test_responses(asked: Asked) -> None:
    tea = asked.get("/teapot")
    assert (tea.status, tea.text) == (418, "short and stout")
    assert (tea.headers["content-type"], tea.headers["x-tea"]) == ("text/x-tea", "green")
    assert asked.get("/html").headers["content-type"].startswith("text/html")
    assert asked.get("/user/a").headers["content-type"] == "application/json"
    moved = asked.get("/old")
    assert moved.status == 302 and moved.headers["location"] == "/new"
    broken = asked.get("/boom")
    assert broken.status == 500 and "secret" not in broken.text


def test_cookies(asked: Asked) -> None:
    body = '{"username": "ada", "email": "a@b", "password": "p"}'
    assert asked.ask("POST", "/auth/register", body).json() == {"username": "ada", "email": "a@b"}
    assert asked.get("/private/me").status == 401
    (line,) = asked.ask("POST", "/auth/login", body).cookies
    assert line.startswith("session=ada") and "HttpOnly" in line
    sent = line.partition(";")[0]
    asked.client.cookies.clear()
    assert asked.get("/private/me", cookie=sent).json() == {"session": "ada", "other": "none"}
    session, theme = asked.ask("POST", "/auth/both").cookies
    assert "Max-Age=3600" in session and theme.startswith("theme=dark")
    (gone,) = asked.ask("POST", "/auth/logout").cookies
    assert gone.startswith("session=;") and "Max-Age=0" in gone
    asked.client.cookies.clear()


def test_uploads(asked: Asked) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="old.txt"\r\n\r\nold\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        b"Content-Type: text/csv\r\n\r\n1;2\r\n--b--\r\n"
    )
    kind = "multipart/form-data; boundary=b"
    assert asked.ask("POST", "/files", body, **{"content-type": kind}).json() == {
        "filename": "a.txt", "size": 3, "kind": "text/csv"
    }  # fmt: skip
    assert asked.ask("POST", "/files", b"{}").status == 400


def test_hooks(asked: Asked) -> None:
    assert asked.get("/").headers["x-seen"] == "GET /"
    missing = asked.get("/not/there")
    assert (missing.status, missing.text) == (404, "no page /not/there")
    assert missing.headers["x-seen"] == "GET /not/there"
    assert asked.get("/private/me").json() == {"error": "sign in first"}


def test_orders(asked: Asked) -> None:
    body = '{"ticker": "AAPL", "side": "buy", "quantity": 100, "price": 150.5}'
    assert asked.ask("POST", "/order", body).json() == {"ticker": "AAPL", "total": 15050.0}


def test_nine_ints(asked: Asked) -> None:
    found = asked.get("/metrics/gil").json()
    assert len(found) == 9 and all(type(number) is int for number in found)


def test_nine_ints_without_a_server() -> None:
    found = get_gil_metrics()
    assert len(found) == 9 and all(type(number) is int for number in found)


def test_pyre_app_is_an_app() -> None:
    app = PyreApp()
    assert isinstance(app, Pyre) and isinstance(Pyre(), PyreApp)
    for name in (
        "get", "post", "put", "delete", "patch", "options", "head", "route", "before_request",
        "after_request", "fallback", "on_startup", "on_shutdown", "enable_logging", "run",
    ):  # fmt: skip
        assert callable(getattr(app, name))
    app.get("/", lambda req: "hello")
    with TestClient(app) as client:
        assert client.get("/").text == "hello"


def test_one_cookie_is_a_str() -> None:
    resp = set_cookie(PyreResponse(body="ok"), "session", "abc", httponly=True)
    assert "HttpOnly" in resp.headers["set-cookie"]


# --------------------------------------------------------------------------------------- run()

RUN = """
from pyreframework import {made}

app = {made}()

@app.get("/")
def where(req):
    return __name__

app.run({arguments})
"""


@pytest.mark.parametrize("made", ["Pyre", "PyreApp"])
@pytest.mark.parametrize("mode", MODES)
def test_modes_as_argument(tmp_path: Path, made: str, mode: str) -> None:
    file = tmp_path / "program.py"
    arguments = f"host='127.0.0.1', port=0, workers=1, mode={mode!r}"
    file.write_text(RUN.format(made=made, arguments=arguments))
    with serve(file, port=None, workers=None) as server:
        assert server.get("/").text == ("__mp_main__" if MODES[mode] else "__main__")


@pytest.mark.parametrize("mode", MODES)
def test_modes_as_flag(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(RUN.format(made="Pyre", arguments=""))
    command = ["-m", "pyreframework", "run", str(file), "--mode", mode]
    with serve(command, workers=1) as server:
        assert server.get("/").text == ("__mp_main__" if MODES[mode] else "__main__")


def test_variables(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(RUN.format(made="Pyre", arguments=""))
    env = {
        "PYRE_HOST": "127.0.0.1", "PYRE_PORT": "0", "PYRE_WORKERS": "1", "PYRE_LOG": "1",
        "PYRE_METRICS": "1", "PYRE_RELOAD": "1",
    }  # fmt: skip
    with serve(file, env=env) as server:
        assert server.get("/").text == "__mp_main__"
        assert "pyre_requests" in server.get("/metrics").text
        server.output.wait_for(r'pyre\.access: 127\.0\.0\.1 "GET / HTTP/1\.1" 200')
        file.write_text(file.read_text().replace("return __name__", "return 'changed'"))
        server.output.wait_for("program.py changed")


def test_start_and_stop(tmp_path: Path) -> None:
    with serve("script_of_1_5") as server:
        assert server.get("/").status == 200
    lines = server.output.text().splitlines()
    said = [line for line in lines if line.endswith((" start", " stop"))]
    assert said[:2] == ["decorated start", "called start"]
    assert sorted(said[2:]) == ["called stop", "decorated stop"]


@pytest.mark.parametrize("mode", [None, "async"])
def test_logs(mode: str | None) -> None:
    with serve("script_of_1_5", mode=mode, env={"INIT_LOGGER": "1"}) as server:
        assert server.get("/log").text == "logged"
        server.output.wait_for("WARNING shop: from logging")
        server.output.wait_for("INFO shop: from the engine")
        server.output.wait_for("ERROR shop: with a place")
        server.output.wait_for(r'pyre\.access: .* "GET /log HTTP/1\.1" 200')


def test_debug_shows_tracebacks() -> None:
    with serve("script_of_1_5", env={"MADE_BY": "debug"}) as server:
        reply = server.get("/boom")
        assert reply.status == 500 and "the secret of the house" in reply.text


def free_port() -> int:
    """A port that no program is given by chance: below those that the system chooses from."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def test_the_test_client_on_a_port_of_its_own() -> None:
    port = free_port()
    client = TestClient(load().app, port=port)
    try:
        assert client.port == port
        answer = client.get("/user/ada", params={"q": "x"})
        assert answer.status_code == 200
        assert answer.json() == {"name": "ada", "q": "x"}
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "Hello from Pyre!"
    finally:
        client.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)


def test_the_test_client_follows_and_keeps_cookies() -> None:
    with TestClient(load().app) as client:
        assert client.get("/old").text == "new"
        client.post("/auth/login", json={"username": "ada"})
        assert client.get("/private/me").json()["session"] == "ada"

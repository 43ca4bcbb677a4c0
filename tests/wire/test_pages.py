"""Pages in a browser: modules and WebAssembly out of a folder, and requests of other origins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Browser, browser, show, text_of
from serving import SUCCESS_S, Server, Write, serve, wait_until

FOLDER = """
from pyreframework import Pyre

app = Pyre()
app.static("/", "site")
app.run()
"""

# (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
ADD = bytes.fromhex(
    "0061736d 01000000 01070160 027f7f01 7f030201 00070701 03616464 00000a09 01070020 0020016a 0b"
)

SITE = {
    "index.html": """<!doctype html>
        <meta charset="utf-8">
        <link rel="stylesheet" href="css/page.css">
        <img id="picture" src="picture.svg">
        <p id="state">begins</p>
        <script type="module" src="js/page.mjs"></script>
        """,
    "css/page.css": "#state { color: rgb(1, 2, 3) }",
    "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"></svg>',
    "js/page.mjs": """
        import { name } from "./parts/name.js";
        const state = document.getElementById("state");
        const { default: data } = await import("../data.json", { with: { type: "json" } });
        const { instance } = await WebAssembly.instantiateStreaming(fetch("add.wasm"));
        state.textContent = `${name} ${data.two} ${instance.exports.add(40, data.two)}`;
        """,
    "js/parts/name.js": "export const name = 'caf\u00e9';",
    "data.json": '{"two": 2}',
}


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as chromium:
        yield chromium


def test_modules_and_webassembly_out_of_a_folder(
    chromium: Browser, write: Write, tmp_path: Path
) -> None:
    """A browser takes none of these with a wrong type, and guesses none (`nosniff`)."""
    for name, text in SITE.items():
        write(f"site/{name}", text)
    (tmp_path / "site" / "add.wasm").write_bytes(ADD)
    with serve(write("program.py", FOLDER), cwd=tmp_path) as server:
        page = show(chromium, f"{server.url}/")
        wait_until(
            lambda: chromium.look(page, text_of("state")) == "caf\u00e9 2 42",
            "the module has run",
            2 * SUCCESS_S,
        )
        color = "getComputedStyle(document.getElementById('state')).color"
        assert chromium.look(page, color) == "rgb(1, 2, 3)"
        assert chromium.look(page, "document.getElementById('picture').naturalWidth") == 40


SHARED = """
import os

from pyreframework import Pyre, PyreResponse, get_cookie

app = Pyre()
app.enable_cors(
    allow_origins=[os.environ["TEST_ORIGIN"]], allow_methods=["GET", "PUT"],
    allow_headers=["X-Own", "Content-Type"], expose_headers=["X-Told"], allow_credentials=True,
)


@app.put("/thing")
async def put(req):
    response = PyreResponse(req.json() | {"own": req.header("X-Own")}, headers={"X-Told": "yes"})
    response.set_cookie("who", "ada", httponly=True)
    return response


@app.get("/thing")
def get(req):
    return {"who": get_cookie(req, "who", "nobody")}


@app.delete("/thing")
def delete(req):
    return None


app.run()
"""

# What a request comes to: its answer, or that the browser has kept it from the page.
ASK = """
(async () => {
  try {
    const answer = await fetch(%s, %s);
    const told = answer.headers.get("X-Told");
    return [answer.status, answer.status === 204 ? null : await answer.json(), told];
  } catch (error) {
    return error.name;
  }
})()
"""
KEPT_AWAY = "TypeError"


@contextmanager
def shared(write: Write, origin: str) -> Iterator[Server]:
    env = {"TEST_ORIGIN": origin}
    with serve(write("shared.py", SHARED), env=env, access_log=True) as server:
        yield server


def ask(chromium: Browser, page: str, server: Server, **options: object) -> object:
    url = json.dumps(f"{server.url}/thing")
    return chromium.await_(page, ASK % (url, json.dumps(options)))


def logged(server: Server) -> list[tuple[str, ...]]:
    """How the server was asked for the thing, and what it answered, as its access log has it."""
    return re.findall(r'"(\w+) /thing HTTP/1.1" (\d+)', server.output.text())


def test_a_page_of_another_origin(chromium: Browser, write: Write, tmp_path: Path) -> None:
    """Of two pages one is on the list: its requests need a preflight, or bring a cookie."""
    write("site/index.html", "<!doctype html><p>a page")
    program = write("program.py", FOLDER)
    with (
        serve(program, cwd=tmp_path) as listed,
        serve(program, cwd=tmp_path) as other,
        shared(write, listed.url) as server,
    ):
        page = show(chromium, f"{listed.url}/")
        own = {"X-Own": "mine", "Content-Type": "application/json"}
        put = {"method": "PUT", "headers": own, "body": '{"a": 1}', "credentials": "include"}
        assert ask(chromium, page, server, **put) == [200, {"a": 1, "own": "mine"}, "yes"]
        with_cookie = {"credentials": "include"}
        assert ask(chromium, page, server, **with_cookie) == [200, {"who": "ada"}, None]
        assert ask(chromium, page, server) == [200, {"who": "nobody"}, None]
        # What is not allowed, to an origin that is: the browser does not even ask.
        assert ask(chromium, page, server, method="DELETE") == KEPT_AWAY
        assert ask(chromium, page, server, headers={"X-Other": "1"}) == KEPT_AWAY
        strange = show(chromium, f"{other.url}/")
        assert ask(chromium, strange, server, **put) == KEPT_AWAY
        assert ask(chromium, strange, server, **with_cookie) == KEPT_AWAY
        assert ask(chromium, strange, server) == KEPT_AWAY
        # The handlers of what needs a preflight have run once: where the origin is on the list.
        expected = [("OPTIONS", "204"), ("PUT", "200"), ("GET", "200"), ("GET", "200")]
        expected += [("OPTIONS", "204"), ("OPTIONS", "204"), ("OPTIONS", "403")]
        expected += [("GET", "200"), ("GET", "200")]
        # Two connections may be logged in either order.
        wait_until(lambda: sorted(logged(server)) == sorted(expected), "all of it is logged")

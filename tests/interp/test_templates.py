"""Pages out of templates: on workers and on main, `def` and `async def`, whole and in pieces."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import APPS, Server, serve

from pyreframework.testing import TestClient

PLACES = {"workers": "worker", "main": "main", "async": "worker", "main-async": "main"}
NAME = "%3Cb%3E%26"
LINK = '<a href="/workers/%3Cb%3E%26?tab=a&amp;n=1">&lt;b&gt;&amp;</a>'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("templated", workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def debugged() -> Iterator[Server]:
    with serve("templated", workers=2, debug=True) as server:
        yield server


@pytest.mark.parametrize("place", PLACES)
def test_a_page(server: Server, place: str) -> None:
    with server.connect() as peer:
        for _ in range(4):
            reply = peer.get(f"/{place}/{NAME}")
            assert (reply.status, reply.header("x-place")) == (200, PLACES[place]), reply.body
            assert reply.header("content-type") == "text/html; charset=utf-8"
            body = reply.body.decode()
            assert "<title>&lt;B&gt;&amp;!</title>" in body and LINK in body


@pytest.mark.parametrize("place", PLACES)
def test_a_page_in_pieces(server: Server, place: str) -> None:
    for rows in (0, 1, 5000):
        reply = server.get(f"/stream/{place}/{rows}")
        assert (reply.status, reply.header("x-place")) == (200, PLACES[place])
        assert reply.header("content-type") == "text/html; charset=utf-8"
        assert reply.body.decode() == "".join(f"<p>{row}</p>\n" for row in range(rows))


def test_status_type_and_what_is_not_escaped(server: Server) -> None:
    reply = server.get("/text")
    assert (reply.status, reply.body) == (201, b"<b>")
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    assert server.get("/own-type").header("content-type") == "text/x-own"


@pytest.mark.parametrize("path", ["/missing", "/missing-stream"])
def test_a_template_that_is_not_there(server: Server, path: str) -> None:
    assert server.get(path).status == 500
    folder = APPS / "templates"
    server.output.wait_for(
        re.escape(f"there is no template 'usr.html' in {folder}; near it: user.html")
    )


def test_a_template_that_another_one_misses(server: Server) -> None:
    assert server.get("/including").status == 500
    server.output.wait_for(re.escape("there is no template 'user.htm' in "))


def test_the_log_has_the_line_of_the_template(server: Server) -> None:
    assert server.get("/broken").status == 500
    server.output.wait_for(re.escape('templates/broken.html", line 2'))
    server.output.wait_for(re.escape("{{ value.inner() }}"))


def test_the_debug_page_has_the_line_of_the_template(debugged: Server) -> None:
    body = debugged.get("/broken").body.decode()
    assert "templates/broken.html&quot;, line 2" in body and "{{ value.inner() }}" in body
    assert "ZeroDivisionError: from the value" in body
    body = debugged.get("/syntax").body.decode()
    assert "syntax.html" in body and "line 2" in body and "{% if %}" in body
    assert "near it: user.html" in debugged.get("/missing").body.decode()


@pytest.mark.parametrize("mode", ["default", "subinterp"])
def test_the_test_client(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("templated", APPS / "templated.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "templated", program)
    spec.loader.exec_module(program)
    with TestClient(program.app, mode=mode) as client:
        for place in PLACES:
            assert LINK in client.get(f"/{place}/{NAME}").text
            assert client.get(f"/stream/{place}/2").text == "<p>0</p>\n<p>1</p>\n"


GUARDED = """
from pathlib import Path

from pyreframework import Pyre

app = Pyre()
app.sessions(secret="a secret of this test alone")
app.enable_csrf()
app.enable_security_headers(content_security_policy="script-src 'self' {nonce}")
folder = Path(__file__).parent / "templates"
folder.mkdir(exist_ok=True)
(folder / "form.html").write_text('<script nonce="{{ nonce }}"></script>{{ token }}')
app.templates("templates")


@app.get("/whole")
def whole(req):
    return app.render("form.html", nonce=req.csp_nonce, token=req.csrf_token)


@app.get("/pieces")
async def pieces(req):
    return app.stream_template("form.html", nonce=req.csp_nonce, token=req.csrf_token)


@app.post("/")
def write(req):
    return "written"


app.run()
"""


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
@pytest.mark.parametrize("mode", [None, "default"], ids=["workers", "main"])
def test_nonces_and_tokens(tmp_path: Path, path: str, mode: str | None) -> None:
    (tmp_path / "program.py").write_text(GUARDED)
    with serve(tmp_path / "program.py", workers=1, mode=mode) as server:
        page = server.get(path)
        match = re.fullmatch(r'<script nonce="(.+)"></script>(.+)', page.body.decode())
        assert match is not None, page.body
        nonce, token = match.groups()
        assert page.header("content-security-policy") == f"script-src 'self' 'nonce-{nonce}'"
        cookie = ("Cookie", (page.header("set-cookie") or "").partition(";")[0])
        form = ("Content-Type", "application/x-www-form-urlencoded")
        assert server.post("/", b"csrf_token=" + token.encode(), [cookie, form]).body == b"written"
        assert server.post("/", b"csrf_token=A", [cookie, form]).status == 403

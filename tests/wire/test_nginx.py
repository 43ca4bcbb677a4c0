"""A real nginx in front, over a Unix-domain socket; its workers run as another user."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import nginx
import pytest
from dialogue import Peer, request
from gate import Gate
from serving import APPS, Server, serve
from websockets.sync.client import connect

UPLOAD = bytes(range(256)) * (5 * 1024 * 1024 // 256)

CONFIGURATION = """
    client_max_body_size 10m;
    upstream pyre {{ server unix:{path}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_pass_header Server;
        proxy_pass_header Date;
        location / {{ proxy_pass http://pyre; }}
        location /unbuffered/ {{
            proxy_pass http://pyre/;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
        location /ws {{
            proxy_pass http://pyre;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
        # What nginx does unless it is told otherwise.
        location /plain/ {{
            proxy_pass http://pyre/;
            proxy_http_version 1.0;
            proxy_set_header Connection close;
        }}
    }}
"""


# Beside what the program has.
ECHO = """
@app.websocket("/ws")
async def echo(ws):
    async for message in ws:
        await ws.send(message)

"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, as that of a deployment; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="pyre-nginx-") as name:
        made = Path(name)
        made.chmod(0o755)
        closed = [parent for parent in made.parents if not parent.stat().st_mode & 0o001]
        if closed:
            pytest.skip(f"other users may not enter {closed[0]}: set TMPDIR to a folder they may")
        yield made


@contextmanager
def proxied(folder: Path, path: Path) -> Iterator[int]:
    """Run nginx in front of the socket at ``path``; yields its port."""
    text = CONFIGURATION.replace("{path}", str(path))
    with nginx.running(folder, text) as port:
        yield port


@contextmanager
def served(folder: Path, path: Path, **options: object) -> Iterator[Server]:
    """Serve with a umask that lets nobody else in."""
    program = folder / "program.py"
    plain = (APPS / "plain.py").read_text().replace("\napp.run()", f"{ECHO}\napp.run()")
    program.write_text("import os\nos.umask(0o077)\n" + plain)
    bind = f"unix:{path},127.0.0.1:0"
    with serve(program, bind=bind, port=None, metrics=True, **options) as server:
        yield server


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    nginx.program()
    with served(folder, folder / "app.sock") as server:
        yield server


@pytest.fixture(scope="module")
def port(folder: Path, server: Server) -> Iterator[int]:
    with proxied(folder, folder / "app.sock") as port:
        yield port


def accepted(server: Server) -> int:
    """How many connections the server has accepted so far, that of this question among them."""
    text = server.get("/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith("pyre_connections_total ")]
    return int(line.split()[1])


def test_a_proxy_of_another_user_can_connect(port: int) -> None:
    with Peer("127.0.0.1", port) as peer:
        assert peer.get("/").text == "hello"


def test_connections_to_the_server_are_kept(server: Server, port: int) -> None:
    with Peer("127.0.0.1", port) as peer:
        assert peer.get("/").text == "hello"
        before = accepted(server)
        for number in range(50):
            assert peer.get(f"/number/{number}").text == str(number)
        assert accepted(server) == before + 1


def test_pipelined_requests(port: int) -> None:
    """nginx takes them one by one; nothing is lost or answered twice."""
    with Peer("127.0.0.1", port) as peer:
        for start in (0, 40):
            batch = range(start, start + 40)
            peer.send(b"".join(request("GET", f"/number/{number}") for number in batch))
            assert [peer.reply().text for _ in batch] == [str(number) for number in batch]


@pytest.mark.parametrize("location", ["", "/unbuffered", "/plain"])
def test_an_upload_of_5_mb(port: int, location: str) -> None:
    with Peer("127.0.0.1", port) as peer:
        for _ in range(2):
            reply = peer.request("PUT", f"{location}/echo", (), UPLOAD)
            assert reply.json() == {"length": len(UPLOAD)}
        assert peer.request("POST", f"{location}/echo", (), UPLOAD).body == UPLOAD
        assert peer.get(f"{location}/").text == "hello"


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_websocket(port: int, compression: str | None) -> None:
    messages = ["text", b"bytes", "again " * 1000, bytes(500_000)]
    url = f"ws://127.0.0.1:{port}/ws"
    with connect(url, compression=compression, max_size=None) as ws:
        for message in messages:
            ws.send(message)
            assert ws.recv() == message
        ws.close(4000, "enough")
    assert ws.close_code == 4000
    # What is no handshake is answered through it as well.
    reply = httpx.get(f"http://127.0.0.1:{port}/ws")
    assert (reply.status_code, reply.json()) == (426, {"error": "upgrade required"})


def test_a_mode_of_its_own_keeps_the_proxy_out(folder: Path) -> None:
    """What the umask alone would make of the socket; that of the fixture is the default."""
    nginx.program()
    path = folder / "private.sock"
    with served(folder, path, uds_mode="600") as server, proxied(folder, path) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 502
        assert "Permission denied" in (folder / "error.log").read_text()
        assert server.get("/").text == "hello"


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_body_that_is_read_as_it_comes(folder: Path, kind: str) -> None:
    """It goes through nginx as it comes, and so does an answer before its end."""
    nginx.program()
    path = folder / f"uploads-{kind}.sock"
    with (
        serve("uploads", bind=f"unix:{path},127.0.0.1:0", port=None),
        proxied(folder, path) as port,
        Gate() as gate,
        Peer("127.0.0.1", port) as peer,
    ):
        fields = [("Transfer-Encoding", "chunked")]
        peer.send(request("POST", f"/unbuffered/{kind}/steps/{gate.port}", fields))
        for name in ["one", "two"]:
            peer.send(b"3\r\n" + name.encode() + b"\r\n")
            assert gate.entered() == name
            gate.release(name, f"{name} told")
        peer.send(b"0\r\n\r\n")
        assert peer.reply().json() == ["one told", "two told"]
        reply = peer.request("POST", f"/unbuffered/{kind}/digest", (), UPLOAD)
        assert reply.json()["bytes"] == len(UPLOAD)
        head = request("POST", f"/unbuffered/{kind}/some/5", [("Content-Length", "1000000")])
        peer.send(head + b"hello")
        assert peer.reply().body == b"hello"

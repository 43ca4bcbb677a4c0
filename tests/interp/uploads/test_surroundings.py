"""Uploads beside everything else: hooks, time limits, stops, memory, sockets, real clients."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dialogue import request
from gate import Gate
from places import MODES, PLACES
from serving import Server, serve, wait_until

from pyreframework import Pyre, PyreRequest
from pyreframework.testing import TestClient

CHUNKED = [("Transfer-Encoding", "chunked")]
KINDS = pytest.mark.parametrize("kind", ["def", "async"])
MB = 1 << 20
GROWTH_MAX = 20 * MB
"""How much memory an upload of any size may cost: buffers of the flow and of Python."""


@pytest.fixture(scope="module", params=PLACES.values(), ids=PLACES)
def hooked(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = dict(request.param)
    options["env"] = {**options.get("env", {}), "TEST_HOOKS": "1"}
    with serve("uploads", workers=1, **options) as server:
        yield server


@KINDS
def test_hooks_run_when_the_head_is_there(hooked: Server, kind: str) -> None:
    hooked.get("/hooked")
    with hooked.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"/{kind}/steps/{gate.port}", CHUNKED) + b"1\r\na\r\n")
        assert gate.entered() == "a"
        gate.release("a")
        peer.send(b"0\r\n\r\n")
        reply = peer.reply()
        assert (reply.status, reply.header("x-hooked")) == (200, "200")
        refused = [*CHUNKED, ("X-Refuse", "1"), ("Expect", "100-continue")]
        peer.send(request("POST", f"/{kind}/digest", refused))
        reply = peer.reply()
        assert (reply.status, reply.header("x-hooked"), reply.interim) == (403, "403", [])
        assert reply.closes


@KINDS
def test_hooks_see_a_client_that_has_gone(hooked: Server, kind: str) -> None:
    hooked.get("/hooked")
    with hooked.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"/{kind}/noted/{gate.port}", CHUNKED))
        assert gate.entered() == "begun"
        gate.release("begun")
        peer.socket.close()
        assert gate.entered() == "ConnectionError"
        gate.release("ConnectionError")
    found: list[int] = []
    wait_until(lambda: found.extend(hooked.get("/hooked").json()) or 499 in found, "it is told")
    assert "Traceback" not in hooked.output.text()


@pytest.mark.parametrize("place", PLACES)
def test_a_handler_that_waits_too_long(place: str) -> None:
    """`request_timeout` bounds the handler, whatever it waits for."""
    with serve("uploads", workers=1, request_timeout=1, **PLACES[place]) as server:
        with server.connect() as one, server.connect() as other:
            # With one thread the second has to begin while the first one waits.
            for kind, peer in (("async", one), ("def", other)):
                peer.send(request("POST", f"/{kind}/digest", CHUNKED) + b"1\r\na\r\n")
            for peer in (one, other):
                reply = peer.reply()
                assert (reply.status, reply.json()) == (504, {"error": "request timeout"})
                assert reply.closes
                peer.send_pieces([b"1\r\na\r\n"])
        assert server.get("/").text == "hello"


@MODES
@KINDS
def test_an_upload_that_is_under_way_at_a_stop(mode: str | None, kind: str) -> None:
    with serve("uploads", mode=mode) as server, server.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"/{kind}/steps/{gate.port}", CHUNKED) + b"1\r\na\r\n")
        assert gate.entered() == "a"
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "the server drains")
        gate.release("a")
        peer.send(b"1\r\nb\r\n")
        assert gate.entered() == "b"
        gate.release("b")
        peer.send(b"0\r\n\r\n")
        reply = peer.reply()
        assert (reply.status, len(reply.json()), reply.closes) == (200, 2, True)
        assert server.wait() == 0


@MODES
@KINDS
def test_an_upload_that_does_not_end_at_a_stop(mode: str | None, kind: str) -> None:
    with (
        serve("uploads", mode=mode, shutdown_timeout=0.5) as server,
        server.connect() as peer,
        Gate() as gate,
    ):
        peer.send(request("POST", f"/{kind}/steps/{gate.port}", CHUNKED) + b"1\r\na\r\n")
        assert gate.entered() == "a"
        gate.release("a")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        peer.rest()


@MODES
@KINDS
@pytest.mark.parametrize("fields", [CHUNKED, [("Content-Length", str(64 * MB))]], ids=["c", "l"])
def test_a_handler_that_reads_later_holds_up_its_client(
    mode: str | None, kind: str, fields: list[tuple[str, str]]
) -> None:
    """What waits in memory has a bound, and nothing is lost."""
    piece = os.urandom(MB)
    sent, digest = threading.Event(), hashlib.sha256()
    with serve("uploads", workers=1, mode=mode, max_body_size=128 * MB) as server:
        server.post(f"/{kind}/digest", b"warm")
        with server.connect() as peer, Gate() as gate:
            before = server.resident_bytes()
            peer.send(request("POST", f"/{kind}/gated/{gate.port}/x", fields))

            def send() -> None:
                for _ in range(64):
                    digest.update(piece)
                    peer.send(b"100000\r\n" + piece + b"\r\n" if fields is CHUNKED else piece)
                if fields is CHUNKED:
                    peer.send(b"0\r\n\r\n")
                sent.set()

            sender = threading.Thread(target=send)
            sender.start()
            assert gate.entered() == "x"
            # The sockets take some MB; more than that has to wait.
            assert not sent.wait(1.0)
            assert server.resident_bytes() - before < GROWTH_MAX
            gate.release("x")
            found = peer.reply().json()
            sender.join()
            assert (found["bytes"], found["sha"]) == (64 * MB, digest.hexdigest())
            assert server.resident_bytes() - before < GROWTH_MAX


@MODES
def test_an_echo_whose_reader_is_slow(mode: str | None) -> None:
    """Both directions are full, and go on when the client reads."""
    with serve("uploads", workers=1, mode=mode, max_body_size=128 * MB) as server:
        for kind in ["def", "async"]:
            with server.connect() as peer:
                before = server.resident_bytes()
                peer.send(request("POST", f"/{kind}/echo", [("Content-Length", str(64 * MB))]))
                sender = threading.Thread(target=lambda p: p.send(bytes(64 * MB)), args=[peer])
                sender.start()
                peer.await_some()
                sender.join(0.5)
                assert sender.is_alive()
                assert server.resident_bytes() - before < GROWTH_MAX
                assert peer.reply().body == bytes(64 * MB)
                sender.join()


@KINDS
def test_many_uploads_leave_nothing_behind(kind: str) -> None:
    with serve("uploads", workers=1) as server:
        server.post(f"/{kind}/digest", b"warm")
        descriptors = server.descriptors()
        for _ in range(3):
            peers = [server.connect() for _ in range(100 if kind == "async" else 4)]
            for peer in peers:
                peer.send(request("POST", f"/{kind}/digest", CHUNKED) + b"1\r\na\r\n")
            for number, peer in enumerate(peers):
                if number % 3 == 0:
                    peer.abort()
                else:
                    peer.send(b"0\r\n\r\n" if number % 3 == 1 else b"x")
                    assert peer.reply().status == (200 if number % 3 == 1 else 400)
                    peer.socket.close()
        wait_until(lambda: server.descriptors() <= descriptors, "descriptors come back")


@MODES
def test_over_a_unix_socket(tmp_path: Path, mode: str | None) -> None:
    """Its end comes with what has been sent before."""
    path = tmp_path / "s"
    with serve("uploads", mode=mode, port=None, bind=f"127.0.0.1:0,unix:{path}") as server:
        for kind in ["def", "async"]:
            with socket.socket(socket.AF_UNIX) as client, Gate() as gate:
                client.settimeout(30)
                client.connect(str(path))
                fields = [("Content-Length", "150000")]
                client.sendall(request("POST", f"/{kind}/gated/{gate.port}/x", fields))
                assert gate.entered() == "x"
                client.sendall(b"x" * 150_000)
                client.shutdown(socket.SHUT_WR)
                gate.release("x")
                reply = b""
                while piece := client.recv(65536):
                    reply += piece
                assert b'"bytes":150000' in reply.replace(b" ", b""), reply
        assert server.process.poll() is None


@MODES
def test_a_full_server_refuses_an_upload(mode: str | None) -> None:
    """Without reading it, and the connection ends with that."""
    with serve("uploads", workers=1, mode=mode, max_in_flight=1) as server, Gate() as gate:
        with server.connect() as first, server.connect() as second:
            first.send(request("POST", f"/async/steps/{gate.port}", CHUNKED) + b"1\r\na\r\n")
            assert gate.entered() == "a"
            second.send(request("POST", "/async/digest", [("Content-Length", "5")]) + b"h")
            reply = second.reply()
            assert (reply.status, reply.closes) == (503, True)
            gate.release("a")
            first.send(b"0\r\n\r\n")
            assert first.reply().status == 200


@MODES
def test_httpx(mode: str | None) -> None:
    data = os.urandom(3 * MB)
    digest = hashlib.sha256(data).hexdigest()
    with (
        serve("uploads", mode=mode) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        for kind in ["def", "async"]:
            parts = (data[at : at + 10_000] for at in range(0, len(data), 10_000))
            assert client.post(f"/{kind}/digest", content=parts).json()["sha"] == digest
            assert client.post(f"/{kind}/digest", content=data).json()["sha"] == digest
            with client.stream("POST", f"/{kind}/echo", content=data[:200_000]) as reply:
                assert b"".join(reply.iter_bytes()) == data[:200_000]


@MODES
def test_curl(mode: str | None, tmp_path: Path) -> None:
    """It waits for `100 Continue` before a large body."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    data = os.urandom(5 * MB)
    file = tmp_path / "data"
    file.write_bytes(data)
    with serve("uploads", mode=mode) as server:
        for kind in ["def", "async"]:
            for header in ["Expect: 100-continue", "Transfer-Encoding: chunked", "Expect:"]:
                command = ["curl", "-sS", "--max-time", "30", "-H", header, "-X", "POST"]
                command += ["-T", str(file), f"{server.url}/{kind}/digest"]
                ran = subprocess.run(command, capture_output=True, check=True)
                assert hashlib.sha256(data).hexdigest().encode() in ran.stdout
            # Refused by its length, which it hears before it has sent anything.
            command = ["curl", "-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}"]
            command += ["-T", str(file), "-X", "POST", f"{server.url}/{kind}/large/5"]
            assert subprocess.run(command, capture_output=True, check=True).stdout == b"200"


NODE = """
import { openAsBlob } from "node:fs";
const [url, file] = process.argv.slice(1);
const found = [];
for (const kind of ["def", "async"]) {
  const put = (path, body) =>
    fetch(`${url}/${kind}/${path}`, {method: "POST", body, duplex: "half"});
  const blob = await openAsBlob(file);
  found.push((await (await put("digest", blob)).json()).sha);
  // A stream has no length: it is sent in chunks.
  found.push((await (await put("digest", blob.stream())).json()).sha);
  const echoed = await (await put("echo", blob.slice(0, 300_000).stream())).arrayBuffer();
  found.push(echoed.byteLength);
}
console.log(JSON.stringify(found));
"""


@MODES
def test_fetch_of_node(mode: str | None, tmp_path: Path) -> None:
    """With a length and without; an answer that comes while the body is sent."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    data = os.urandom(5 * MB)
    (tmp_path / "data").write_bytes(data)
    with serve("uploads", mode=mode) as server:
        given = [server.url, str(tmp_path / "data")]
        command = [node, "--input-type=module", "--eval", NODE, *given]
        ran = subprocess.run(command, capture_output=True, timeout=60, text=True, check=False)
        if "fetch is not defined" in ran.stderr or "openAsBlob" in ran.stderr:
            pytest.skip("this Node.js has no fetch of files")
        assert ran.returncode == 0, ran.stderr
        digest = hashlib.sha256(data).hexdigest()
        assert json.loads(ran.stdout) == [digest, digest, 300_000] * 2


def test_the_standard_library(tmp_path: Path) -> None:
    with serve("uploads") as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
        for kind in ["def", "async"]:
            for _ in range(2):
                pieces = iter([b"chunk ", b"by ", b"chunk"])
                fields = {"Transfer-Encoding": "chunked"}
                connection.request("POST", f"/{kind}/echo", pieces, fields, encode_chunked=True)
                assert connection.getresponse().read() == b"chunk by chunk"
        connection.close()


def test_the_test_client() -> None:
    app = Pyre()

    @app.post("/def", stream_body=True)
    def count(req: PyreRequest) -> int:
        return sum(len(piece) for piece in req.stream())

    @app.post("/async", stream_body=True)
    async def count_async(req: PyreRequest) -> int:
        total = 0
        async for piece in req.stream():
            total += len(piece)
        return total

    with TestClient(app) as client:
        for path in ["/def", "/async"]:
            assert client.post(path, body=b"x" * 300_000).json() == 300_000
            assert client.post(path, body=b"").json() == 0
            assert client.post(path, body=iter([b"x" * 100_000] * 3)).json() == 300_000


def test_a_proxy_that_is_an_httpx_client() -> None:
    """What goes through a body is taken as the content of a request, in both kinds of handlers."""
    app = Pyre()
    with serve("uploads") as server:

        @app.put("/def", stream_body=True)
        def proxy(req: PyreRequest) -> bytes:
            with httpx.Client() as client:
                return client.post(f"{server.url}/def/echo", content=req.stream()).content

        @app.put("/async", stream_body=True)
        async def proxy_async(req: PyreRequest) -> bytes:
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{server.url}/async/echo", content=req.stream())
                return answer.content

        with TestClient(app) as client:
            for path in ["/def", "/async"]:
                sent = [bytes([number]) * 100_000 for number in range(3)]
                assert client.put(path, body=iter(sent)).body == b"".join(sent)


def test_peers_are_not_confused() -> None:
    """Uploads on many connections at once, each with its own bytes."""
    with serve("uploads", io_workers=2) as server:

        def one(number: int) -> None:
            data = bytes([number]) * 300_000
            with server.connect() as peer:
                for kind in ["async", "async", "def"]:
                    peer.send(request("POST", f"/{kind}/echo", CHUNKED))
                    for at in range(0, len(data), 50_000):
                        peer.send(b"c350\r\n" + data[at : at + 50_000] + b"\r\n")
                    peer.send(b"0\r\n\r\n")
                    if peer.reply().body != data:
                        failed.append(number)

        failed: list[int] = []
        threads = [threading.Thread(target=one, args=[number]) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []

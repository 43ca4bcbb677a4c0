"""Real clients, which know nothing of us: the standard library's, curl and httpx."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from places import in_both_modes
from serving import Server, serve


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("plain", mode=request.param) as server:
        yield server


def test_http_client(server: Server) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    for n in range(20):
        connection.request("GET", f"/number/{n}")
        assert connection.getresponse().read() == str(n).encode()
    connection.request(
        "POST",
        "/echo",
        iter([b"chunk ", b"by ", b"chunk"]),
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )
    assert connection.getresponse().read() == b"chunk by chunk"
    connection.request("HEAD", "/")
    assert connection.getresponse().read() == b""
    connection.close()


def test_urllib(server: Server) -> None:
    with urllib.request.urlopen(server.url + "/seen?a=b", timeout=30) as reply:
        assert json.load(reply)["query"] == "a=b"
    with pytest.raises(urllib.request.HTTPError) as caught:
        urllib.request.urlopen(server.url + "/no", timeout=30)
    with caught.value as error:
        assert (error.code, json.load(error)) == (404, {"error": "not found"})


def curl(*arguments: str, data: bytes | None = None) -> bytes:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "--silent", "--show-error", "--max-time", "30", *arguments]
    ran = subprocess.run(command, input=data, capture_output=True, check=True)
    return ran.stdout


def test_curl(server: Server) -> None:
    assert curl(server.url) == b"hello"
    head, _, body = curl("--include", server.url + "/no").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert json.loads(body) == {"error": "not found"}
    assert curl("--head", server.url).startswith(b"HTTP/1.1 200 OK\r\n")


def test_curl_uploads(server: Server) -> None:
    """Curl asks `Expect: 100-continue` before a large body."""
    body = b"0123456789" * 300_000
    for more in ([], ["--header", "Transfer-Encoding: chunked"]):
        assert curl("--data-binary", "@-", *more, server.url + "/echo", data=body) == body


def test_curl_http10(server: Server) -> None:
    assert curl("--http1.0", server.url + "/after", server.url + "/") == b"afterhello"


def test_curl_refuses_to_upgrade_and_is_served(server: Server) -> None:
    """An upgrade nobody offers is ignored (RFC 9110 section 7.8)."""
    assert curl("--http2", server.url + "/after") == b"after"


def test_curl_reads_a_413(server: Server) -> None:
    body = b"x" * (11 << 20)
    head = curl("--include", "--data-binary", "@-", server.url + "/echo", data=body)
    assert b"HTTP/1.1 413 " in head
    assert b"payload too large" in head


def test_httpx(server: Server) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for n in range(20):
            assert client.get(f"/number/{n}").text == str(n)
        body = b"x" * 1_000_000
        assert client.post("/echo", content=body).content == body
        assert client.post("/echo", content=iter([b"a", b"b"])).content == b"ab"
        assert client.get("/no").json() == {"error": "not found"}
        assert client.head("/").headers["content-length"] == "5"
        assert client.options("/echo").status_code == 204
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda n: client.get(f"/number/{n}").text, range(300))
            assert list(answers) == [str(n) for n in range(300)]

"""Real clients send forms with files: curl, httpx, aiohttp, Node's fetch, that for tests."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from places import in_both_modes
from serving import Server, serve

WAYS = pytest.mark.parametrize(
    "way", ["/def/whole", "/def/coming", "/async/whole", "/async/coming"]
)
# What clients escape, each in its own way.
ODD = 'n\u00e4me "quoted" \u65e5\u672c \U0001f600.txt'
BACKSLASH = "back\\slash.txt"
LINES = "two\r\nlines.txt"
CONTENT = bytes(range(256)) * 5000


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("forms", mode=request.param) as server:
        yield server


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file(name: str, kind: str = "application/octet-stream", data: bytes = CONTENT) -> list[object]:
    return [name, kind, len(data), digest(data)]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forms") / "content.bin"
    path.write_bytes(CONTENT)
    return path


def curl(*arguments: str) -> dict[str, object]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "--silent", "--show-error", "--max-time", "30", *arguments]
    ran = subprocess.run(command, capture_output=True, check=True)
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def quoted(name: str) -> str:
    """A name as curl's own syntax has it."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@WAYS
def test_curl(server: Server, way: str, content: Path) -> None:
    found = curl(
        "--form-string", f"{ODD}=\u00e9\u00e0 ; @x",
        "--form", f"file=@{content};filename={quoted(ODD)}",
        "--form", f"file=@{content};type=image/png;filename={quoted('plain')}",
        "--form", "empty=",
        server.url + f"{way}/show",
    )  # fmt: skip
    assert found == {
        "fields": {ODD: ["\u00e9\u00e0 ; @x"], "empty": [""]},
        "files": {"file": [file(ODD, "text/plain"), file("plain", "image/png")]},
    }


@WAYS
def test_curl_as_it_was(server: Server, way: str, content: Path) -> None:
    """Before 7.81 it escaped quotes and backslashes with backslashes."""
    for name in (ODD, BACKSLASH):
        found = curl(
            "--form-escape", "--form", f"file=@{content};filename={quoted(name)}",
            "--header", "Transfer-Encoding: chunked",
            server.url + f"{way}/show",
        )  # fmt: skip
        assert found == {"fields": {}, "files": {"file": [file(name, "text/plain")]}}


@WAYS
def test_curl_url_encoded(server: Server, way: str) -> None:
    found = curl("--data-urlencode", f"a={ODD}", "--data", "a=2&b=", server.url + f"{way}/show")
    assert found == {"fields": {"a": [ODD, "2"], "b": [""]}, "files": {}}


@WAYS
def test_httpx(server: Server, way: str) -> None:
    httpx = pytest.importorskip("httpx", reason="httpx is not installed")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for name in (ODD, LINES):
            found = client.post(
                f"{way}/show",
                data={name: ["\u00e9", "2"]},
                files={"file": (name, CONTENT, "image/png"), "other": ("x", b"")},
            )
            assert found.json() == {
                "fields": {name: ["\u00e9", "2"]},
                "files": {
                    "file": [file(name, "image/png")],
                    "other": [file("x", data=b"")],
                },
            }
        assert client.post(f"{way}/show", data={"a": [ODD, LINES]}).json()["fields"] == {
            "a": [ODD, LINES]
        }


@WAYS
def test_aiohttp(server: Server, way: str) -> None:
    """Its names of files are percent-encoded unless it is told otherwise, and stay so.

    But for the quotes, as browsers write them.
    """
    aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    from urllib.parse import quote

    async def send(quotes: bool) -> object:
        form = aiohttp.FormData(quote_fields=quotes)
        form.add_field("name" if quotes else ODD, "\u00e9")
        form.add_field("file", BytesIO(CONTENT), filename=ODD, content_type="image/png")
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url + f"{way}/show", data=form) as reply,
        ):
            assert reply.status == 200, await reply.text()
            return await reply.json()

    encoded = quote(ODD, "").replace("%22", '"')
    for quotes in (True, False):
        found = asyncio.run(asyncio.wait_for(send(quotes), 60))
        assert found == {
            "fields": {"name" if quotes else ODD: ["\u00e9"]},
            "files": {"file": [file(encoded if quotes else ODD, "image/png")]},
        }


NODE = """
const [url, names] = JSON.parse(process.argv[1]);
const content = new Uint8Array(256 * 5000).map((_, at) => at % 256);
const found = [];
for (const name of names) {
  const form = new FormData();
  form.append(name, "\\u00e9");
  form.append("file", new Blob([content], {type: "image/png"}), name);
  form.append("file", new File(["x"], "x"));
  found.push(await (await fetch(url, {method: "POST", body: form})).json());
}
const empty = await fetch(url, {method: "POST", body: new FormData()});
const pairs = await fetch(url, {method: "POST", body: new URLSearchParams({a: names[0]})});
found.push(await empty.json(), await pairs.json());
console.log(JSON.stringify(found));
"""


@WAYS
def test_fetch_of_node(server: Server, way: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    names = [ODD, LINES, BACKSLASH, "ends with \\"]
    given = json.dumps([server.url + f"{way}/show", names])
    command = [node, "--input-type=module", "--eval", NODE, given]
    ran = subprocess.run(command, capture_output=True, timeout=60, text=True)
    if "FormData is not defined" in ran.stderr or "fetch is not defined" in ran.stderr:
        pytest.skip("this Node.js has no fetch")
    assert ran.returncode == 0, ran.stderr
    *found, empty, pairs = json.loads(ran.stdout)
    for name, each in zip(names, found, strict=True):
        small = file("x", data=b"x")
        assert each["files"] == {"file": [file(name, "image/png"), small]}
        assert each["fields"] == {name: ["\u00e9"]}
    assert empty == {"fields": {}, "files": {}}
    assert pairs == {"fields": {"a": [ODD]}, "files": {}}


@WAYS
def test_client_of_tests(server: Server, way: str) -> None:
    """What `TestClient` makes of `data=` and `files=`."""
    from pyreframework.testing.bodies import encode

    for name in (ODD, LINES):
        files = [("file", (name, CONTENT, "image/png")), ("file", ("x", "text"))]
        encoded = encode(data={name: ["1", True]}, files=files)
        assert encoded.content is not None
        kind = [("Content-Type", encoded.content_type or "")]
        assert server.post(f"{way}/show", encoded.content, kind).json() == {
            "fields": {name: ["1", "true"]},
            "files": {"file": [file(name, "image/png"), file("x", data=b"text")]},
        }


@WAYS
def test_old_clients(server: Server, way: str) -> None:
    """They fold lines, quote boundaries with spaces, and encode names as RFC 8187 has it."""
    body = (
        b"This is a multi-part message in MIME format.\r\n"
        b"--a b'c\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"content-disposition: form-data;\r\n name=note\r\n\r\n\xc3\xa9\r\n"
        b"--a b'c \t\r\nContent-Disposition: form-data; name=file; filename=x.txt;"
        b" filename*=utf-8''n%C3%A4me.txt\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n"
        b"--a b'c--\r\nepilogue\r\n--a b'c\r\n"
    )
    kind = [("Content-Type", 'multipart/form-data; boundary="a b\'c"')]
    assert server.post(f"{way}/show", body, kind).json() == {
        "fields": {"note": ["\u00e9"]},
        "files": {"file": [file("n\u00e4me.txt", "text/plain", b"x")]},
    }

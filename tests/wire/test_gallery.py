"""The example of a gallery, as curl, httpx, Node's fetch and a browser have it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from browser import Browser, browser, show
from dialogue import request
from films import FILM_S, film, picture
from serving import SUCCESS_S, Server, is_supervisor, serve, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "gallery" / "app.py"
NAME = re.compile(r"\d{19}-[0-9a-f]{16}\.(\w+)")

# The first bytes of each type, and what it is served as.
KINDS = {
    b"\xff\xd8\xff\xe0": ("jpg", "image/jpeg"),
    b"\x89PNG\r\n\x1a\n": ("png", "image/png"),
    b"GIF89a": ("gif", "image/gif"),
    b"RIFF\0\0\0\0WEBP": ("webp", "image/webp"),
    b"\0\0\0\x1cftypavif": ("avif", "image/avif"),
    b"\0\0\0\x20ftypisom": ("mp4", "video/mp4"),
    b"\x1aE\xdf\xa3\x9fB\x82\x84webm": ("webm", "video/webm"),
}
GIF = b"GIF89a" + bytes(1000)


@contextmanager
def gallery(folder: Path, mode: str | None = None, **bounds: int) -> Iterator[Server]:
    env = {f"GALLERY_{name.upper()}_MAX": str(value) for name, value in bounds.items()}
    with serve(EXAMPLE, mode=mode, env={"GALLERY_FOLDER": str(folder)} | env) as server:
        yield server


@pytest.fixture(params=[None, "default"], ids=["workers", "main"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with gallery(tmp_path / "media", request.param, upload_bytes=3_000_000) as server:
        yield server


def add(server: Server, *contents: bytes, name: str = "a.gif") -> httpx.Response:
    files = [("file", (name, content, "text/html")) for content in contents]
    return httpx.post(f"{server.url}/api/media", files=files, timeout=SUCCESS_S)


def names(server: Server) -> list[str]:
    """What the gallery has, as whichever worker sees it."""
    listed = httpx.get(f"{server.url}/api/media", timeout=SUCCESS_S).json()["items"]
    return [item["name"] for item in listed]


def left(folder: Path) -> list[str]:
    """What is in a folder besides the lock."""
    return sorted(set(os.listdir(folder)) - {".lock"})


def test_what_comes_is_told_by_its_content_and_served(server: Server, tmp_path: Path) -> None:
    added = []
    for head, (end, kind) in KINDS.items():
        content = head + os.urandom(300_000)
        reply = add(server, content, name="../../evil.html")
        assert reply.status_code == 201, reply.text
        (name,) = reply.json()["names"]
        found = NAME.fullmatch(name)
        assert found is not None
        assert found[1] == end
        added.append(name)
        answer = httpx.get(f"{server.url}/media/{name}")
        assert (answer.content, answer.headers["Content-Type"]) == (content, kind)
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        part = httpx.get(f"{server.url}/media/{name}", headers={"Range": "bytes=200000-200009"})
        assert (part.status_code, part.content) == (206, content[200_000:200_010])
    assert names(server) == added[::-1]
    assert left(tmp_path / "media") == sorted(added)
    listed = httpx.get(f"{server.url}/api/media").json()["items"]
    kinds = {NAME.fullmatch(item["name"])[1]: item["kind"] for item in listed}  # type: ignore[index]
    assert {end for end, kind in kinds.items() if kind == "film"} == {"mp4", "webm"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg onload=alert(1)>",
        b"GIF8",
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x20ftypheic",
        b"\x1aE\xdf\xa3",
    ],
)
def test_what_is_refused_leaves_nothing(server: Server, tmp_path: Path, content: bytes) -> None:
    """Nor does what has come before it in the same form."""
    reply = add(server, GIF, content)
    assert reply.status_code == 415
    assert reply.json()["error"].startswith("only JPEG, ")
    assert names(server) == left(tmp_path / "media") == []


def test_other_refusals(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/api/media"
    assert httpx.post(url, data={"a": "b"}).status_code == 400
    assert httpx.post(url, data={"a": "b"}, files={"file": ("", b"")}).status_code == 400
    assert httpx.post(url, content=GIF).status_code == 400
    assert httpx.post(url, files=[("file", ("a", GIF))] * 21).status_code == 413
    for site in ("cross-site", "same-site"):
        reply = httpx.post(url, files={"file": ("a", GIF)}, headers={"Sec-Fetch-Site": site})
        assert reply.status_code == 403
    # With a length that says it, and in chunks, where it turns out.
    with server.connect() as peer:
        peer.send(request("POST", "/api/media", [("Content-Length", "9000000")]))
        assert peer.reply().status == 413
    boundary = [
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Transfer-Encoding", "chunked"),
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + GIF
    with server.connect() as peer:
        peer.send(request("POST", "/api/media", boundary))
        for piece in (head, bytes(3_000_000)):
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        assert peer.reply().status == 413
    wait_until(lambda: left(tmp_path / "media") == [], "nothing of it is left")


def test_a_client_that_goes_leaves_nothing(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    fields = [
        ("Content-Type", "multipart/form-data; boundary=x"), ("Content-Length", "2000000"),
    ]  # fmt: skip
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + GIF
    with server.connect() as peer:
        peer.send(request("POST", "/api/media", fields) + head + bytes(500_000))
        wait_until(lambda: len(left(folder)) == 1, "a file is coming")
        assert names(server) == []
        (coming,) = left(folder)
        assert server.get(f"/media/{coming}").status == 404
    wait_until(lambda: left(folder) == [], "nothing of it is left")


def test_deletes(server: Server, tmp_path: Path) -> None:
    first, second = add(server, GIF, GIF).json()["names"]
    (tmp_path / "media" / "0.txt").write_text("mine")
    for name in ("0.txt", ".lock", "..%2Fmedia%2F" + first, "x" + first):
        assert httpx.delete(f"{server.url}/api/media/{name}").status_code == 404
    assert httpx.delete(f"{server.url}/api/media/{first}").status_code == 204
    assert httpx.delete(f"{server.url}/api/media/{first}").status_code == 404
    assert names(server) == [second]
    assert left(tmp_path / "media") == sorted(["0.txt", second])


@pytest.mark.parametrize("bounds", [{"kept_files": 5}, {"kept_bytes": 5 * len(GIF) + 10}])
def test_bounds_hold_whoever_adds(tmp_path: Path, bounds: dict[str, int]) -> None:
    """Many at once, at several workers: no more than five come in."""
    with gallery(tmp_path, **bounds) as server, ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: add(server, GIF), range(12)))
        assert sorted(reply.status_code for reply in replies) == [201] * 5 + [507] * 7
        assert all("full" in reply.json()["error"] for reply in replies if reply.is_error)
        assert len(names(server)) == len(left(tmp_path)) == 5
        assert httpx.delete(f"{server.url}/api/media/{names(server)[0]}").status_code == 204
        # Both, or none.
        assert add(server, GIF, GIF).status_code == 507
        assert add(server, GIF).status_code == 201


def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    with gallery(tmp_path) as server:
        added = add(server, GIF, GIF).json()["names"]
        old, new = tmp_path / ".coming-old", tmp_path / ".coming-new"
        for path in (old, new):
            path.write_bytes(GIF)
        os.utime(old, (0, 0))
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_supervisor(server.pid), "another process serves")
        assert names(server) == added[::-1]
    with gallery(tmp_path) as server:
        assert names(server) == added[::-1]
    # What is still written to may be another process's.
    assert left(tmp_path) == sorted([".coming-new", *added])


def test_curl(server: Server, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "noise.png").write_bytes(picture(900))
    url = f"{server.url}/api/media"
    command = ["curl", "-sS", "--max-time", "30", "-F", f"file=@{tmp_path}/noise.png", url]
    for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
        ran = subprocess.run([*command, *more], capture_output=True, check=True)
        (name,) = json.loads(ran.stdout)["names"]
        kept = tmp_path / "media" / name
        assert kept.read_bytes() == (tmp_path / "noise.png").read_bytes()


NODE = """
const content = new Uint8Array(2_000_000).fill(0xff);
content[1] = 0xd8;
const file = new Blob([content]);
const form = new FormData();
form.append("file", file, "a");
form.append("file", file, "b");
const answer = await fetch(process.argv[1], {method: "POST", body: form});
console.log(answer.status, await answer.text());
"""


def test_fetch_of_node(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    with gallery(tmp_path) as server:
        command = [node, "--input-type=module", "--eval", NODE, f"{server.url}/api/media"]
        ran = subprocess.run(command, capture_output=True, timeout=60, text=True)
        if "FormData is not defined" in ran.stderr or "fetch is not defined" in ran.stderr:
            pytest.skip("this Node.js has no fetch")
        status, _, answer = ran.stdout.partition(" ")
        assert status == "201", ran.stdout + ran.stderr
        assert names(server) == json.loads(answer)["names"][::-1]
        assert [item.stat().st_size for item in tmp_path.glob("*.jpg")] == [2_000_000] * 2


# In a browser.

INPUT = "document.getElementById('files')"

# All values that a progress bar has had.
WATCH = """
window.seen = [];
new MutationObserver(() => {
  const bar = document.querySelector("#uploads progress");
  if (bar && bar.value !== seen.at(-1)) seen.push(bar.value);
}).observe(
  document.getElementById("uploads"), { subtree: true, childList: true, attributes: true },
);
"""


def wait_for(chromium: Browser, page: str, expression: str) -> None:
    wait_until(lambda: chromium.look(page, expression) is True, expression, 2 * SUCCESS_S)


def test_an_upload_shows_how_far_it_is_and_then_the_picture(tmp_path: Path) -> None:
    (tmp_path / "noise.png").write_bytes(picture(1300))
    assert (tmp_path / "noise.png").stat().st_size > 5_000_000
    with gallery(tmp_path / "media") as server, browser(tmp_path / "profile") as chromium:
        page = show(chromium, f"{server.url}/")
        wait_for(chromium, page, "document.getElementById('empty').hidden === false")
        chromium.look(page, WATCH)
        chromium.call("Network.enable", page)
        # As a line of some Mbit/s: on loopback all is sent before a bar could be looked at.
        chromium.call(
            "Network.emulateNetworkConditions", page,
            offline=False, latency=0, downloadThroughput=-1, uploadThroughput=4_000_000,
        )  # fmt: skip
        chromium.choose(page, INPUT, [tmp_path / "noise.png"])
        wait_for(
            chromium,
            page,
            "document.querySelector('#uploads .done .share')?.textContent === '100 %'",
        )
        seen = chromium.look(page, "seen")
        assert isinstance(seen, list)
        assert seen == sorted(seen)
        assert (seen[0], seen[-1]) == (0, 1)
        assert len([value for value in seen if 0 < value < 1]) >= 3, seen
        wait_for(chromium, page, "document.querySelector('#grid img')?.naturalWidth === 1300")
        (name,) = names(server)
        assert (tmp_path / "media" / name).read_bytes() == (tmp_path / "noise.png").read_bytes()
        # It goes again, for everybody.
        chromium.look(
            page, "window.confirm = () => true; document.querySelector('#grid a').click()"
        )
        wait_for(chromium, page, "document.querySelector('#stage img')?.naturalWidth === 1300")
        chromium.look(page, "document.getElementById('delete').click()")
        wait_for(
            chromium,
            page,
            "!document.getElementById('detail').open && !document.querySelector('#grid li')",
        )
        assert names(server) == []


DROP = """
const data = new DataTransfer();
data.items.add(new File(["<b>no picture</b>"], "<b>notes</b>.txt"));
data.items.add(new File([new Uint8Array(2_000_000)], "large.png"));
data.items.add(new File(["GIF89a"], "small.gif"));
const drop = { dataTransfer: data, bubbles: true, cancelable: true };
document.dispatchEvent(new DragEvent("drop", drop));
"""


def test_what_is_refused_is_said_in_words_and_the_others_are_added(tmp_path: Path) -> None:
    with (
        gallery(tmp_path / "media", upload_bytes=1_000_000) as server,
        browser(tmp_path / "profile") as chromium,
    ):
        page = show(chromium, f"{server.url}/")
        wait_for(chromium, page, "document.getElementById('empty').hidden === false")
        chromium.look(page, DROP)
        wait_for(chromium, page, "document.querySelectorAll('#grid img').length === 1")
        said = chromium.look(
            page,
            "Array.from(document.querySelectorAll('#uploads .failed'), (row) =>"
            " [row.querySelector('.name').textContent, row.querySelector('.note').textContent])",
        )
        assert said == [
            ["<b>notes</b>.txt", "Only JPEG, PNG, GIF, WebP, AVIF, MP4 and WebM are shown here."],
            ["large.png", "It is too large for this gallery."],
        ]


def test_a_film_is_sought_by_ranges(tmp_path: Path) -> None:
    with gallery(tmp_path / "media") as server, browser(tmp_path / "profile") as chromium:
        page = show(chromium, f"{server.url}/")
        content = film(chromium, page)
        (tmp_path / "film.webm").write_bytes(content)
        chromium.choose(page, INPUT, [tmp_path / "film.webm"])
        wait_for(chromium, page, "document.querySelectorAll('#grid video').length === 1")
        chromium.call("Network.enable", page)
        chromium.look(page, "document.querySelector('#grid a').click()")
        wait_for(chromium, page, "document.querySelector('#stage video')?.readyState >= 1")
        assert chromium.look(page, "document.querySelector('#stage video').duration") == FILM_S
        chromium.events.clear()
        sought = chromium.await_(
            page,
            """new Promise((resolve, reject) => {
              const video = document.querySelector("#stage video");
              video.onerror = () => reject(video.error.message);
              video.onseeked = () =>
                resolve([video.currentTime, video.videoWidth, video.readyState >= 2]);
              video.currentTime = 50.5;
            })""",
        )
        assert sought == [50.5, 160, True]
        parts = list(parts_of(chromium, page))
        assert parts
        for asked, status, told in parts:
            first = re.fullmatch(r"bytes=(\d+)-", asked)
            assert first is not None, asked
            assert (status, told) == (206, f"bytes {first[1]}-{len(content) - 1}/{len(content)}")
        # A part in the middle, not all that comes before it.
        assert max(int(told.split()[1].split("-")[0]) for _, _, told in parts) > len(content) // 2


def parts_of(chromium: Browser, page: str) -> Iterator[tuple[str, int, str]]:
    """Ranges that a page has asked for, and what it was answered."""
    chromium.look(page, "0")
    asked: dict[object, str] = {}
    for event in chromium.events:
        given = event["params"]
        assert isinstance(given, dict)
        if event["method"] == "Network.requestWillBeSent":
            asked[given["requestId"]] = given["request"]["headers"].get("Range", "")
        elif event["method"] == "Network.responseReceived" and given["requestId"] in asked:
            response = given["response"]
            fields = {name.lower(): value for name, value in response["headers"].items()}
            yield asked[given["requestId"]], response["status"], fields.get("content-range", "")

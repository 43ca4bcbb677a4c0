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
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import httpx
import pytest
from browser import Browser, browser, show
from dialogue import request
from films import FILM_S, film, mp4, picture
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
    b"\0\0\0\x14ftypqt  ": ("mp4", "video/mp4"),
    b"\0\0\0\x1cftyp3gp5": ("mp4", "video/mp4"),
    b"\0\0\0\x18ftyp3g2a": ("mp4", "video/mp4"),
    b"\0\0\0\x1cftypMSNV": ("mp4", "video/mp4"),
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


def upload_head(fields: list[tuple[str, str]]) -> bytes:
    return request("POST", "/api/media", [("Host", "localhost"), *fields])


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
        b"\0\0\0\x20ftypM4A ",
        b"\0\0\0\x18ftypcrx ",
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
    # With a length that says it, and in chunks, where it turns out.
    with server.connect() as peer:
        peer.send(upload_head([("Content-Length", "9000000")]))
        assert peer.reply().status == 413
    boundary = [
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Transfer-Encoding", "chunked"),
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + GIF
    with server.connect() as peer:
        peer.send(upload_head(boundary))
        for piece in (head, bytes(3_000_000)):
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        assert peer.reply().status == 413
    wait_until(lambda: left(tmp_path / "media") == [], "nothing of it is left")


def test_pages_of_other_sites_cannot_add_nor_delete(server: Server, tmp_path: Path) -> None:
    """By plain http a browser says in `Origin` only who asks, not in `Sec-Fetch-Site`."""
    (name,) = add(server, GIF).json()["names"]
    own = f"http://127.0.0.1:{server.port}"
    for fields in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": own},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{server.port + 1}"},
        {"Origin": "null"},
        {"Cookie": "a=b"},
    ):
        file = {"file": ("a", GIF)}
        reply = httpx.post(f"{server.url}/api/media", files=file, headers=fields)
        assert reply.status_code == 403, fields
        assert httpx.delete(f"{server.url}/api/media/{name}", headers=fields).status_code == 403
    assert left(tmp_path / "media") == [name]
    for fields in ({"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}):
        reply = httpx.post(f"{server.url}/api/media", files={"file": ("a", GIF)}, headers=fields)
        assert reply.status_code == 201, fields
    assert httpx.delete(f"{server.url}/api/media/{name}", headers=fields).status_code == 204


def test_a_name_that_leads_here_is_not_served(tmp_path: Path) -> None:
    """A page whose name leads to this address (DNS rebinding) is of the gallery's own origin."""

    def status(server: Server, host: str) -> int:
        answer = httpx.get(f"{server.url}/api/media", headers={"Host": f"{host}:{server.port}"})
        return answer.status_code

    with gallery(tmp_path) as server:
        assert [status(server, host) for host in ("localhost", "127.0.0.1", "[::1]")] == [200] * 3
        assert status(server, "evil.example") == 421
    env = {"GALLERY_FOLDER": str(tmp_path), "GALLERY_HOSTS": "gallery.example, 192.0.2.7"}
    with serve(EXAMPLE, env=env) as server:
        assert [status(server, host) for host in ("gallery.example", "192.0.2.7")] == [200] * 2
        assert status(server, "127.0.0.1") == 421


def test_a_client_that_goes_leaves_nothing(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    fields = [
        ("Content-Type", "multipart/form-data; boundary=x"), ("Content-Length", "2000000"),
    ]  # fmt: skip
    head = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + GIF
    with server.connect() as peer:
        peer.send(upload_head(fields) + head + bytes(500_000))
        wait_until(lambda: len(left(folder)) == 1, "a file is coming")
        assert names(server) == []
        (coming,) = left(folder)
        assert server.get(f"/media/{coming}", [("Host", "localhost")]).status == 404
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


HEAD = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nGIF89a'
END = b"\r\n--x--\r\n"


class Coming:
    """An upload without a length, as far as it has come."""

    def __init__(self, server: Server) -> None:
        self.peer = server.connect()
        fields = [
            ("Content-Type", "multipart/form-data; boundary=x"),
            ("Transfer-Encoding", "chunked"),
        ]
        self.peer.send(upload_head(fields))
        self.send(HEAD)

    def send(self, data: bytes) -> None:
        self.peer.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> list[str]:
        """The rest, and what names the files have got."""
        self.send(END)
        self.peer.send(b"0\r\n\r\n")
        reply = self.peer.reply()
        assert reply.status == 201, reply.text
        added = reply.json()["names"]
        assert isinstance(added, list)
        return added


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_what_is_on_its_way_counts(tmp_path: Path) -> None:
    """In the bound of bytes, whichever process it comes to."""
    with (
        gallery(tmp_path, kept_bytes=1_000_000) as one,
        gallery(tmp_path, kept_bytes=1_000_000) as other,
    ):
        first = Coming(one)
        first.send(bytes(600_000))
        wait_until(lambda: size_of(tmp_path) > 500_000, "most of the first has been written")
        second = Coming(other)
        second.send(bytes(600_000))
        assert second.peer.reply().status == 507
        wait_until(lambda: len(left(tmp_path)) == 1, "nothing of it is left")
        assert size_of(tmp_path) < 1_000_000
        # What says its length is told before it comes.
        with other.connect() as peer:
            fields = [("Content-Type", "multipart/form-data; boundary=x")]
            peer.send(upload_head([*fields, ("Content-Length", "600000")]))
            assert peer.reply().status == 507
        assert add(other, GIF).status_code == 201
        assert len(first.end()) == 1
        assert add(other, bytes(500_000).replace(b"\0", b"GIF89a", 1)).status_code == 507
        for name in names(one):
            assert httpx.delete(f"{one.url}/api/media/{name}").status_code == 204
        assert add(other, bytes(900_000).replace(b"\0", b"GIF89a", 1)).status_code == 201


def test_the_bound_of_bytes_holds_at_every_moment(tmp_path: Path) -> None:
    """Twelve of 300 kB at once, where three have room."""
    most, over = 0, Event()

    def watch() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, size_of(tmp_path))

    with gallery(tmp_path, kept_bytes=1_000_000) as server, ThreadPoolExecutor(13) as pool:
        watching = pool.submit(watch)
        try:
            content = b"GIF89a" + bytes(300_000)
            replies = list(pool.map(lambda _: add(server, content), range(12)))
        finally:
            over.set()
        watching.result()
        assert sorted(reply.status_code for reply in replies) == [201] * 3 + [507] * 9
        assert 900_000 < most <= 1_000_000


def test_a_file_on_its_way_counts_as_one(tmp_path: Path) -> None:
    with gallery(tmp_path, kept_files=1) as server:
        coming = Coming(server)
        coming.send(bytes(600_000))
        wait_until(lambda: size_of(tmp_path) > 0, "it is coming")
        assert add(server, GIF).status_code == 507
        assert coming.end() == names(server)


def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    """And what was coming goes on: the process that has it ends when it is whole."""
    with gallery(tmp_path) as server:
        added = add(server, GIF, GIF).json()["names"]
        coming = Coming(server)
        coming.send(bytes(600_000))
        wait_until(lambda: size_of(tmp_path) > 500_000, "another one is coming")
        (tmp_path / ".coming-abandoned").write_bytes(GIF)
        server.signal(signal.SIGHUP)
        wait_until(lambda: len(left(tmp_path)) == 3, "the next process has started")
        added += coming.end()
        wait_until(lambda: is_supervisor(server.pid), "another process serves")
        assert names(server) == added[::-1]
    with gallery(tmp_path) as server:
        assert names(server) == added[::-1]
    assert left(tmp_path) == added


def test_the_next_start_deletes_what_a_killed_process_has_left(tmp_path: Path) -> None:
    """At once, and nothing that comes to another process."""
    with gallery(tmp_path) as living:
        live = Coming(living)
        live.send(bytes(600_000))
        wait_until(lambda: len(left(tmp_path)) == 1, "a file is coming")
        kept = left(tmp_path)
        with gallery(tmp_path) as killed:
            lost = Coming(killed)
            lost.send(bytes(600_000))
            wait_until(lambda: len(left(tmp_path)) == 2, "and one to a process that will be killed")
            killed.kill()
        assert len(left(tmp_path)) == 2
        with gallery(tmp_path):
            assert left(tmp_path) == kept
        assert live.end() == names(living) == left(tmp_path)


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
            [
                "<b>notes</b>.txt",
                "Only JPEG, PNG, GIF, WebP, AVIF, MP4, MOV, 3GP and WebM are shown here.",
            ],
            ["large.png", "It is too large for this gallery."],
        ]


@pytest.mark.parametrize("brand", ["isom", "qt  ", "3gp5", "3g2a", "MSNV", "XAVC"])
def test_films_of_all_brands_are_shown(tmp_path: Path, brand: str) -> None:
    """A browser goes by what is in a film; its brand says who made it."""
    with gallery(tmp_path / "media") as server, browser(tmp_path / "profile") as chromium:
        page = show(chromium, f"{server.url}/")
        recorded = mp4(chromium, page)
        assert recorded[4:8] == b"ftyp"
        reply = add(server, recorded[:8] + brand.encode() + recorded[12:], name="film.mov")
        assert reply.status_code == 201
        (name,) = reply.json()["names"]
        assert httpx.get(f"{server.url}/media/{name}").headers["Content-Type"] == "video/mp4"
        chromium.look(page, f"location.hash = '#{name}'; location.reload()")
        wait_for(chromium, page, "document.querySelector('#stage video')?.readyState >= 2")
        assert chromium.look(page, "document.querySelector('#stage video').videoWidth") == 160


def test_a_film_that_cannot_be_shown_says_so(tmp_path: Path) -> None:
    with gallery(tmp_path / "media") as server, browser(tmp_path / "profile") as chromium:
        page = show(chromium, f"{server.url}/")
        (name,) = add(server, b"\0\0\0\x14ftyp3gp5" + bytes(1000)).json()["names"]
        chromium.look(page, f"location.hash = '#{name}'; location.reload()")
        wait_for(
            chromium,
            page,
            "document.getElementById('about').textContent.endsWith("
            "'this browser cannot show it, download it instead')",
        )


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

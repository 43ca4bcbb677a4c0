"""Sessions over sockets: what is written, what is believed, and for whom."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from places import PLACES
from serving import Server, Write, run_to_end, serve

SECRET = "a secret of this test alone"
PURPOSE = b"pyreframework session v1: "


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def made(
    data: object, at: float | None = None, secret: str = SECRET, cookie: str = "session"
) -> str:
    """A cookie as the docs describe it, by other means than ours."""
    key = hmac.new(secret.encode(), PURPOSE + cookie.encode(), hashlib.sha256).digest()
    text = json.dumps(data, separators=(",", ":")).encode()
    signed = f"{packed(text)}.{int(time.time() if at is None else at):x}"
    return f"{signed}.{packed(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def served(place: str, **env: str) -> Iterator[Server]:
    given = dict(PLACES[place])
    given["env"] = dict(given.get("env", {})) | env  # type: ignore[call-overload]
    with serve("sessions", workers=2, **given) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture(scope="module")
def server(place: str) -> Iterator[Server]:
    yield from served(place)


@pytest.fixture(
    scope="module",
    params=["def workers", "async workers", "async one-thread", "def main", "async gil"],
)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    """Keeps sessions in a folder."""
    folder = tmp_path_factory.mktemp("sessions")
    kind, _, place = request.param.partition(" ")
    for server in served(place, TEST_STORE=kind, TEST_FOLDER=str(folder)):
        yield server, folder


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url)


def cookie_lines(reply: httpx.Response) -> list[str]:
    return [line for line in reply.headers.get_list("set-cookie") if line.startswith("session=")]


@pytest.mark.parametrize("path", ["/count/a", "/async/a"])
def test_it_lasts(server: Server, path: str) -> None:
    with client(server) as one, client(server) as other:
        assert [one.get(path).json() for _ in range(3)] == [{"a": 1}, {"a": 2}, {"a": 3}]
        assert other.get(path).json() == {"a": 1}
        assert one.get("/show").json() == {"session": {"a": 3}, "new": False}


def test_what_is_said_about_it(server: Server) -> None:
    with client(server) as one:
        plain = one.get("/plain")
        assert "set-cookie" not in plain.headers and "vary" not in plain.headers
        reply = one.get("/show")
        assert cookie_lines(reply) == [] and reply.headers["vary"] == "Cookie"
        assert reply.json()["new"] is True
        reply = one.get("/count/a")
        (line,) = cookie_lines(reply)
        assert line.endswith("; Max-Age=1209600; Path=/; HttpOnly; SameSite=Lax")
        assert reply.headers["cache-control"] == "private"
        reply = one.get("/show")
        assert cookie_lines(reply) == [] and "cache-control" not in reply.headers
        reply = one.get("/cached")
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers.get_list("vary") == ["Accept, cookie"]


def test_over_tls_the_cookie_is_secure(server: Server) -> None:
    reply = httpx.get(f"{server.url}/count/a", headers={"X-Forwarded-Proto": "https, http"})
    assert "; Secure;" in cookie_lines(reply)[0]
    reply = httpx.get(f"{server.url}/count/a", headers={"Forwarded": 'for=1; Proto="https", a=b'})
    assert "; Secure;" in cookie_lines(reply)[0]


def test_changes_deep_inside_are_seen(server: Server) -> None:
    with client(server) as one:
        for length in (1, 2, 3):
            assert one.get("/deep").json() == {"list": [1] * length}


def test_an_empty_one_is_deleted(server: Server) -> None:
    with client(server) as one:
        assert cookie_lines(one.get("/forget")) == []
        one.get("/count/a")
        (line,) = cookie_lines(one.get("/forget"))
        assert line.startswith("session=; Max-Age=0; Expires=Thu, 01 Jan 1970")
        assert "session" not in one.cookies
        assert one.get("/show").json() == {"session": {}, "new": True}


ANSWERS = pytest.mark.parametrize(
    ("path", "name"),
    [("/hooked", "hook"), ("/after", "after"), ("/raised", "raised"), ("/lost", "missing"),
     ("/generator", "generator"), ("/stream", "stream"), ("/sent", "sent"), ("/kept", "kept"),
     ("/replaced", "replaced"), ("/events", "events")],
)  # fmt: skip


@ANSWERS
def test_whatever_answers(server: Server, path: str, name: str) -> None:
    with client(server) as one:
        reply = one.get(path)
        assert reply.status_code < 500, reply.text
        assert len(cookie_lines(reply)) == 1
        assert list(one.get("/show").json()["session"]) == [name]


@ANSWERS
def test_whatever_answers_a_store_is_asked_first(
    stored: tuple[Server, Path], path: str, name: str
) -> None:
    with client(stored[0]) as one:
        reply = one.get(path)
        assert reply.status_code < 500, reply.text
        assert reply.text == httpx.get(f"{stored[0].url}{path}").text
        assert len(cookie_lines(reply)) == 1
        assert list(one.get("/show").json()["session"]) == [name]


@pytest.mark.parametrize("path", ["/counted/a", "/counted_async/a"])
def test_where_bodies_are_read_as_they_come(server: Server, path: str) -> None:
    with client(server) as one:
        for number in (1, 2):
            reply = one.post(path, content=b"x" * 100_000, headers={"Sec-Fetch-Site": "none"})
            assert reply.json() == {"a": number, "size": 100_000}


def test_cookies_of_handlers_stay(server: Server) -> None:
    reply = httpx.get(f"{server.url}/replaced")
    assert sorted(one.partition("=")[0] for one in reply.headers.get_list("set-cookie")) == [
        "other", "session",
    ]  # fmt: skip
    assert reply.headers["vary"] == "X, Cookie"


@pytest.mark.parametrize("path", ["/measured", "/measured_stream"])
def test_an_answer_in_pieces_keeps_its_length(server: Server, path: str) -> None:
    with client(server) as one:
        reply = one.get(path)
        assert reply.headers["content-length"] == str(len(reply.text)), reply.headers
        assert "transfer-encoding" not in reply.headers
        assert len(cookie_lines(reply)) == 1
        assert len(reply.headers.get_list("set-cookie")) == (3 if path == "/measured" else 2)


def test_an_answer_that_is_kept_has_nobodys_session(server: Server) -> None:
    with client(server) as one, client(server) as other:
        for number in (1, 2):
            one.get("/kept")
            assert one.get("/show").json()["session"] == {"kept": number}
        assert len(cookie_lines(other.get("/kept"))) == 1
        assert other.get("/show").json()["session"] == {"kept": 1}


LATE_FAILURES = ["/no_json", "/no_json_async", "/fails_at_once", "/fails_at_once_async"]


@pytest.mark.parametrize("path", ["/fail", "/unfit", "/large", *LATE_FAILURES])
def test_a_failure_leaves_it_as_it_was(server: Server, path: str) -> None:
    with client(server) as one:
        one.get("/count/a")
        reply = one.get(path)
        assert reply.status_code == 500 and cookie_lines(reply) == []
        assert reply.headers["vary"] == "Cookie"
        assert "cache-control" not in reply.headers
        assert one.get("/show").json()["session"] == {"a": 1}
    reason = {
        "/fail": "on purpose",
        "/unfit": "req.session['unfit'] cannot be kept: Object of type object is not JSON",
        "/large": "as a cookie, of which browsers keep 4,096: put less into it",
        "/no_json": "answer",
        "/no_json_async": "answer",
    }
    server.output.wait_for(re.escape(reason.get(path, "before the first piece")))


def test_once_the_head_is_made_it_is_read_only(server: Server) -> None:
    with client(server) as one:
        one.get("/count/a")
        reply = one.get("/late")
        assert reply.text.startswith("2the head of the answer has been made")
        assert one.get("/show").json()["session"] == {"a": 1}


def test_once_the_head_is_made_it_is_not_opened(server: Server) -> None:
    """The head would not say that the answer depends on it."""
    with client(server) as one:
        one.get("/count/a")
        assert one.get("/too_late").status_code == 500
        assert one.get("/in_task").text == "later"
    server.output.wait_for("refused: the head of the answer has been made without the session")


def test_caches_that_are_shared_do_not_keep_it(server: Server) -> None:
    assert httpx.get(f"{server.url}/aged").headers["cache-control"] == "max-age=60, private"


def wrong() -> dict[str, str]:
    good = made({"a": 1})
    payload, stamp, signature = good.split(".")
    return {
        "payload": ".".join([packed(b'{"a":2}'), stamp, signature]),
        "stamp": ".".join([payload, f"{int(stamp, 16) + 1:x}", signature]),
        "signature": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        "other secret": made({"a": 1}, secret="another secret of that length"),
        "other cookie": made({"a": 1}, cookie="token"),
        "over": made({"a": 1}, at=time.time() - 1209700),
        "of the future": made({"a": 1}, at=time.time() + 120),
        "cut": good[:-1],
        "no stamp": f"{payload}.{signature}",
        "empty": "",
        "dots": "..",
        "garbage": "%%%.zz.++",
        "huge": "a" * 5000 + good,
        "plain": "eyJhIjoxfQ",
        "a list": made([1, 2]),
        "nothing": made(None),
        "not ASCII": "\xe9.1.\xe9",
    }


@pytest.mark.parametrize("kind", wrong())
def test_what_we_have_not_signed_is_nobody(server: Server, kind: str) -> None:
    raw = f"session={wrong()[kind]}".encode("latin-1")
    reply = httpx.get(f"{server.url}/show", headers=[(b"Cookie", raw)])
    assert reply.status_code == 200 and reply.json() == {"session": {}, "new": True}


def test_what_we_have_signed_is_believed(server: Server) -> None:
    # Clocks of hosts that share a secret differ a little.
    for at in (time.time(), time.time() - 1209000, time.time() + 40):
        value = made({"a": 1}, at=at)
        reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"b=1; session={value}; c=2"})
        assert reply.json() == {"session": {"a": 1}, "new": False}
    # The first of two counts (RFC 6265 section 5.4).
    both = f"session={made({'a': 1})}; session={made({'a': 2})}"
    reply = httpx.get(f"{server.url}/show", headers={"Cookie": both})
    assert reply.json()["session"] == {"a": 1}


def test_half_way_it_is_written_again(server: Server) -> None:
    old = made({"a": 1}, at=time.time() - 700_000)
    reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"session={old}"})
    (line,) = cookie_lines(reply)
    again = line.removeprefix("session=").partition(";")[0]
    assert again.split(".")[0] == old.split(".")[0] and again != old
    reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"session={again}"})
    assert cookie_lines(reply) == []


def test_clients_at_once_keep_their_own(server: Server) -> None:
    visit_at_once(server, 100)


def test_clients_at_once_keep_their_own_in_a_store(stored: tuple[Server, Path]) -> None:
    """Others are answered while the store is asked, from what is encoded."""
    visit_at_once(stored[0], 30)


def visit_at_once(server: Server, times: int) -> None:
    def visit(number: int) -> bool:
        with client(server) as one:
            name = f"n{number}"
            path = f"/{'async' if number % 2 else 'count'}/{name}"
            return all(one.get(path).json() == {name: index + 1} for index in range(times))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(visit, range(8)))


@pytest.mark.parametrize("mode", ["subinterp", "default"])
def test_a_secret_of_one_interpreter_is_refused(write: Write, mode: str) -> None:
    """What one worker signs the others would not believe."""
    program = """
import os
from pyreframework import Pyre

app = Pyre()
app.sessions(os.urandom(32))

@app.get("/")
def visit(req):
    req.session["a"] = req.session.get("a", 0) + 1
    return req.session["a"]

if __name__ == "__main__":
    app.run()
"""
    path = write("program.py", program)
    if mode == "default":
        with serve(path, mode=mode) as server, client(server) as one:
            assert [one.get("/").json() for _ in range(2)] == [1, 2]
        return
    ending = run_to_end(path, workers=2)
    assert ending.code == 3
    assert "app.sessions() has another secret in this worker than in the main" in ending.output
    assert "read it from the environment or from a file" in ending.output
    assert "must register the same routes" not in ending.output


def test_secrets_rotate() -> None:
    new = "the secret that comes in its place"
    for server in served("workers", TEST_SECRETS=f"{new},{SECRET}"):
        reply = httpx.get(f"{server.url}/count/a", headers={"Cookie": f"session={made({'a': 1})}"})
        assert reply.json() == {"a": 2}
        value = cookie_lines(reply)[0].removeprefix("session=").partition(";")[0]
        stamp = value.split(".")[1]
        assert value == made({"a": 2}, at=int(stamp, 16), secret=new)


def test_until_the_browser_ends() -> None:
    for server in served("workers", TEST_MAX_AGE="none"):
        (line,) = cookie_lines(httpx.get(f"{server.url}/count/a"))
        assert "Max-Age" not in line and "Expires" not in line
        for age, is_new in ((1209000, False), (1210000, True)):
            value = made({"a": 1}, at=time.time() - age)
            reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"session={value}"})
            assert reply.json()["new"] is is_new


def shaken(server: Server, path: str, cookie: str = "") -> tuple[str, httpx.Headers, bytes]:
    """Ask for a WebSocket; return the status line of the answer, its fields, and what follows."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Cookie: session={cookie}\r\n\r\n".encode()
        )
        found = b""
        while chunk := raw.recv(4096):
            found += chunk
            # The frame that closes, or a refusal, behind which a connection may go on.
            if b"\x88" in found or b'{"error"' in found:
                break
    head, _, rest = found.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return first, httpx.Headers(fields), rest


@pytest.mark.parametrize("path", ["/ws/def", "/ws/async"])
def test_a_websocket_begins_with_what_hooks_have_changed(server: Server, path: str) -> None:
    first, fields, rest = shaken(server, path, made({"ws": 1}))
    assert first.split()[1] == "101"
    *_, line = fields.get_list("set-cookie")
    assert b"2, the head of the answer has been made" in rest
    value = line.removeprefix("session=").partition(";")[0]
    assert json.loads(base64.urlsafe_b64decode(value.split(".")[0] + "==")) == {"ws": 2}
    assert len(fields.get_list("set-cookie")) == (2 if path == "/ws/async" else 1)


@pytest.mark.parametrize(("path", "status"), [("/ws/refused", "403"), ("/ws/fails", "500")])
def test_so_does_one_that_is_refused(server: Server, path: str, status: str) -> None:
    first, fields, _ = shaken(server, path)
    assert first.split()[1] == status
    assert len(fields.get_list("set-cookie")) == 1
    assert fields["vary"] == "Cookie" and fields["cache-control"] == "private"


def test_a_websocket_does_not_begin_with_what_cannot_be_kept(server: Server) -> None:
    first, fields, _ = shaken(server, "/ws/unfit")
    assert first.split()[1] == "500"
    assert "set-cookie" not in fields and fields["vary"] == "Cookie"


@pytest.mark.parametrize("path", ["/ws/def", "/ws/async", "/ws/refused", "/ws/fails"])
def test_a_store_has_what_a_websocket_begins_with(stored: tuple[Server, Path], path: str) -> None:
    server, _ = stored
    _, fields, _ = shaken(server, path)
    *_, line = fields.get_list("set-cookie")
    headers = {"Cookie": line.partition(";")[0]}
    assert httpx.get(f"{server.url}/show", headers=headers).json()["session"] == {"ws": 1}
    httpx.get(f"{server.url}/forget", headers=headers)


@pytest.mark.parametrize("path", ["/broken", "/broken_in_pieces"])
def test_what_a_store_raises_has_its_answer(stored: tuple[Server, Path], path: str) -> None:
    """And is asked no more for it."""
    with client(stored[0]) as one:
        one.get("/count/a")
        reply = one.get(path)
        assert (reply.status_code, reply.json()) == (409, {"error": "try again"})
        assert cookie_lines(reply) == [] and reply.headers["vary"] == "Cookie"
        assert one.get("/show").json()["session"] == {"a": 1}
        one.get("/forget")


@pytest.mark.parametrize("path", ["/hangs", "/hangs_async", "/hangs_in_pieces"])
def test_a_store_that_hangs_is_not_waited_for_too_long(
    stored: tuple[Server, Path], path: str
) -> None:
    with client(stored[0]) as one:
        one.get("/count/a")
        reply = one.get(path)
        assert reply.status_code == 504 and cookie_lines(reply) == []
        assert one.get("/show").json()["session"] == {"a": 1}
        one.get("/forget")


def test_a_client_that_leaves_does_not_keep_it_from_being_written(
    stored: tuple[Server, Path],
) -> None:
    """Its handler has got to the end."""
    server, _ = stored
    with client(server) as one:
        one.get("/count/a")
        cookie = one.cookies["session"]
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            head = f"GET /takes_long HTTP/1.1\r\nHost: a\r\nCookie: session={cookie}\r\n\r\n"
            raw.sendall(head.encode())
            server.output.wait_for("it takes long to save")
        server.output.wait_for("it is saved")
        assert one.get("/show").json()["session"] == {"a": 1, "long": True}
        one.get("/forget")


def test_requests_behind_each_other_have_their_own(stored: tuple[Server, Path]) -> None:
    with client(stored[0]) as one, client(stored[0]) as other:
        cookies = []
        for each in (one, other):
            each.get("/count/a")
            cookies.append(each.cookies["session"])
        with socket.create_connection(("127.0.0.1", stored[0].port), timeout=10) as raw:
            for name, path in zip("bcdef", ["count", "async"] * 3, strict=False):
                for cookie in cookies:
                    raw.sendall(
                        f"GET /{path}/{name} HTTP/1.1\r\nHost: a\r\n"
                        f"Cookie: session={cookie}\r\n\r\n"
                        "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                    )
            raw.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            found = b""
            while chunk := raw.recv(65536):
                found += chunk
        bodies = re.findall(rb"\r\n\r\n({.*?}|plain)", found)
        kept: dict[str, int] = {"a": 1}
        wanted = []
        for name in "bcdef":
            kept[name] = 1
            wanted += [json.dumps(kept, separators=(",", ":")).encode(), b"plain"] * 2
        assert bodies == [*wanted, b"plain"]
        assert found.count(b"Set-Cookie: session=") == 10
        for each in (one, other):
            assert each.get("/show").json()["session"] == kept
            each.get("/forget")


def test_a_store_has_what_the_cookie_names(stored: tuple[Server, Path]) -> None:
    server, folder = stored
    others = set(folder.iterdir())
    with client(server) as one:
        assert [one.get("/count/a").json() for _ in range(3)] == [{"a": 1}, {"a": 2}, {"a": 3}]
        value = one.cookies["session"]
        payload = value.split(".")[0]
        key = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
        assert len(key) == 43 and json.loads((folder / key).read_text()) == {"a": 3}
        one.get("/renew")
        assert not (folder / key).exists() and one.cookies["session"] != value
        assert one.get("/show").json() == {"session": {"a": 3}, "new": False}
        one.get("/forget")
        assert "session" not in one.cookies and set(folder.iterdir()) == others
        one.cookies.set("session", value)
        assert one.get("/show").json() == {"session": {}, "new": True}
        assert one.get("/async/b").json() == {"b": 1}
        # An id that is not there any more is not used again.
        assert not (folder / key).exists()
        assert one.get("/large").status_code == 204


@pytest.mark.parametrize("path", ["/fail", "/unfit", *LATE_FAILURES])
def test_a_failure_leaves_the_store_as_it_was(stored: tuple[Server, Path], path: str) -> None:
    server, folder = stored
    with client(server) as one:
        one.get("/count/a")
        cookie = one.cookies["session"]
        kept = {file.name: file.read_text() for file in folder.iterdir()}
        reply = one.get(path)
        assert reply.status_code == 500 and cookie_lines(reply) == []
        assert one.cookies["session"] == cookie
        assert {file.name: file.read_text() for file in folder.iterdir()} == kept
        assert one.get("/show").json() == {"session": {"a": 1}, "new": False}
        one.get("/forget")


def test_what_stands_for_a_first_piece_is_settled(stored: tuple[Server, Path]) -> None:
    with client(stored[0]) as one:
        reply = one.get("/lost_in_pieces")
        assert (reply.status_code, reply.json()) == (404, {"missing": True})
        assert len(cookie_lines(reply)) == 1 and reply.headers["vary"] == "Cookie"
        kept = {"pieces": 1, "missing": "'name'"}
        assert one.get("/show").json() == {"session": kept, "new": False}
        one.get("/forget")


def test_what_a_body_in_pieces_changes_is_not_kept(stored: tuple[Server, Path]) -> None:
    with client(stored[0]) as one:
        assert one.get("/deep_in_pieces").text == "a"
        assert one.get("/show").json()["session"] == {"list": []}
        one.get("/forget")


def test_a_hook_from_before_the_sessions_has_what_is_stored(stored: tuple[Server, Path]) -> None:
    with client(stored[0]) as one:
        one.get("/count/a")
        assert one.get("/earlier").json() == {"a": 1, "earlier": True}
        assert one.get("/show").json()["session"] == {"a": 1, "earlier": True}
        one.get("/forget")


def test_what_a_logout_deletes_stays_deleted(stored: tuple[Server, Path]) -> None:
    server, folder = stored
    kept = set(folder.iterdir())
    with client(server) as one, client(server) as other, ThreadPoolExecutor(1) as pool:
        one.get("/count/a")
        value = one.cookies["session"]
        other.cookies.set("session", value)
        slow = pool.submit(other.get, "/slow")
        server.output.wait_for("it is slow")
        one.get("/forget")
        reply = slow.result()
        assert reply.text == "slow" and cookie_lines(reply) == []
        assert set(folder.iterdir()) == kept
        reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"session={value}"})
        assert reply.json() == {"session": {}, "new": True}


def test_a_store_is_not_asked_for_what_we_have_not_signed(stored: tuple[Server, Path]) -> None:
    server, folder = stored
    # Nor for what was signed where sessions are in the cookie.
    reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"session={made('../../x')}"})
    assert reply.json() == {"session": {}, "new": True}
    (folder / "mine").write_text('{"a": 1}')
    forged = f"{packed(b'mine')}.{int(time.time()):x}.{'A' * 43}"
    reply = httpx.get(f"{server.url}/show", headers={"Cookie": f"session={forged}"})
    assert reply.json() == {"session": {}, "new": True}
    (folder / "mine").unlink()

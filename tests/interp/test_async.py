"""Handlers made with `async def`: asyncio as it is anywhere else, on every kind of interpreter."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from dialogue import Peer, request
from gate import Gate
from places import PLACES
from serving import Server, serve, wait_until

INTERNAL = {"error": "internal server error"}

LOOPS = PLACES | {"main-one-thread": {"mode": "default", "gil_threads": 1}}
"""Where coroutines can run; one worker each, so that all requests meet on one loop."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path] | None:
    """A certificate for localhost that signs itself, and its key; none if nothing makes them."""
    if not shutil.which("openssl"):
        return None
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost",
         "-out", str(paths[0]), "-keyout", str(paths[1])],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return paths


@pytest.fixture(scope="module", params=LOOPS)
def server(
    request: pytest.FixtureRequest, certificate: tuple[Path, Path] | None
) -> Iterator[Server]:
    place = dict(LOOPS[request.param])
    env: dict[str, str] = place.pop("env", {})  # type: ignore[assignment]
    if certificate is not None:
        env = env | {"TEST_CERTIFICATE": str(certificate[0])}
    with serve("coroutines", workers=1, env=env, **place) as server:
        yield server
        assert server.get("/hello").text == "hello"


@pytest.mark.parametrize(
    "kind",
    [
        "str", "bytes", "bytearray", "dict", "list", "int", "bool", "none", "tuple", "headers",
        "dataclass", "response", "unknown", "nan",
    ],
)  # fmt: skip
def test_results_are_those_of_a_function(server: Server, kind: str) -> None:
    def shown(path: str) -> object:
        reply = server.get(f"{path}/{kind}")
        return reply.status, [field for field in reply.headers if field[0] != "date"], reply.body

    expected = shown("/sync")
    assert shown("/async") == expected
    assert shown("/later") == expected


@pytest.mark.parametrize("kind", ["object", "method", "lambda"])
def test_callables(server: Server, kind: str) -> None:
    assert server.get(f"/kinds/{kind}").text == {"lambda": "text"}.get(kind, kind)


def test_coroutine_that_a_function_returns(server: Server) -> None:
    assert server.get("/coroutine-of-def").text == "text"


def test_async_generator_is_sent_piece_by_piece(server: Server) -> None:
    with server.connect() as peer:
        assert peer.get("/generator").text == "text"
        assert peer.get("/hello").text == "hello"


@pytest.mark.parametrize("when", ["", "late-"], ids=["at-once", "late"])
@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("value", 500, INTERNAL),
        ("http", 402, {"error": "pay"}),
        ("exit", 500, INTERNAL),
        ("interrupt", 500, INTERNAL),
        ("cancelled", 500, INTERNAL),
        ("stop", 500, INTERNAL),
        ("group", 500, INTERNAL),
        ("recursion", 500, INTERNAL),
    ],
)
def test_exceptions(server: Server, kind: str, status: int, body: object, when: str) -> None:
    """Each is the answer to its request and disturbs nothing else, not even what ends programs."""
    with server.connect() as peer, server.connect() as other:
        other.send(request("GET", "/hold/beside"))
        wait_until(lambda: server.get("/held").text == "1", "the other one waits")
        reply = peer.get(f"/raise/{when}{kind}")
        assert (reply.status, reply.json()) == (status, body)
        assert peer.get("/exception-context").text == "None"
        assert peer.get("/release/beside").text == "released"
        assert other.reply().text == "beside"


def test_log_of_an_exception(server: Server) -> None:
    server.get("/raise/late-value")
    server.output.wait_for("ValueError: secret of the coroutine")
    server.output.wait_for(r"GET /raise/\{kind\} \(request [0-9a-f]{24}\) raised ValueError")
    assert "in raising" in server.output.text()


def test_task_and_loop(server: Server) -> None:
    for _ in range(3):
        assert server.get("/task").json() == {
            "seen": [True] * 4,
            "known": True,
            "loop": True,
            "done": False,
            "type": True,
            "cancelling": 0,
            "name": True,
            "repr": True,
            "running": True,
        }


def test_plain_handlers_have_no_loop(server: Server) -> None:
    """Also when the thread that runs them is that of the loop."""
    assert server.get("/no-loop").text == "text"
    assert "cannot be called from a running event loop" in server.get("/nested-run").text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/timeout/0.01", "timed out, cancelling 0"),
        ("/timeout/0", "timed out, cancelling 0"),
        ("/wait-for", "timed out"),
        ("/group", [0, 1, 2, 3, 4]),
        ("/failing-group", {"errors": ["one of them"], "other": True, "cancelling": 0}),
        ("/gather", [0, 1, 2, 3, 4]),
        ("/queue", list(range(10))),
        ("/lock", [0, 0, 1, 1, 2, 2]),
        ("/to-thread", ["carried", True]),
        ("/streams", "SHOUT\n"),
        ("/subprocess", {"out": "cba", "code": 0}),
        ("/udp", "datagram"),
    ],
)
def test_asyncio(server: Server, path: str, expected: object) -> None:
    for _ in range(2):
        reply = server.get(path)
        assert reply.status == 200, server.output.text()
        assert (reply.text if isinstance(expected, str) else reply.json()) == expected


@contextmanager
def tls_echo(certificate: tuple[Path, Path]) -> Iterator[int]:
    """A server with TLS that gives one line back in upper case; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def answer() -> None:
            accepted, _ = listener.accept()
            accepted.settimeout(30)
            with context.wrap_socket(accepted, server_side=True) as talking:
                talking.sendall(talking.recv(1000).upper())
                talking.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_tls(server: Server, certificate: tuple[Path, Path] | None) -> None:
    if certificate is None:
        pytest.skip("there is no openssl to make a certificate")
    with tls_echo(certificate) as port:
        assert server.get(f"/tls/{port}").text == "OVER TLS\n"


def test_httpx_asks_its_own_server(server: Server) -> None:
    for _ in range(2):
        reply = server.get(f"/httpx/{server.port}")
        assert reply.json() == [str(n) for n in range(8)], server.output.text()


def postgres_programs() -> Path | None:
    """Where PostgreSQL's programs are; none if it is not installed."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wanted = ("initdb", "postgres")
    for folder in folders:
        if all((folder / name).exists() for name in wanted):
            return folder
    return None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A PostgreSQL server of our own, as an unprivileged user; its port."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    folder = tmp_path_factory.mktemp("postgres")
    as_user: list[str] = []
    if os.getuid() == 0:
        # It refuses to run as root.
        if not shutil.which("runuser"):
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        as_user = ["runuser", "-u", "nobody", "--"]
        shutil.chown(folder, "nobody")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    made = [str(programs / "initdb"), "-D", str(data), "-U", "pyre", "-A", "trust", "--no-sync"]
    subprocess.run(as_user + made, check=True, capture_output=True, cwd=folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ["-F", "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*as_user, str(programs / "postgres"), "-D", str(data), *settings],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        ready = "ready to accept connections"
        wait_until(lambda: ready in (folder / "log").read_text(), "PostgreSQL is ready")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def test_asyncpg(server: Server, postgres: int) -> None:
    """Pools, transactions, and a query that is cancelled in time, on a real PostgreSQL."""
    reply = server.get(f"/postgres/{postgres}")
    assert reply.status == 200, server.output.text()
    assert reply.json() == {
        "rows": [2 * n for n in range(8)],
        "table": [[1, "x"], [2, "y"], "timed out", "still there"],
    }


def test_context_variables_belong_to_one_request(server: Server) -> None:
    """What one sets no other sees, whether or not it waits in between."""
    with server.connect() as peer:
        for n in range(6):
            query = "?wait" if n % 2 else ""
            expected = ["unset", f"v{n}", f"v{n}"]
            assert peer.get(f"/context/set/v{n}{query}").json() == expected
            assert peer.get(f"/context/set-at-once/w{n}").json() == ["unset", f"w{n}"]
            assert peer.get("/context").text == "unset"
            assert peer.get("/context/sync").text == "unset"


@pytest.mark.parametrize("threads", [1, 4])
def test_context_variables_that_a_function_leaves(tmp_path: Path, threads: int) -> None:
    """They stay in its thread, which coroutines do not see even if it is theirs."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import contextvars
        from pyreframework import Pyre
        app = Pyre()
        variable = contextvars.ContextVar("variable", default="unset")

        @app.get("/leave")
        def leave():
            variable.set("left")

        @app.get("/look")
        async def look():
            return variable.get()

        app.run()
        """)
    )
    with serve(program, workers=1, threads=threads) as server, server.connect() as peer:
        for _ in range(3):
            assert peer.get("/leave").status == 204
            assert peer.get("/look").text == "unset"


def test_context_variables_of_requests_that_overlap(server: Server) -> None:
    with Gate() as gate, ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(5)]
        for n, peer in enumerate(peers):
            peer.send(request("GET", f"/context/hold/{gate.port}/v{n}"))
            assert gate.entered() == f"v{n}"
        assert server.get("/context").text == "unset"
        for n, peer in reversed(list(enumerate(peers))):
            gate.release(f"v{n}")
            assert peer.reply().text == f"v{n}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("self", ["enough", 1, 0, 0]),
        ("self/zero", "cancelled"),
        ("self/later", "cancelled"),
        ("self/return", "returned"),
        ("self/impossible", "goes first"),
        ("self/impossible?later", "goes first"),
        ("by-other", "by a callback"),
        ("shield", "survived"),
    ],
)
def test_cancelling_the_task_of_a_request(server: Server, path: str, expected: object) -> None:
    with server.connect() as peer:
        for _ in range(2):
            reply = peer.get(f"/cancel/{path}")
            assert (reply.text if isinstance(expected, str) else reply.json()) == expected
            # The next request has a task that nobody has asked to end.
            assert peer.get("/task").json()["cancelling"] == 0


def test_request_that_cancels_itself_and_does_not_mind(server: Server) -> None:
    reply = server.get("/cancel/self/unhandled")
    assert (reply.status, reply.json()) == (500, INTERNAL)
    server.output.wait_for("GET /cancel/self/unhandled .*raised CancelledError")


def test_task_of_another_request(server: Server) -> None:
    """It can be cancelled and awaited; to who awaits it, it ends with its request."""

    def store(peer: Peer, name: str) -> None:
        peer.send(request("GET", f"/tasks/store/{name}"))
        wait_until(lambda: server.get(f"/tasks/known/{name}").json(), "its task is known")

    with server.connect() as stored, server.connect() as awaiting:
        store(stored, "a")
        assert server.get("/tasks/cancel/a").json() is True
        assert stored.reply().text == "cancelled by another request"
        store(stored, "b")
        awaiting.send(request("GET", "/tasks/await/b"))
        wait_until(lambda: server.get("/held").text == "1", "it awaits")
        assert server.get("/release/b").text == "released"
        assert stored.reply().text == "released"
        assert awaiting.reply().json() == [None, True]
        assert stored.get("/tasks/store/c?return").text == "stored"
        assert stored.get("/tasks/await/c").json() == [None, True]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("stop", ""),
        ("close", "Cannot close a running event loop"),
        ("run", "This event loop is already running"),
    ],
)
def test_loop_that_is_not_theirs(server: Server, what: str, said: str) -> None:
    for _ in range(2):
        assert server.get(f"/loop/{what}").text == said
        assert server.get("/timeout/0.01").status == 200


def test_generators(server: Server) -> None:
    assert server.get("/generators").json() == [0, 1, 2]


def test_tasks_live_on_after_the_answer(server: Server) -> None:
    with Gate() as gate:
        assert server.get(f"/background/start/{gate.port}").text == "started"
        assert gate.entered() == "background"
        with server.connect() as peer:
            peer.send(request("GET", "/background/wait"))
            peer.expect_silence(0.05)
            gate.release("background", "done after the answer")
            assert peer.reply().text == "done after the answer"


@pytest.mark.parametrize("how", ["at-once", "later"])
def test_done_callbacks_of_the_task(server: Server, how: str) -> None:
    """The task of a request ends with it, as far as anybody can tell who has asked to know."""
    for _ in range(2):
        assert server.get(f"/done-callback/{how}").text == "added"
        assert server.get("/done-callback").text == "ran"


@pytest.mark.parametrize("when", ["", "?later"], ids=["at-once", "later"])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("garbage", "RuntimeError: Task got bad yield: 5"),
        (
            "future",
            "RuntimeError: yield was used instead of yield from in task <Task.*> with <Future",
        ),
        ("itself", "RuntimeError: Task cannot await on itself: <Task"),
        (
            "other-loop",
            "Task <Task.*GET /wrong.*> got Future <Future.*> attached to a different loop",
        ),
        ("not-awaitable", "TypeError: .*int.* can't be (used in 'await' expression|awaited)"),
    ],
)
def test_what_cannot_be_awaited(server: Server, kind: str, error: str, when: str) -> None:
    """The same exception as asyncio raises, in the coroutine that did it."""
    with server.connect() as peer:
        for _ in range(2):
            assert re.search(error, peer.get(f"/wrong/{kind}{when}").text)
            assert peer.get("/number/3").text == "3"


def test_two_thousand_wait_at_once(server: Server) -> None:
    """All on one loop, until one request lets all of them go."""
    many = 2000
    with ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(many)]
        for peer in peers:
            peer.send(request("GET", "/hold/crowd"))
        wait_until(lambda: server.get("/held").text == str(many), "all of them wait")
        # Others are served meanwhile, both kinds.
        assert server.get("/number/3").text == "3"
        assert server.get("/plain").text == "plain"
        assert server.get("/release/crowd").text == "released"
        assert {peer.reply().text for peer in peers} == {"crowd"}
    assert server.get("/held").text == "0"
    # What they had is gone with them: the object of this request, and those kept for reuse.
    wait_until(lambda: int(server.get("/requests").text) <= 1024 + 64, "requests are let go")


def drain(peer: Peer, count: int) -> list[str]:
    return [peer.reply().text for _ in range(count)]


def test_pipelines_keep_their_order(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"".join(request("GET", f"/number/{n}") for n in range(60)))
        assert drain(peer, 60) == [str(n) for n in range(60)]


def test_mixed_pipelines_keep_their_order(server: Server) -> None:
    """`async def`, `def`, those of the main interpreter, and what needs no handler at all."""
    paths = ("/number/{}", "/sync-number/{}", "/gil-number/{}", "/number/{}")
    targets = [paths[n % 4].format(n) for n in range(80)]
    with server.connect() as peer:
        peer.send(b"".join(request("GET", target) for target in targets))
        assert drain(peer, 80) == [str(n) for n in range(80)]
        peer.send(
            request("GET", "/main")
            + request("GET", "/none/such")
            + request("POST", "/hello")
            + request("GET", "/later/str")
            + request("GET", "/plain")
        )
        replies = [peer.reply() for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 404, 405, 200, 200]
        assert [replies[n].text for n in (0, 1, 3, 4)] == ["main", "no /none/such", "text", "plain"]


def test_requests_of_a_pipeline_run_one_after_the_other(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(
            request("GET", f"/gate/{gate.port}/a")
            + request("GET", f"/gate/{gate.port}/b")
            + request("GET", "/plain")
        )
        assert gate.entered() == "a"
        assert gate.is_empty(0.05)
        gate.release("a", "first")
        assert gate.entered() == "b"
        gate.release("b", "second")
        assert drain(peer, 3) == ["first", "second", "plain"]


def test_requests_that_overlap_keep_their_own_data(server: Server) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(30)]
        for n, peer in enumerate(peers):
            peer.send(request("POST", f"/echo?q={n}", [("X-N", str(n))], b"body %d" % n))
        for n, peer in enumerate(peers):
            expected = {"body": f"body {n}", "n": str(n), "query": {"q": str(n)}}
            assert peer.reply().json() == expected


def test_requests_that_are_kept(server: Server) -> None:
    with server.connect() as peer:
        for n in range(5):
            reply = peer.request("POST", f"/keep?{n}", [("X-N", str(n))], b"kept %d" % n)
            assert reply.text == "kept"
        expected = [["POST", "/keep", f"kept {n}", str(n)] for n in range(5)]
        assert peer.get("/kept").json() == expected


def test_fallback(server: Server) -> None:
    reply = server.get("/no/such")
    assert (reply.status, reply.text) == (404, "no /no/such")


def test_head(server: Server) -> None:
    with server.connect() as peer:
        assert peer.request("HEAD", "/later/str").header("content-length") == "4"
        assert peer.get("/hello").text == "hello"


def test_big_answers_and_bodies(server: Server) -> None:
    body = b"x" * 300_000
    with server.connect() as peer:
        for _ in range(3):
            assert peer.request("POST", "/echo", body=body).json()["body"] == body.decode()

"""The life of a `TestClient`: when it serves, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from echoing import echo, echoing
from gate import Gate
from serving import wait_until

from pyreframework import Pyre, PyreRequest
from pyreframework.testing import TestClient


class Life:
    """An app that notes when its hooks run."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.app = Pyre()
        self.app.on_startup(lambda: self.events.append("start"))
        self.app.on_shutdown(lambda: self.events.append("stop"))
        self.app.on_worker_start(lambda: self.events.append("worker start"))
        self.app.on_worker_stop(lambda: self.events.append("worker stop"))
        self.app.get("/", lambda req: list(self.events))


BEGUN = ["start", "worker start"]
ENDED = [*BEGUN, "worker stop", "stop"]


def server_threads() -> set[tuple[str, str]]:
    """The threads of this process that belong to a server, those of the engine too.

    A thread that has been joined may be seen for another moment, on its last way out.
    """
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except FileNotFoundError:
            continue  # It has just ended.
        if name.startswith("pyre-"):
            found.add((task.name, name))
    return found


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:  # Refused, or reset by a listener that closes just now.
        return False
    return True


def test_with_runs_the_hooks() -> None:
    life = Life()
    with TestClient(life.app) as client:
        assert life.events == BEGUN
        assert client.get("/").json() == BEGUN
        assert listens(client.port)
    assert life.events == ENDED
    assert not listens(urlport(client))


def urlport(client: TestClient) -> int:
    """The port of a client that is closed, which does not tell any more."""
    served = client._served
    assert served is not None
    return int(served.url.rpartition(":")[2])


def test_without_with_it_starts_when_it_is_used() -> None:
    life = Life()
    client = TestClient(life.app)
    assert life.events == []
    assert client.get("/").json() == BEGUN
    client.close()
    assert life.events == ENDED
    client.close()
    assert life.events == ENDED


@pytest.mark.parametrize("name", ["port", "host", "base_url"])
def test_who_asks_for_the_address_can_connect(name: str) -> None:
    client = TestClient(Life().app)
    assert getattr(client, name) in (client.base_url, client.host, client.port)
    assert listens(client.port)
    client.close()


def test_a_port_that_is_given_is_served_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)):
            TestClient(Life().app, port=port)
    with TestClient(Life().app, port=port) as client:
        assert client.port == port
        assert listens(port)


def test_nothing_is_left_behind() -> None:
    threads, descriptors = server_threads(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with TestClient(Life().app) as client:
            client.get("/")
            assert server_threads() - threads
        wait_until(lambda: not server_threads() - threads, "the threads end")
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_client_that_nobody_closes_is_closed() -> None:
    life = Life()
    threads = server_threads()
    client = TestClient(life.app)
    client.get("/")
    del client
    gc.collect()
    assert life.events == ENDED
    wait_until(lambda: not server_threads() - threads, "the threads end")


def test_a_client_that_is_never_used_starts_nothing() -> None:
    life = Life()
    TestClient(life.app).close()
    assert life.events == []


def test_at_the_end_of_the_process(tmp_path: Path) -> None:
    """Also a client of a module is closed, in order and without a warning."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        from pyreframework import Pyre
        from pyreframework.testing import TestClient

        app = Pyre()
        app.get("/", lambda req: "served")
        app.on_shutdown(lambda: print("stopped"))
        client = TestClient(app)
        print(client.get("/").text)
        """)
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "served\nstopped\n", "")


def test_a_closed_client_cannot_be_used() -> None:
    client = TestClient(Life().app)
    client.close()
    for use in (lambda: client.get("/"), client.__enter__, lambda: client.port):
        with pytest.raises(RuntimeError, match="closed"):
            use()


def test_an_app_that_stops_itself() -> None:
    life = Life()
    life.app.get("/stop", lambda req: life.app.stop())
    with TestClient(life.app) as client:
        assert client.get("/stop").status_code == 204
        wait_until(lambda: life.events == ENDED, "the app stops")
        wait_until(lambda: client._served and not client._served.alive, "its thread ends")
        with pytest.raises(RuntimeError, match="stopped serving"):
            client.get("/")


def test_several_clients_of_one_app() -> None:
    """They share the server; cookies and headers are their own."""
    life = Life()
    with TestClient(life.app) as one:
        with TestClient(life.app, headers={"X-Key": "k"}) as two:
            assert one.base_url == two.base_url
            one.cookies["a"] = "1"
            assert two.cookies == {}
            assert two.get("/").json() == BEGUN
        assert one.get("/").json() == BEGUN
        with pytest.raises(RuntimeError, match="closed"):
            two.get("/")
    assert life.events == ENDED
    with TestClient(life.app, max_head_bytes=1024) as again:
        assert again.get("/", headers={"X-Long": "x" * 2000}).status_code == 431
    assert life.events == ENDED * 2


def test_one_app_with_different_options() -> None:
    life = Life()
    with TestClient(life.app) as client:
        with pytest.raises(RuntimeError, match="with other options"):
            TestClient(life.app, threads=1).get("/")
        assert client.get("/").json() == BEGUN
    assert life.events == ENDED


def test_an_app_that_runs_already() -> None:
    life = Life()
    with TestClient(life.app) as client, pytest.raises(RuntimeError, match="served already"):
        life.app.run(port=client.port)


def test_async_apps_one_after_the_other() -> None:
    """Each start has an event loop of its own, for hooks and handlers."""
    events: list[str] = []
    app = Pyre()

    @app.on_startup
    async def begin() -> None:
        await asyncio.sleep(0)
        events.append("start")

    @app.on_shutdown
    async def end() -> None:
        await asyncio.sleep(0)
        events.append("stop")

    @app.get("/")
    async def handler(req: PyreRequest) -> list[str]:
        await asyncio.sleep(0.001)
        return events

    for count in range(3):
        with TestClient(app) as one, TestClient(app) as two:
            expected = ["start", "stop"] * count + ["start"]
            assert one.get("/").json() == two.get("/").json() == expected
    assert events == ["start", "stop"] * 3


def test_several_apps() -> None:
    apps = [Pyre() for _ in range(3)]
    for number, app in enumerate(apps):
        app.get("/", lambda req, number=number: number)
    clients = [TestClient(app) for app in apps]
    assert [client.get("/").json() for client in clients] == [0, 1, 2]
    for client in clients:
        client.close()


def test_from_several_threads() -> None:
    with TestClient(echoing()) as client, ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: echo(client, body=str(n))["body"], range(200)))
    assert numbers == [str(n) for n in range(200)]


def test_from_several_threads_it_starts_once() -> None:
    life = Life()
    client = TestClient(life.app)
    with ThreadPoolExecutor(8) as pool:
        for response in pool.map(lambda _: client.get("/"), range(16)):
            assert response.json() == BEGUN
    client.close()
    assert life.events == ENDED


def test_from_a_running_event_loop() -> None:
    async def use() -> tuple[int, list[int]]:
        with TestClient(echoing()) as client:
            tasks = [asyncio.to_thread(client.get, "/status/202") for _ in range(4)]
            return client.get("/status/201").status_code, [
                response.status_code for response in await asyncio.gather(*tasks)
            ]

    assert asyncio.run(use()) == (201, [202] * 4)


def test_connections_are_kept() -> None:
    app = Pyre()
    app.get("/", lambda req: req.client[1])
    with TestClient(app) as client:
        assert len({client.get("/").json() for _ in range(5)}) == 1


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    app = Pyre()
    app.get("/", lambda req: req.client[1])
    with TestClient(app, keep_alive_timeout=0.001) as client:
        first = client.get("/").json()
        (connection,) = client._connections._idle
        assert connection.sock.recv(1, socket.MSG_PEEK) == b"", "the server closes it"
        assert client.get("/").json() != first
        assert client.get("/", headers={"Connection": "close"}).ok
        assert client._connections._idle == []


def test_an_answer_before_the_body_was_read() -> None:
    app = Pyre()
    app.post("/", lambda req: "never")
    with TestClient(app, max_body_size=10) as client:
        assert client.post("/", body=b"x" * 5_000_000).status_code == 413
        assert client.post("/", body=(b"x" * 50_000 for _ in range(100))).status_code == 413
        assert client.post("/", body=b"x").text == "never"


def test_close_waits_for_running_requests() -> None:
    with Gate() as gate:
        client, running = held(gate)
        closing = threading.Thread(target=client.close)
        closing.start()
        wait_until(lambda: not listens(urlport(client)), "no more connections")
        gate.release("handler", "finished")
        closing.join()
        running.join()
        assert client.app.answers == ["finished"]  # type: ignore[attr-defined]


def held(gate: Gate, **options: Any) -> tuple[TestClient, threading.Thread]:
    """A client with a request that the gate holds."""
    app = Pyre()

    @app.get("/")
    def handler(req: PyreRequest) -> str:
        with socket.create_connection(("127.0.0.1", gate.port)) as peer:
            peer.sendall(b"handler\n")
            return peer.makefile().readline().strip()

    answers: list[str] = []
    app.answers = answers  # type: ignore[attr-defined]
    client = TestClient(app, **options)

    def ask() -> None:
        try:
            answers.append(client.get("/").text)
        except OSError as error:
            answers.append(type(error).__name__)

    running = threading.Thread(target=ask)
    running.start()
    gate.entered()
    return client, running


def test_close_gives_up_and_says_so() -> None:
    before = server_threads()
    with Gate() as gate:
        client, running = held(gate, shutdown_timeout=0.2)
        with pytest.raises(RuntimeError, match=r"gave up 1 running request after 0\.2 s.*goes on"):
            client.close()
        gate.release("handler")
        running.join()
    wait_until(lambda: not server_threads() - before, "the thread that was left has ended")


def test_a_timeout() -> None:
    with Gate() as gate:
        client, running = held(gate)
        with pytest.raises(TimeoutError, match=r"GET http://.*/ had no whole answer .* 0\.05 s"):
            client.get("/", timeout=0.05)
        gate.release("handler")
        gate.entered()
        gate.release("handler")
        running.join()
        client.close()


# What goes wrong at the start.


def test_what_a_start_hook_raises() -> None:
    before = server_threads()
    life = Life()

    @life.app.on_startup
    def fails() -> None:
        raise LookupError("no database")

    for _ in range(2):
        with pytest.raises(LookupError, match="no database") as caught:
            TestClient(life.app).__enter__()
        assert "fails" in [entry.name for entry in caught.traceback]
        with pytest.raises(LookupError):
            TestClient(life.app).get("/")
    wait_until(lambda: not server_threads() - before, "the threads end")


def test_a_start_hook_cannot_end_the_tests() -> None:
    app = Pyre()
    app.on_startup(lambda: sys.exit(5))
    with pytest.raises(RuntimeError, match=r"SystemExit\(5\)"):
        TestClient(app).get("/")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"prot": 1}, "no option 'prot'; did you mean 'port'"),
        ({"threads": 0}, "'threads' must be from 1 to 32"),
        ({"port": "80"}, "'port' must be a whole number"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        TestClient(Pyre(), **options)


def test_it_needs_an_app() -> None:
    with pytest.raises(TypeError, match="needs a Pyre app, not str"):
        TestClient("module:app")  # type: ignore[arg-type]


def test_the_shell_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRE_MAX_BODY_SIZE", "1")
    monkeypatch.setenv("PYRE_PORT", "nonsense")
    with TestClient(echoing()) as client:
        assert echo(client, body=b"more than one byte")["body"]


def test_a_unix_domain_socket(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with TestClient(echoing(), uds=str(path)) as client:
        assert client.base_url == "http://localhost"
        assert echo(client)["headers"]["host"] == "localhost"
        assert client.get("/to/302/status/201").status_code == 201
        client.get("/cookies/plain")
        assert echo(client)["cookies"] == {"plain": "1"}
    assert not path.exists()


def test_bind_and_ipv6() -> None:
    with TestClient(Life().app, bind=["127.0.0.1:0", "127.0.0.1:0"]) as client:
        assert client.get("/").ok
    with TestClient(Life().app, host="::1") as client:
        assert client.get("/").ok
        assert client.base_url == f"http://[::1]:{client.port}"
    with TestClient(Life().app, host="0.0.0.0") as client:
        assert client.get("/").ok


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with TestClient(Life().app) as client:
        client.get("/")
    assert capfd.readouterr() == ("", "")


def test_it_is_imported_by_itself_only() -> None:
    text = "import sys, pyreframework; print('pyreframework.testing' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_handlers_have_the_context_in_which_the_test_has_begun(kind: str) -> None:
    """What a module sets as it is imported, such as decimal's precision, as in a server."""
    place = contextvars.ContextVar("place", default="nowhere")

    def begin() -> str:
        place.set("here")
        decimal.getcontext().prec = 5
        app = Pyre()
        if kind == "def":
            app.get("/", lambda: f"{place.get()} {decimal.Decimal(1) / 3}")
        else:

            @app.get("/")
            async def seen() -> str:
                return f"{place.get()} {decimal.Decimal(1) / 3}"

        with TestClient(app) as client:
            return client.get("/").text

    assert contextvars.Context().run(begin) == "here 0.33333"

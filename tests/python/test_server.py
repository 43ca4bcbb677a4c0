"""`run()` inside a process that does other things as well: threads, `stop()`, twice in a row."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyreframework import Pyre
from pyreframework.serving import banner

DEADLINE_S = 30.0


@contextmanager
def served(app: Pyre, **options: Any) -> Iterator[str]:
    """Serve an app from a thread on the main interpreter; yields its address."""
    ready = threading.Event()
    urls: list[str] = []
    codes: list[object] = []
    lines = banner.lines

    def told(settings: Any, found: list[str], *more: Any) -> list[str]:
        urls.extend(found)
        ready.set()
        return lines(settings, found, *more)

    def run() -> None:
        try:
            codes.append(app.run(port=0, mode="default", **options))
        except SystemExit as ended:
            codes.append(ended.code)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(banner, "lines", told)
        thread.start()
        assert ready.wait(DEADLINE_S)
    try:
        assert urls, f"run() ended with {codes}"
        yield urls[0]
    finally:
        app.stop()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert codes == [None]


def text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as reply:
        body: bytes = reply.read()
        return body.decode()


def hello(word: str) -> Pyre:
    app = Pyre()
    app.get("/", lambda req: word)
    return app


def test_from_a_thread_until_stop() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with served(hello("threaded")) as url:
        assert signal.getsignal(signal.SIGINT) is handler
        assert text(url) == "threaded"


def test_two_apps_at_once() -> None:
    with served(hello("one")) as one, served(hello("two")) as two:
        assert (text(one), text(two)) == ("one", "two")


def test_the_same_app_again() -> None:
    app = hello("again")
    for _ in range(2):
        with served(app) as url:
            assert text(url) == "again"
            with pytest.raises(RuntimeError, match="served already"):
                app.run(port=0, mode="default")


def test_stop_from_a_handler() -> None:
    app = Pyre()
    stopped = threading.Event()

    @app.get("/stop")
    def stop() -> str:
        app.stop()
        return "stopping"

    app.on_shutdown(stopped.set)
    with served(app) as url:
        assert text(f"{url}/stop") == "stopping"
        assert stopped.wait(DEADLINE_S)


def test_hooks_around_serving() -> None:
    app = hello("x")
    ran: list[str] = []
    for name in ("on_startup", "on_worker_start", "on_worker_stop", "on_shutdown"):
        getattr(app, name)(lambda name=name: ran.append(name))
    with served(app):
        assert ran == ["on_startup", "on_worker_start"]
    assert ran == ["on_startup", "on_worker_start", "on_worker_stop", "on_shutdown"]


@pytest.mark.parametrize("hook", ["on_startup", "on_worker_start"])
def test_failing_start(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    app = hello("x")
    ended: list[str] = []
    app.on_shutdown(lambda: ended.append("shutdown"))

    @getattr(app, hook)
    def fail() -> None:
        raise LookupError("not today")

    with pytest.raises(SystemExit) as raised:
        app.run(port=0, mode="default")
    assert raised.value.code == 3
    # What has started is ended: on_shutdown follows only an on_startup that went through.
    assert ended == ([] if hook == "on_startup" else ["shutdown"])
    printed = capsys.readouterr().err
    assert "LookupError: not today" in printed and "test_server.py" in printed


def test_an_address_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with served(hello("first")) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(SystemExit) as raised:
            hello("second").run(port=port, mode="default")
        assert raised.value.code == 3
        printed = capsys.readouterr().err
        assert str(port) in printed and "Traceback" not in printed
        assert text(url) == "first"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    def write(source: str) -> Path:
        file = tmp_path / "program.py"
        file.write_text(textwrap.dedent(source))
        return file

    return write


def test_stop_from_a_worker(program: Callable[[str], Path]) -> None:
    file = program(
        """
        from pyreframework import Pyre
        app = Pyre()

        @app.get("/stop")
        def stop(req):
            app.stop()
            return "stopping"

        app.on_shutdown(lambda: print("shutdown"))
        app.run(port=0, workers=1)
        print("after")
        """
    )
    process = subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with process:
        first = process.stdout.readline()
        found = re.search(r"http://[\d.:]+", first)
        assert found, first + process.stdout.read()
        assert text(f"{found[0]}/stop") == "stopping"
        rest = process.stdout.read().splitlines()
        assert process.wait(DEADLINE_S) == 0
    assert rest[-2:] == ["shutdown", "after"]


def test_one_program_serves_two_apps_in_turn(program: Callable[[str], Path]) -> None:
    """Workers of the second app are not misled by run() of the first."""
    file = program(
        """
        from pyreframework import Pyre
        first, second = Pyre(), Pyre()
        for app, word in (first, "first"), (second, "second"):
            app.get("/" + word, lambda req, word=word: word)
            app.on_worker_start(lambda word=word: print("worker of", word))
        first.run(port=0, workers=1)
        second.run(port=0, workers=1)
        """
    )
    process = subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with process:
        for word in ("first", "second"):
            lines = []
            for line in process.stdout:
                lines.append(line)
                if found := re.search(r"curl -i (http://\S+)", line):
                    break
            assert f"worker of {word}\n" in lines
            assert found, lines
            assert text(found[1]) == word
            if word == "first":
                # Only SIGTERM, once: each run() begins to count anew.
                process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0

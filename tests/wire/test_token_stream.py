"""The example of a token stream, as curl, httpx and a browser have it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from places import in_both_modes
from serving import SUCCESS_S, Server, serve, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "token_stream" / "app.py"


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(EXAMPLE, mode=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def words(server: Server) -> list[str]:
    return httpx.get(f"{server.url}/text", timeout=SUCCESS_S).text.split()


def events(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The events of a stream, as HTML section 9.2.6 has them read."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" in fields else value
        elif fields:
            yield fields
            fields = {}


def curl(*arguments: str) -> str:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "--silent", "--show-error", "--max-time", "30", "--no-buffer", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_text_with_curl(server: Server) -> None:
    assert curl(f"{server.url}/text").endswith("it was. \n")
    head = curl("--head", f"{server.url}/text").lower()
    assert "\ntransfer-encoding: chunked\n" in head.replace("\r", "")


@pytest.mark.parametrize("last", [None, 0, 4])
def test_a_connection_goes_on_behind_the_last_event(
    server: Server, words: list[str], last: int | None
) -> None:
    given = [] if last is None else ["--header", f"Last-Event-ID: {last}"]
    begin, *tokens = events(curl(*given, f"{server.url}/tokens").split("\n"))
    assert begin == {"event": "begin", "retry": "100", "data": ""}
    start = 0 if last is None else last + 1
    expected = [
        {"id": str(number), "data": word} for number, word in enumerate(words) if number >= start
    ]
    assert tokens == expected[:12]


def test_all_tokens_over_several_connections_with_httpx(server: Server, words: list[str]) -> None:
    seen: list[str] = []
    headers: dict[str, str] = {}
    is_done = False
    with httpx.Client(base_url=server.url, timeout=SUCCESS_S) as client:
        while not is_done:
            with client.stream("GET", "/tokens", headers=headers) as response:
                assert response.headers["Content-Type"] == "text/event-stream"
                assert response.headers["X-Accel-Buffering"] == "no"
                for event in events(response.iter_lines()):
                    is_done = event.get("event") == "done"
                    if "id" in event:
                        seen.append(event["data"])
                        headers = {"Last-Event-ID": event["id"]}
    assert seen == words


def test_a_stop_ends_a_connection_in_order() -> None:
    with serve(EXAMPLE) as server:
        with httpx.stream("GET", f"{server.url}/tokens", timeout=SUCCESS_S) as response:
            lines = response.iter_lines()
            assert next(events(lines))["event"] == "begin"
            server.signal(signal.SIGTERM)
            # Without its last chunk httpx would raise.
            *_, last = events(lines)
            assert last["id"].isdecimal()
        assert server.wait() == 0


# A browser reads commands from descriptor 3 and answers on 4.
BROWSER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless Chromium, by its DevTools protocol."""

    def __init__(self, program: str, folder: Path) -> None:
        pipes = [end for _ in range(2) for end in os.pipe()]
        # Away from the two numbers.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipes]
        for end in pipes:
            os.close(end)
        theirs, ours = (ends[0], ends[3]), (ends[2], ends[1])
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", BROWSER, *map(str, theirs), program, *arguments],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for end in theirs:
            os.close(end)
        self._answers, self._commands = os.fdopen(ours[0], "rb"), os.fdopen(ours[1], "wb")
        self._count = 0

    def call(
        self, method: str, session: str | None = None, **parameters: object
    ) -> dict[str, object]:
        """What a command comes to."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._count:
                return answer["result"]

    def _message(self) -> bytes:
        message = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            message += byte
        return bytes(message)

    def open(self, url: str) -> str:
        """Open a page; what `look` wants."""
        target = self.call("Target.createTarget", url=url)["targetId"]
        return str(self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def look(self, page: str, expression: str) -> object:
        """What an expression is in a page; None while there is no such page yet."""
        found = self.call("Runtime.evaluate", page, expression=expression, returnByValue=True)
        result = found["result"]
        assert isinstance(result, dict)
        return result.get("value") if "exceptionDetails" not in found else None

    def close(self) -> None:
        try:
            self.call("Browser.close")
            self.process.wait(SUCCESS_S)
        finally:
            self._answers.close()
            self._commands.close()
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    programs = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    program = next(programs, None)
    if program is None:
        pytest.skip("no Chromium is installed")
    browser = Browser(program, folder)
    try:
        yield browser
    finally:
        browser.close()


def text_of(name: str) -> str:
    return f"document.getElementById({name!r}).textContent"


def test_the_page_in_a_browser(server: Server, words: list[str], tmp_path: Path) -> None:
    connections = -(-len(words) // 12)
    assert connections > 1
    with browser(tmp_path) as chromium:
        page = chromium.open(f"{server.url}/")

        def is_done() -> bool:
            return str(chromium.look(page, text_of("state"))).startswith("done")

        wait_until(is_done, "all tokens are there", 2 * SUCCESS_S)
        answer = str(chromium.look(page, text_of("answer")))
        assert answer.split() == words
        assert chromium.look(page, text_of("state")) == f"done, over {connections} connections"

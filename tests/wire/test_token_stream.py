"""The example of a token stream, as curl, httpx and a browser have it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from browser import browser, text_of
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

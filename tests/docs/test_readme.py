"""The README's program, served as a reader would serve it, gives the answers it seems to give."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, http.client.HTTPConnection]]:
    """The banner, and a connection."""
    program = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]
    file = tmp_path_factory.mktemp("readme") / "program.py"
    file.write_text(program, encoding="utf-8")
    threads = {"PYRE_WORKERS": "2", "PYRE_IO_WORKERS": "2"}
    environment = {**os.environ, "PYRE_PORT": "0", **threads}
    process = subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        banner = "".join(process.stdout.readline() for _ in range(3))
        host, port = re.findall(r"http://([\d.]+):(\d+)", banner)[0]
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        yield banner, connection
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_banner_is_the_one_shown(served: tuple[str, http.client.HTTPConnection]) -> None:
    shown = re.findall(r"^```text\n(Pyre .*?)^```", README, re.MULTILINE | re.DOTALL)[0]
    assert re.sub(r":\d{4,}", ":8000", served[0]) == shown


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "answer"),
    [
        ("GET", "/", None, 200, "Hello, World!"),
        ("GET", "/stock/apple", None, 200, {"apple": 3}),
        ("GET", "/stock/plum", None, 404, {"error": "there is no plum"}),
        ("POST", "/sum", "[1, 2.5]", 200, {"sum": 3.5}),
        ("POST", "/sum", "[1,", 400, {"error": "bad request"}),
        ("GET", "/sum", None, 405, {"error": "method not allowed"}),
    ],
)
def test_answers(
    served: tuple[str, http.client.HTTPConnection],
    method: str,
    target: str,
    body: str | None,
    status: int,
    answer: object,
) -> None:
    connection = served[1]
    connection.request(method, target, body)
    reply = connection.getresponse()
    text = reply.read().decode()
    assert reply.status == status
    assert (text if isinstance(answer, str) else json.loads(text)) == answer

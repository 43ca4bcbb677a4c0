"""A headless Chromium for tests of pages, if there is one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import SUCCESS_S, wait_until

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
        self.events: list[dict[str, object]] = []
        """What it has told of by itself; of what, a page is asked (`Network.enable`)."""

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """What a command comes to."""
        answer = self._answer(method, session, parameters)
        assert "error" not in answer, answer["error"]
        return answer["result"]  # type: ignore[no-any-return]

    def _answer(
        self, method: str, session: str | None, parameters: dict[str, object]
    ) -> dict[str, Any]:
        self._count += 1
        command = {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self._count:
                return answer  # type: ignore[no-any-return]
            if "method" in answer:
                self.events.append(answer)

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
        given = {"expression": expression, "returnByValue": True}
        # An error: the page is being left.
        found = self._answer("Runtime.evaluate", page, given).get("result")
        if found is None or "exceptionDetails" in found:
            return None
        result = found["result"]
        assert isinstance(result, dict)
        return result.get("value")

    def choose(self, page: str, expression: str, files: list[Path]) -> None:
        """Choose files in the input that an expression is."""
        found = self.call("Runtime.evaluate", page, expression=expression)["result"]
        assert isinstance(found, dict)
        names = [str(file) for file in files]
        self.call("DOM.setFileInputFiles", page, files=names, objectId=found["objectId"])

    def await_(self, page: str, expression: str) -> object:
        """What a promise of a page comes to; fails with what it is rejected for."""
        found = self.call(
            "Runtime.evaluate", page,
            expression=expression, awaitPromise=True, returnByValue=True, timeout=2000 * SUCCESS_S,
        )  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        result = found["result"]
        assert isinstance(result, dict)
        return result.get("value")

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


def show(chromium: Browser, url: str) -> str:
    """Open a page and wait until all of it is there."""
    page = chromium.open(url)
    is_whole = f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'"
    wait_until(lambda: chromium.look(page, is_whole), f"{url} is there")
    return page

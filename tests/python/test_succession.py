"""How a program is started again, and how ends of processes are told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from pyreframework.serving.processes.child import ending, is_child, pidfd_of
from pyreframework.serving.processes.command import can_renew, command


def asked(arguments: list[str], text: str | None = None) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], input=text, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    return ended.stdout.strip()


ASK = "from pyreframework.serving.processes import command; print(command.command())"


def test_commands_that_can_be_given_again(tmp_path: object) -> None:
    file = f"{tmp_path}/program.py"
    with open(file, "w", encoding="utf-8") as program:
        program.write(ASK)
    for arguments in (["-X", "utf8", file, "more"], ["-c", ASK, "-v"]):
        assert asked(arguments) == repr([sys.executable, *arguments])
    for arguments in ([], ["-"]):
        assert asked(arguments, ASK) == "None"


def test_only_the_main_thread_can_be_replaced() -> None:
    assert command() is not None
    assert can_renew()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(can_renew()))
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize(
    ("code", "words"), [(0, "ended with code 0"), (3, "ended with code 3"), (-11, "by SIGSEGV")]
)
def test_endings(code: int, words: str) -> None:
    assert words in ending(code)


def test_children_that_are_and_are_not() -> None:
    """A number counts as long as nobody has waited, for until then it is nobody else's."""
    assert not is_child(1) and not is_child(os.getppid()) and pidfd_of(os.getppid()) is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_child(child.pid)
    descriptor = pidfd_of(child.pid)
    assert descriptor is not None
    os.close(descriptor)
    child.wait()
    assert not is_child(child.pid) and pidfd_of(child.pid) is None

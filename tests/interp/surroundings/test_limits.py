"""A process that may open next to nothing, or has next to no memory."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bare import PYRE, run
from places import MODES
from serving import SUCCESS_S, child_environment


@MODES
@pytest.mark.parametrize("start", ["run()", "pyre run"])
@pytest.mark.parametrize("limit", [6, 8, 12, 16, 20, 24])
def test_too_few_descriptors(
    write: Callable[..., Path], mode: str | None, start: str, limit: int
) -> None:
    """A sentence and the exit code of a start that failed; or it serves, if that is enough."""
    file = write("import asyncio\n    @app.get('/async')\n    async def later(req): return 1")
    command = run(file) if start == "run()" else [*PYRE, "run", file]
    options: dict[str, object] = {"port": 0, "workers": 2}
    if mode:
        options["mode"] = mode
    code, first, rest = within("-n", limit, command, options)
    if first.startswith("Pyre "):
        assert limit > 16
        assert code == 0, first + rest
    else:
        assert code == 3, first + rest
        assert f"may have open ({limit}): raise the limit" in first
        assert rest == ""


@pytest.mark.parametrize("limit", range(14, 24))
def test_too_few_descriptors_for_the_loops(write: Callable[..., Path], limit: int) -> None:
    """Of which one that is half made has nothing to say when it is dropped."""
    extra = "@app.get('/async')\n    async def later(req): return 1"
    more = "\n    app.get('/main', gil=True)(lambda req: 1)"
    said = start_with("-n", limit, write(extra + more))
    assert "Exception ignored" not in said and "ResourceWarning" not in said


def within(
    flag: str, limit: int, command: list[str | Path], options: dict[str, object]
) -> tuple[int, str, str]:
    """Start within a limit of the shell's `ulimit`, and stop once there is a banner.

    Returns the exit code, the first line and all others.
    """
    ended = subprocess.Popen(
        ["sh", "-c", f'ulimit {flag} {limit}; exec "$@"', "sh", *command],
        # CPython tells of what was not closed.
        env=child_environment({"PYTHONWARNINGS": "default::ResourceWarning"}, options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with ended:
        assert ended.stdout is not None
        first = ended.stdout.readline()
        while "cannot accept connections" in first:
            # It has just as many as it starts with, and says so before the banner or behind it.
            first = ended.stdout.readline()
        if first.startswith("Pyre "):
            ended.terminate()
        rest, _ = ended.communicate(timeout=SUCCESS_S)
    return ended.returncode, first, rest


def start_with(flag: str, limit: int, file: Path) -> str:
    """Start within a limit; return what was said where it was too narrow."""
    code, first, rest = within(flag, limit, run(file), {"port": 0, "workers": 2})
    # Where a few bytes are not to be had there is nothing to say it with: the allocator's users in
    # CPython and in Rust abort.
    if first.startswith("Pyre ") or (flag == "-v" and code == -signal.SIGABRT):
        return ""
    assert code == 3, first + rest
    return first + rest


@pytest.mark.parametrize("mebibytes", [300, 400, 500, 600])
def test_too_little_address_space(write: Callable[..., Path], mebibytes: int) -> None:
    """Stacks of threads and interpreters do not fit: a sentence, whatever it is that failed."""
    file = write("@app.get('/async')\n    async def later(req): return 1")
    said = start_with("-v", mebibytes * 1024, file)
    if said:
        assert said.count("\n") == 1 and "Traceback" not in said, said
        assert f"`ulimit -v`, {mebibytes} MiB of address space" in said

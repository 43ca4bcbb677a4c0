"""A server that is started with its standard descriptors closed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bare import PYRE, bare, run
from places import MODES
from serving import wait_until

CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]


@MODES
@pytest.mark.parametrize("start", ["run()", "pyre run"])
def test_closed_standard_descriptors(
    write: Callable[..., Path], mode: str | None, start: str
) -> None:
    """They are on the null device, so no socket gets their numbers, also after a restart."""
    file = write()
    command = run(file) if start == "run()" else [*PYRE, "run", file]
    with bare([*CLOSED, *command], mode=mode) as server:
        for _ in range(2):
            wait_until(lambda: server.get("/descriptors"), "it serves")
            assert server.get("/descriptors") == '["/dev/null","/dev/null","/dev/null"]'
            # The number of SIGTERM, which a pair of sockets would take for a stop.
            assert server.get("/print/%0F") == "printed"
            server.restart()
        assert server.stop() == 0


WITHOUT_DEVICES = [
    "unshare",
    "--mount",
    *([] if os.geteuid() == 0 else ["--map-root-user"]),
    "sh",
    "-c",
    'mount -t tmpfs none /dev && exec "$@" <&- >&- 2>&-',
    "sh",
]


def hide_devices(write: Callable[..., Path], how: str) -> tuple[list[str], Path]:
    """Return what to start a program with, and the program, so that it finds no null device."""
    if how == "names":
        extra = """import os
    from pyreframework.logs import streams
    streams.NULL_DEVICE = os.devnull = "/nowhere/null"
    """
        return [], write(extra)
    try:
        can = subprocess.run([*WITHOUT_DEVICES, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare, to have no /dev")
    if can.returncode != 0:
        pytest.skip("this user may not have a namespace of mounts, to have no /dev")
    return WITHOUT_DEVICES, write()


@MODES
@pytest.mark.parametrize("how", ["names", "a bare root"])
def test_a_root_without_a_null_device(
    write: Callable[..., Path], mode: str | None, how: str
) -> None:
    """It starts, is restarted and stops as elsewhere."""
    prefix, file = hide_devices(write, how)
    with bare([*prefix, *run(file)], mode=mode) as server:
        for _ in range(2):
            wait_until(lambda: server.get("/"), "it serves")
            assert server.get("/print/%0F") == "printed"
            server.restart()
        assert server.stop() == 0


def test_doctor_in_a_root_without_a_null_device(write: Callable[..., Path]) -> None:
    prefix, file = hide_devices(write, "a bare root")
    shown = [word.replace(" >&- 2>&-", "") for word in prefix]
    ended = subprocess.run(
        [*shown, *PYRE, "doctor", str(file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "0 of 3 routes moved" in ended.stdout


@MODES
def test_a_descriptor_that_a_program_has_got_in_the_place_of_a_closed_one(
    write: Callable[..., Path], tmp_path: Path, mode: str | None
) -> None:
    """What the program opens first belongs to it, whatever its number."""
    file = write()
    database = tmp_path / "database"
    opened = f"import os; opened = [open({str(database)!r}, 'ab') for _ in range(3)]\n"
    file.write_text(f"{opened}{file.read_text()}")
    with bare([*CLOSED, *run(file)], mode=mode, access_log=True) as server:
        assert server.get("/print/word") == "printed"
        server.restart()
        assert server.get("/print/word") == "printed"
        assert server.stop() == 0
    assert database.read_bytes() == b""

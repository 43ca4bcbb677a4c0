"""A server that is started with its standard descriptors closed."""

from __future__ import annotations

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

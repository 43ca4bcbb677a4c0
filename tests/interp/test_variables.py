"""Environment variables that are named as those of options are, and belong to none."""

from __future__ import annotations

import json
import signal
import socket
import textwrap
from pathlib import Path

import pytest
from places import MODES
from serving import Server, is_supervisor, run_to_end, serve, wait_until

PYRE = ["-m", "pyreframework"]
SENTENCE = "the variable PYRE_WORKER (did you mean PYRE_WORKERS?) sets no option"

PROGRAM = """
    import os
    from pyreframework import Pyre

    {extra}
    app = Pyre()
    app.get("/")(lambda req: f"one {os.getpid()}")

    if __name__ == "__main__":
        app.run(workers=2)
"""


def write(folder: Path, extra: str = "") -> Path:
    file = folder / "program.py"
    file.write_text(textwrap.dedent(PROGRAM).replace("{extra}", extra))
    return file


def serving_pid(server: Server) -> int:
    return int(server.get("/").text.split()[1])


@MODES
@pytest.mark.parametrize("start", ["run()", "pyre run"])
def test_a_variable_that_sets_no_option_is_told_once(
    tmp_path: Path, mode: str | None, start: str
) -> None:
    """Not by each worker, nor by the processes that take over."""
    file = write(tmp_path)
    arguments = [str(file)] if start == "run()" else [*PYRE, "run", str(file)]
    env = {"PYRE_WORKER": "4", "PYRE_": "1", "PYRE_LOG": "0", "_PYRE_OWN": "1", "PYRE_own": "1"}
    with serve(arguments, env=env, mode=mode) as server:
        for _ in range(2):
            before = serving_pid(server)
            server.signal(signal.SIGHUP)
            wait_until(lambda pid=before: serving_pid(server) != pid, "another process serves")
            wait_until(lambda: is_supervisor(server.pid), "the supervisor is there")
    said = [line for line in server.output.text().splitlines() if "PYRE_" in line]
    assert said == [f"pyre: {SENTENCE}"]


@pytest.mark.parametrize("way", ["dev", "run --reload", "run()"])
def test_with_reload_it_is_told_once_as_well(tmp_path: Path, way: str) -> None:
    file = write(tmp_path)
    ways = {"dev": [*PYRE, "dev", str(file)], "run --reload": [*PYRE, "run", str(file), "--reload"]}
    arguments = ways.get(way, [str(file)])
    env = {"PYRE_WORKER": "4"}
    options = {"reload": True} if way == "run()" else {}
    with serve(arguments, env=env, log_format="json", **options) as server:
        text = file.read_text()
        file.write_text(text.replace("one", "two"))
        wait_until(lambda: server.get("/").text.startswith("two"), "it is served anew")
    output = server.output.text()
    said = [json.loads(line) for line in output.splitlines() if "PYRE_" in line]
    assert [record["message"] for record in said] == [SENTENCE]
    assert said[0]["level"] == "WARNING"


@pytest.mark.parametrize("command", ["run", "dev"])
def test_what_the_program_sets_itself_is_told_too(tmp_path: Path, command: str) -> None:
    """As one does that reads a file of variables."""
    file = write(tmp_path, 'os.environ["PYRE_WORKER"] = "4"')
    with serve([*PYRE, command, str(file)]) as server:
        pass
    assert server.output.text().count(SENTENCE) == 1


def test_it_is_told_before_an_address_is_refused(tmp_path: Path) -> None:
    """Which may be refused for the very variable."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ending = run_to_end(write(tmp_path), env={"PYRE_REUSEPORT": "1"}, port=port)
    assert ending.code == 3
    told, refused = ending.output.splitlines()
    assert told.endswith(" PYRE_REUSEPORT (did you mean PYRE_REUSE_PORT?) sets no option")
    assert "in use by another server" in refused

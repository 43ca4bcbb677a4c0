"""Addresses and folders that cannot be had as they were asked for."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from bare import PYRE
from serving import run_to_end, serve


@pytest.mark.parametrize(
    "binds",
    [
        ["127.0.0.1:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}", "localhost:{port}"],
        ["localhost:{port}", "127.0.0.1:{port}"],
        ["0.0.0.0:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}", "0.0.0.0:{port}"],
        ["unix:{folder}/a", "unix:{folder}/a"],
        ["unix:{folder}/a", "unix:{folder}/../{name}/a"],
    ],
    ids=str,
)
def test_the_same_address_twice(
    write: Callable[..., Path], tmp_path: Path, binds: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = {"port": port, "folder": tmp_path, "name": tmp_path.name}
    flags = [f"--bind={bind.format(**names)}" for bind in binds]
    file = write()
    ending = run_to_end([*PYRE[1:], "run", str(file), *flags], port=None)
    assert ending.code == 2, ending.output
    assert ending.output.startswith("pyre: ")
    assert "another server" not in ending.output
    first, second = [bind.format(**names) for bind in binds]
    assert ending.output in (
        f"pyre: bind has the address {second} twice\n",
        # By the names that were given, which may be two for one address.
        f"pyre: {second} is listened on already, by way of {first}: leave one of them out\n",
    )


def test_a_free_port_may_be_asked_for_twice(write: Callable[..., Path]) -> None:
    with serve(write(), port=None, bind="127.0.0.1:0,127.0.0.1:0") as server:
        assert len(server.addresses()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "program.py", "--app-dir", "nowhere"],
        ["run", "program.py", "--reload", "--reload-dir", "nowhere"],
        ["run", "program.py", "--reload", "--reload-dir", ".", "--reload-dir", "nowhere"],
        ["dev", "program.py", "--reload-dir", "program.py"],
        ["routes", "program.py", "--app-dir", "nowhere"],
    ],
    ids=str,
)
def test_folders_that_are_none(write: Callable[..., Path], arguments: list[str]) -> None:
    ending = run_to_end([*PYRE[1:], *arguments], cwd=write().parent)
    assert ending.code == 2
    assert "does not exist" in ending.output or "is not a folder" in ending.output

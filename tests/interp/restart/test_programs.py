"""The program of the new process: where it is, how it is started, and that it may fail."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from restarting import PROGRAM, Write, restart, serving_pid
from serving import Output, child_environment, serve, wait_until


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("app.on_startup(lambda: 1 / 0)", "ZeroDivisionError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_new_program_that_fails(write: Write, extra: str, said: str, times: int) -> None:
    """The one before goes on serving, the log says why, and the next restart may do better."""
    with serve(write()) as server:
        for _ in range(times):
            restart(server)
        pid = serving_pid(server)
        write(extra=extra, version="2")
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"before it served; {pid} goes on serving")
        assert said in server.output.text()
        assert server.get("/").text == f"1 {pid}"
        write(version="3")
        assert restart(server) != pid
        assert server.get("/").text.startswith("3 ")


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize("cli", [False, True], ids=["python", "pyre run"])
def test_program_that_is_absent_when_a_restart_is_asked_for(
    write: Write, tmp_path: Path, times: int, cli: bool
) -> None:
    """As while a deployment replaces it: the log says so, and the next restart works."""
    file = write()
    arguments = ["-m", "pyreframework", "run", file.name] if cli else [file.name]
    with serve(arguments, cwd=tmp_path) as server:
        for _ in range(times):
            restart(server)
        pid = serving_pid(server)
        file.unlink()
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"goes on.*there is no file 'program.py' in {tmp_path}")
        assert server.get("/").text == f"1 {pid}"
        write(version="2")
        assert restart(server) != pid
        assert server.get("/").text.startswith("2 ")


def test_releases_behind_a_link(tmp_path: Path) -> None:
    """The command's folder goes by the name that the shell has for it."""
    for release in ("1", "2"):
        folder = tmp_path / f"release{release}"
        folder.mkdir()
        text = PROGRAM.replace("{arguments}", "").replace("{extra}", "")
        text = textwrap.dedent(text).replace('version = "1"', f'version = "{release}"')
        (folder / "program.py").write_text(text)
    current = tmp_path / "current"
    current.symlink_to("release1")
    with serve(["program.py"], cwd=current, env={"PWD": str(current)}) as server:
        for release in ("2", "1"):
            (tmp_path / "new").symlink_to(f"release{release}")
            (tmp_path / "new").rename(current)
            restart(server)
            assert server.get("/").text.startswith(f"{release} ")


def test_a_name_that_is_not_the_folder(write: Write, tmp_path: Path) -> None:
    """Whoever starts the command in another folder may leave the variable as it was."""
    write()
    (tmp_path / "other").mkdir()
    with serve(["program.py"], cwd=tmp_path, env={"PWD": str(tmp_path / "other")}) as server:
        write(version="2")
        restart(server)
        assert server.get("/").text.startswith("2 ")


@pytest.mark.parametrize("argument", ["-m", "-c"])
def test_other_ways_to_start(write: Write, tmp_path: Path, argument: str) -> None:
    write("mode='default'")
    arguments = (
        ["-m", "program"] if argument == "-m" else ["-c", (tmp_path / "program.py").read_text()]
    )
    with serve(arguments, cwd=tmp_path) as server:
        assert restart(server) != server.pid


def test_command_line(write: Write, tmp_path: Path) -> None:
    write()
    with serve(
        ["-m", "pyreframework", "run", "program:app", "--threads=3"], cwd=tmp_path
    ) as server:
        restart(server)
        assert server.output.text().count("3 threads each") == 2


def test_another_folder_by_then(write: Write, tmp_path: Path) -> None:
    """The program is started where it was started first."""
    write(extra="os.chdir('/')")
    with serve(["program.py"], cwd=tmp_path) as server:
        restart(server)


OF_THE_ENVIRONMENT = """
    secret = os.environ.pop("TEST_SECRET")
    word = os.environ.setdefault("TEST_WORD", {word!r})

    @app.get("/environment")
    def environment(req):
        return f"{{secret}} {{word}} {{os.environ.get('LISTEN_FDS')}}"
"""


@pytest.mark.parametrize("reload", [False, True], ids=["restart", "reload"])
def test_an_environment_that_the_program_changes(write: Write, reload: bool) -> None:
    """It is started anew in the one it was started in first: what it took out is there again."""
    env = {"TEST_SECRET": "s3cret", "LISTEN_FDS": "2", "LISTEN_PID": "1"}
    file = write(extra=OF_THE_ENVIRONMENT.format(word="first"))
    options: dict[str, object] = {"reload": True} if reload else {}
    with serve(file, env=env, mode="default", **options) as server:
        # With reload, a process is started anew from the first on.
        assert server.get("/environment").text == f"s3cret first {None if reload else 2}"
        # The first process starts the next one, and then the supervisor.
        for version, word in enumerate(["second", "third"], 2):
            write(extra=OF_THE_ENVIRONMENT.format(word=word), version=str(version))
            if not reload:
                restart(server)
            expected = f"s3cret {word} None"
            # For a moment both processes accept.
            wait_until(
                lambda text=expected: server.get("/environment").text == text, "the new one serves"
            )


def test_a_program_that_cannot_be_started_again() -> None:
    """SIGHUP then does what it does to any program."""
    text = textwrap.dedent(PROGRAM).replace("{arguments}", "mode='default'").replace("{extra}", "")
    process = subprocess.Popen(
        [sys.executable, "-"],
        env=child_environment({}, {"port": 0}),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    output = Output(process)
    output.wait_for("try: curl")
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == -signal.SIGHUP
    output.join()

"""Reload: a change of the sources takes effect, a mistake in them does not end the server."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from gate import Gate
from serving import Output, Server, child_environment, launch, run_to_end, serve, wait_until

PYRE = ["-m", "pyreframework"]
Dev = Callable[..., Server]


@pytest.fixture(params=["watchfiles", "polling"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A program of several modules; where files are polled, watchfiles cannot be imported."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("")
    (tmp_path / "package/words.py").write_text("word = 'one'\n")
    (tmp_path / "shop.py").write_text(
        "import os, socket\n"
        "from pyreframework import Pyre\n"
        "from package.words import word\n"
        "app = Pyre()\n"
        "app.get('/', lambda req: f'{word} {os.getpid()}')\n"
        "@app.get('/wait/{port:int}/{name}')\n"
        "def wait(req, port: int, name: str):\n"
        "    with socket.create_connection(('127.0.0.1', port)) as gate:\n"
        "        gate.sendall(name.encode() + b'\\n')\n"
        "        return gate.makefile().readline().strip()\n"
        "@app.get('/fail')\n"
        "def fail(req):\n"
        "    raise LookupError('seen')\n"
        "if __name__ == '__main__':\n"
        "    app.run(workers=1)\n"
    )
    if request.param == "polling":
        (tmp_path / "without").mkdir()
        (tmp_path / "without/watchfiles.py").write_text("raise ImportError\n")
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    without = folder / "without"
    return {"PYTHONPATH": str(without)} if without.exists() else {}


def write(file: Path, text: str) -> None:
    """Write a file as editors do: a new one takes its place."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text)
    fresh.rename(file)


def says(server: Server, text: str) -> None:
    wait_until(lambda: server.get("/").text.split()[0] == text, f"it says {text!r}")


WAYS = {
    "dev module": ([*PYRE, "dev", "shop:app"], {}),
    "dev file": ([*PYRE, "dev", "shop.py"], {}),
    "run --reload": ([*PYRE, "run", "shop:app", "--reload"], {}),
    "run by variable": ([*PYRE, "run", "shop.py"], {"reload": True}),
    "program by variable": (["shop.py"], {"reload": True}),
}


@pytest.mark.parametrize("way", WAYS)
def test_edit_of_an_imported_module(folder: Path, way: str) -> None:
    arguments, options = WAYS[way]
    with serve(arguments, cwd=folder, env=environment(folder), **options) as server:
        says(server, "one")
        for word in ("two", "three"):
            write(folder / "package/words.py", f"word = {word!r}\n")
            says(server, word)
        assert "words.py changed" in server.output.text()
        assert server.process.poll() is None


def test_argument(folder: Path) -> None:
    program = folder / "shop.py"
    write(program, program.read_text().replace("app.run(", "app.run(reload=True, "))
    with serve(["shop.py"], cwd=folder, env=environment(folder)) as server:
        write(folder / "package/words.py", "word = 'two'\n")
        says(server, "two")
        write(program, program.read_text().replace("{word}", "new"))
        says(server, "new")


MISTAKES = {
    "syntax": ("word = (\n", "SyntaxError"),
    "import": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    "exception": ("word = 1 / 0\n", "ZeroDivisionError"),
    "worker": (
        """
import sys
word = "two"
if sys.modules["__main__"].__name__ == "__mp_main__":
    raise LookupError("in a worker")
""",
        "LookupError: in a worker",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_keeps_the_server(folder: Path, mistake: str) -> None:
    """The error is shown, the program before goes on, and mending the file is enough."""
    text, said = MISTAKES[mistake]
    with serve([*PYRE, "dev", "shop.py"], cwd=folder, env=environment(folder)) as server:
        pid = server.get("/").text.split()[1]
        write(folder / "package/words.py", text)
        server.output.wait_for(f"before it served; {pid} goes on serving")
        assert said in server.output.text() and "words.py" in server.output.text()
        assert server.get("/").text == f"one {pid}"
        write(folder / "package/words.py", "word = 'mended'\n")
        says(server, "mended")


@pytest.mark.parametrize("target", ["shop:app", "shop.py"])
@pytest.mark.parametrize("missing", [False, True], ids=["broken", "missing"])
def test_a_program_that_is_broken_from_the_start(folder: Path, target: str, missing: bool) -> None:
    """It is started once it has been mended, also by a file that was not there."""
    module = folder / "package/words.py"
    if missing:
        module.unlink()
    else:
        module.write_text("word = (\n")
    env = child_environment(environment(folder), {"port": 0, "workers": 1})
    process = launch([*PYRE, "dev", target], env, folder)
    output = Output(process)
    try:
        output.wait_for("waiting for a change")
        assert ("ModuleNotFoundError" if missing else "SyntaxError") in output.text()
        write(module, "word = 'mended'\n")
        output.wait_for("try: curl")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        output.join()


def test_a_new_module(folder: Path) -> None:
    """One that the program comes to import is watched, whether its first version works or not."""
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        write(folder / "package/fresh.py", "word = (\n")
        write(folder / "package/words.py", "from package.fresh import word\n")
        server.output.wait_for("goes on serving")
        write(folder / "package/fresh.py", "word = 'fresh'\n")
        says(server, "fresh")
        write(folder / "package/fresh.py", "word = 'fresher'\n")
        says(server, "fresher")


def test_what_is_not_imported_does_not_count(folder: Path) -> None:
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        pid = server.get("/").text
        write(folder / "other.py", "")
        write(folder / "package/notes.txt", "")
        # What comes after it has been noticed, so it has been passed over.
        write(folder / "package/words.py", "word = 'two'\n")
        says(server, "two")
        assert server.output.text().count("to take over") == 1
        wait_until(lambda: server.get("/").text != pid, "another process serves")


def test_folder_of_other_files(folder: Path) -> None:
    (folder / "pages").mkdir()
    arguments = [*PYRE, "dev", "shop:app", "--reload-dir", "pages"]
    with serve(arguments, cwd=folder, env=environment(folder)) as server:
        pid = server.get("/").text
        write(folder / "pages/new.html", "x")
        wait_until(lambda: server.get("/").text != pid, "another process serves")
        assert "pages/new.html changed" in server.output.text()


def test_running_requests_outlive_a_change(folder: Path) -> None:
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        with Gate() as gate, server.connect() as peer:
            gate.hold(peer, "a")
            write(folder / "package/words.py", "word = 'two'\n")
            says(server, "two")
            gate.release("a", "late")
            assert peer.reply().text == "late"


def test_changes_while_a_process_starts(folder: Path) -> None:
    """The last one counts."""
    with Gate() as gate:
        with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
            slow = f"import socket\nsocket.create_connection(('127.0.0.1', {gate.port}))"
            write(
                folder / "package/words.py",
                f"{slow}.sendall(b'a\\n')\nimport threading\nthreading.Event().wait()\n",
            )
            gate.entered()
            write(folder / "package/words.py", "word = 'last'\n")
            says(server, "last")


@contextmanager
def developing(folder: Path, extra: str, env: dict[str, str]) -> Iterator[tuple[int, Output, Path]]:
    """``pyre dev`` on a Unix-domain socket, which two processes cannot have at once."""
    program = folder / "shop.py"
    write(program, program.read_text().replace("if __name__", f"{extra}\nif __name__"))
    path = folder / "shop.sock"
    arguments = [*PYRE, "dev", "shop:app", "--uds", str(path)]
    process = launch(arguments, child_environment(env, {"workers": 1}), folder)
    output = Output(process)
    try:
        yield process.pid, output, path
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, output.text()
    finally:
        process.kill()
        output.join()


def answer(path: Path) -> str:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=30) as client:
        return client.get("http://shop/").text.split()[0]


AT_START = """
@app.on_startup
def start():
    with socket.create_connection(("127.0.0.1", {port})) as gate:
        gate.sendall(word.encode() + b"\\n")
        gate.makefile().readline()
"""


def test_a_change_while_the_first_process_starts(folder: Path) -> None:
    """The next one is started when that has let go of the address, which it cannot hand over."""
    with Gate() as gate:
        extra = AT_START.format(port=gate.port)
        with developing(folder, extra, environment(folder)) as (pid, output, path):
            assert gate.entered() == "one"
            os.kill(pid, signal.SIGHUP)
            output.wait_for("starting anew")
            write(folder / "package/words.py", "word = 'two'\n")
            # One that did not wait would find the address taken meanwhile.
            assert gate.is_empty(1)
            gate.release("one")
            assert gate.entered() == "two"
            gate.release("two")
            output.wait_for("try: curl")
            assert answer(path) == "two"
            assert "in use" not in output.text() and "before it served" not in output.text()


def test_a_first_process_that_hangs_makes_way(folder: Path) -> None:
    with Gate() as gate:
        extra = AT_START.format(port=gate.port)
        with developing(folder, extra, environment(folder)) as (pid, output, path):
            assert gate.entered() == "one"
            os.kill(pid, signal.SIGHUP)
            output.wait_for("does not end by itself and is killed")
            gate.release("one")
            assert gate.entered() == "one"
            gate.release("one")
            output.wait_for("try: curl")
            assert answer(path) == "one"


@pytest.mark.parametrize("target", ["shop:app", "shop.py"])
@pytest.mark.parametrize("edited", ["shop.py", "package/words.py"])
def test_a_change_between_the_import_and_the_banner(folder: Path, edited: str, target: str) -> None:
    """All interpreters come to have the same, although some have read the file before it."""
    program = folder / "shop.py"
    with Gate() as gate:
        extra = AT_START.format(port=gate.port)
        extra += "\napp.get('/main', lambda req: version + word, gil=True)\nversion = 'a-'\n"
        write(program, program.read_text().replace("if __name__", f"{extra}\nif __name__"))
        env = child_environment(environment(folder), {"port": 0, "workers": 1})
        process = launch([*PYRE, "dev", target], env, folder)
        output = Output(process)
        try:
            gate.entered()
            if edited == "shop.py":
                write(program, program.read_text().replace("'a-'", "'b-'"))
            else:
                write(folder / "package/words.py", "word = 'two'\n")
            gate.release_all()
            output.wait_for(f"{edited} changed")
            gate.entered()
            gate.release_all()
            output.wait_for("serves now")
            found = output.wait_for(r"http://127.0.0.1:(\d+)")
            with httpx.Client(base_url=f"http://127.0.0.1:{found[1]}", timeout=30) as client:
                told = "b-one" if edited == "shop.py" else "a-two"
                wait_until(lambda: client.get("/main").text == told, f"it says {told}")
                assert client.get("/").text.split()[0] == told[2:]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
            output.join()


@pytest.mark.parametrize("way", WAYS)
def test_a_change_in_the_second_of_the_last_one(folder: Path, way: str) -> None:
    """Python takes what it compiled before for that of the new source, as sizes are equal, too."""
    module = folder / "package/words.py"
    second = (int(time.time()) + 3600) * 10**9

    def edit(word: str, fraction: int) -> None:
        fresh = folder / "package/.words.new"
        fresh.write_text(f"word = {word!r}\n")
        os.utime(fresh, ns=(second + fraction, second + fraction))
        fresh.rename(module)

    edit("one", 0)
    arguments, options = WAYS[way]
    env = {**environment(folder), "PYTHONDONTWRITEBYTECODE": ""}
    with serve(arguments, cwd=folder, env=env, **options) as server:
        says(server, "one")
        for number, word in enumerate(("two", "six", "ten"), 1):
            edit(word, number * 10**6)
            says(server, word)


def test_a_process_that_crashes_is_waited_for(folder: Path) -> None:
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        os.kill(int(server.get("/").text.split()[1]), signal.SIGKILL)
        server.output.wait_for("was ended by SIGKILL; waiting for a change")
        write(folder / "package/words.py", "word = 'again'\n")
        says(server, "again")


def test_a_program_that_stops_itself_has_ended(folder: Path) -> None:
    program = folder / "shop.py"
    program.write_text(
        program.read_text().replace(
            "if __name__", "app.get('/stop', lambda: app.stop())\nif __name__"
        )
    )
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        server.get("/stop")
        assert server.wait() == 0


def test_debug_pages(folder: Path) -> None:
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        reply = server.get("/fail")
        assert reply.status == 500 and "LookupError: seen" in reply.text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["dev", "nowhere.py"], 2, "no file 'nowhere.py'"),
        (["dev", "nowhere:app"], 2, "no module 'nowhere'"),
        (["dev", "shop:other"], 2, "no 'other'; its apps: app"),
        (["dev", "shop:app", "--port", "x"], 2, "--port"),
    ],
)
def test_what_no_change_would_mend(
    folder: Path, arguments: list[str], code: int, said: str
) -> None:
    ending = run_to_end([*PYRE, *arguments], cwd=folder, env=environment(folder))
    assert (ending.code, ending.output.count(said)) == (code, 1), ending.output


def test_where_it_cannot_work(folder: Path) -> None:
    (folder / "threaded.py").write_text(
        "import threading\n"
        "from pyreframework import Pyre\n"
        "app = Pyre()\n"
        "thread = threading.Thread(target=app.run, kwargs={'reload': True, 'mode': 'default'})\n"
        "thread.start()\nthread.join()\n"
    )
    assert "reload needs a program" in run_to_end(["threaded.py"], cwd=folder).output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_one_signal_ends_everything(folder: Path, number: signal.Signals) -> None:
    """As from a terminal, which signals every process."""
    with serve([*PYRE, "dev", "shop:app"], cwd=folder, env=environment(folder)) as server:
        pid = int(server.get("/").text.split()[1])
        os.killpg(server.pid, number)
        assert server.wait() == 0
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "no process is left")
        assert "Traceback" not in server.output.text()


def test_descriptor(folder: Path) -> None:
    """A socket that was inherited is there for every process."""
    import socket
    import subprocess

    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, *PYRE, "dev", "shop:app", "--fd", str(listener.fileno())]
        process = subprocess.Popen(
            command, cwd=folder, env=child_environment(environment(folder), {"workers": 1}),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            pass_fds=[listener.fileno()],
        )  # fmt: skip
        server = Server.__new__(Server)
        server.process, server.pid, server.output = process, process.pid, Output(process)
        server.host, server.port = "127.0.0.1", listener.getsockname()[1]
        try:
            server.output.wait_for("try: curl")
            says(server, "one")
            write(folder / "package/words.py", "word = 'two'\n")
            says(server, "two")
        finally:
            assert server.stop() == 0, server.output.text()


@pytest.mark.parametrize("way", ["dev module", "program by variable"])
def test_a_folder_that_is_replaced_as_a_whole(tmp_path: Path, folder: Path, way: str) -> None:
    """As by a deployment: the supervisor stands in one that is gone, and starts what is there."""
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "shop.py").rename(site / "shop.py")
    (tmp_path / "package").rename(site / "package")
    arguments, options = WAYS[way]
    with serve(arguments, cwd=site, env=environment(folder), **options) as server:
        says(server, "one")
        shutil.copytree(site, tmp_path / "fresh")
        (tmp_path / "fresh/package/words.py").write_text("word = 'another'\n")
        site.rename(tmp_path / "old")
        (tmp_path / "fresh").rename(site)
        shutil.rmtree(tmp_path / "old")
        says(server, "another")
        assert server.process.poll() is None

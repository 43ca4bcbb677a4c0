"""Programs loaded the way a worker does it, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from serving import Write

from pyreframework.program import loading
from pyreframework.program.description import pack
from pyreframework.program.rerun import Program

APP = """
from pyreframework import Pyre
app = Pyre()
app.get("/served", lambda req: 1)
"""


def load(
    kind: str, target: str, *, number: int = 0, path: list[str] | None = None, after: str = ""
) -> subprocess.CompletedProcess[str]:
    """Load a program in a fresh interpreter and print the routes of the app that came out."""
    texts = pack(Program(kind, target, number, -1, False, ["argv zero", "--flag"], []))
    text = (
        "import sys\nfrom pyreframework.program import loading\n"
        f"native = loading.load({texts!r} + {path or []!r} + sys.path)\n"
        f"print(native.route_table())\n{after}"
    )
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)


def check(run: subprocess.CompletedProcess[str], *expected: str) -> None:
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == list(expected)


SERVED = "[('GET', '/served')]"


def test_pack_and_unpack() -> None:
    argv, path = ["a", "", "--c"], ["/p", "", "/q"]
    program = Program(
        "file", "/x y.py", 3, 9, True, argv, path, ["package"], "info json", outline=["a", "b"]
    )
    again = Program.unpack(pack(program))
    assert all(getattr(again, name) == getattr(program, name) for name in Program.__slots__)


@pytest.mark.parametrize("kind", ["file", "attribute"])
def test_workers_do_not_compile_the_program(write: Write, kind: str) -> None:
    """It comes compiled; the compiler would leave the types of its trees in each interpreter."""
    file = write("program.py", APP)
    target = str(file) if kind == "file" else f"{file}:app"
    texts = pack(Program(kind, target, 0, -1, False, [], sys.path))
    text = (
        "import builtins\n"
        "from pyreframework import app\n"
        "from pyreframework.program import execution, imports, loading\n"
        f"builtins.compile = None\nprint(loading.load({texts!r}).route_table())"
    )
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    check(run, SERVED)


@pytest.mark.parametrize("broken", [b"def broken(:", b"\0", b"\xff"])
def test_a_program_that_does_not_compile(tmp_path: Path, broken: bytes) -> None:
    """It was written over since it began. The worker that finds out says so."""
    file = tmp_path / "program.py"
    file.write_bytes(broken)
    run = load("file", str(file))
    assert run.returncode == 1
    assert "SyntaxError" in run.stderr


def test_a_program_that_has_gone(tmp_path: Path) -> None:
    run = load("file", str(tmp_path / "gone.py"))
    assert run.returncode == 1
    assert "FileNotFoundError" in run.stderr and "gone.py" in run.stderr


@pytest.mark.parametrize(
    "ending",
    [
        "app.run()",
        "app.run(port=1, nonsense=2)",
        "if __name__ == '__main__':\n    print('guarded')",
        "app.run()\nprint('behind')",
        "try:\n    app.run()\nexcept Exception:\n    print('caught')",
        "def main():\n    app.run()\nmain()\nprint('behind')",
        "import sys\nsys.exit(0)",
    ],
)
def test_the_app_is_handed_over(write: Write, ending: str) -> None:
    check(load("file", str(write("program.py", APP + ending))), SERVED)


@pytest.mark.parametrize("ending", ["", "app.run()", "Pyre().run()", "print(__name__)"])
def test_an_app_by_its_name(write: Write, tmp_path: Path, ending: str) -> None:
    """It is imported as what it is, or run as a file that no name leads to."""
    file = write("package/module.py", f"{APP}other = Pyre()\n{ending}")
    for target, name in ((f"{file}:app", "__mp_main__"), ("package.module:app", "package.module")):
        printed = [name] if "print" in ending else []
        check(load("attribute", target, path=[str(tmp_path)]), *printed, SERVED)


def test_surroundings(write: Write) -> None:
    file = write(
        "program.py",
        APP
        + "import sys\n"
        + "print(__name__, __file__ == FILE, sys.argv, sys.path[0], __package__)\n"
        + "print(sys.modules['__main__'] is sys.modules['__mp_main__'])\n"
        + "print(vars(sys.modules['__main__']) is globals())\n",
    )
    text = file.read_text().replace("FILE", repr(str(file)))
    file.write_text(text)
    check(
        load("file", str(file), path=["/first"]),
        "__mp_main__ True ['argv zero', '--flag'] /first None",
        "True",
        "True",
        SERVED,
    )


def test_the_app_is_found_by_its_number(write: Write) -> None:
    file = write(
        "program.py",
        """
        from pyreframework import Pyre
        first, second, third = Pyre(), Pyre(), Pyre()
        second.get("/served", lambda req: 1)
        first.run()
        third.run()
        print("here")
        second.run()
        print("never")
        """,
    )
    check(load("file", str(file), number=1), "here", SERVED)


def test_run_in_a_thread_of_the_program(write: Write) -> None:
    """Only the program's own thread is ended by run(); the others go on."""
    file = write(
        "program.py",
        APP + "import threading\nthread = threading.Thread(target=app.run)\n"
        "thread.start()\nthread.join()\nprint('end')\n",
    )
    run = load("file", str(file))
    check(run, "end", SERVED)
    assert run.stderr == ""


def test_run_later_in_a_worker_does_nothing(write: Write) -> None:
    file = write("program.py", APP)
    check(
        load("file", str(file), after="sys.modules['__main__'].app.run()\nprint('went on')"),
        SERVED,
        "went on",
    )


def test_module(write: Write, tmp_path: Path) -> None:
    write("package/__init__.py", "print('package')")
    write("package/words.py", "word = 'word'")
    write(
        "package/serve.py",
        APP + "from .words import word\nprint(__name__, __package__, word, __spec__.name)\n",
    )
    run = load("module", "package.serve", path=[str(tmp_path)])
    check(run, "package", "__mp_main__ package word package.serve", SERVED)


def test_package_with_main(write: Write, tmp_path: Path) -> None:
    write("package/__init__.py", "")
    write("package/service.py", APP)
    write("package/__main__.py", "from .service import app\napp.run()\n")
    check(load("module", "package.__main__", path=[str(tmp_path)]), SERVED)


def test_folder_and_archive(write: Write, tmp_path: Path) -> None:
    write("folder/__main__.py", "from service import app\napp.run()\n")
    write("folder/service.py", APP)
    folder = tmp_path / "folder"
    check(load("folder", str(folder), path=[str(folder)]), SERVED)
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("__main__.py", "service.py"):
            file.write(folder / name, name)
    check(load("folder", str(archive), path=[str(archive)]), SERVED)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x = 1", "made no app"),
        (
            "if __name__ == '__main__':\n    from pyreframework import Pyre\n    app = Pyre()",
            "guarded",
        ),
        ("raise LookupError('here')", "LookupError: here"),
        ("raise SystemExit('no configuration')", "SystemExit('no configuration')"),
        ("def broken(:", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
    ],
)
def test_failures_are_told(write: Write, text: str, named: str) -> None:
    file = write("guarded.py", text)
    run = load("file", str(file))
    assert run.returncode == 1
    assert named in run.stderr
    assert "guarded.py" in run.stderr


def test_code_that_is_not_there(tmp_path: Path) -> None:
    for kind, target in (("module", "no_such_module"), ("folder", str(tmp_path))):
        run = load(kind, target)
        assert run.returncode == 1
        assert f"cannot find the code of {target}" in run.stderr


def test_routes_are_frozen(write: Write) -> None:
    file = write("program.py", APP)
    run = load("file", str(file), after="sys.modules['__main__'].app.get('/late', lambda req: 1)")
    assert run.returncode == 1
    assert run.stdout.splitlines() == [SERVED]


def test_worker_hooks(write: Write) -> None:
    file = write(
        "program.py",
        APP
        + "app.on_worker_start(lambda: print('start'))\n"
        + "app.on_worker_stop(lambda: 1 / 0)\n"
        + "app.on_worker_stop(lambda: print('stop'))\n"
        + "app.on_startup(lambda: print('never'))\n",
    )
    run = load(
        "file",
        str(file),
        after="loading.start_worker(native)\nloading.settle_worker(native)\n"
        "loading.stop_worker(native)\n"
        "import gc\nprint(gc.get_freeze_count() > 0)",
    )
    check(run, SERVED, "start", "stop", "True")
    assert "ZeroDivisionError" in run.stderr


def test_failing_start_hook(write: Write) -> None:
    file = write("program.py", APP + "app.on_worker_start(lambda: 1 / 0)\n")
    run = load("file", str(file), after="loading.start_worker(native)")
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stderr


def test_types_get_their_versions_unasked() -> None:
    """A metaclass of the program may do as it likes when it is compared or hashed."""

    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            raise LookupError

        def __hash__(cls) -> int:
            raise LookupError

    kept = Meta("Kept", (), {})
    loading.version_types()
    assert type(kept) is Meta

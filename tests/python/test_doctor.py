"""``pyre doctor``: what it finds in programs, and what it says of them."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import pytest

from pyreframework import doctor

REFUSES = 'raise ImportError(f"module {__name__} does not support loading in subinterpreters")'
IN_WORKER = "import _interpreters, os, signal\nif _interpreters.get_current()[0]:\n    "
SITE = {
    "grid.py": IN_WORKER + REFUSES,
    "frames.py": "import grid",
    "crashing.py": IN_WORKER + "os.kill(os.getpid(), signal.SIGSEGV)",
    "aborting.py": IN_WORKER + "os.abort()",
    "fine.py": "",
    "raising.py": IN_WORKER + "raise KeyError('only here')",
}
PROGRAM = """
    import sys
    sys.path.append({site!r})
    import json
    import fine
    import frames
    import grid
    from pyreframework import Pyre
    {imports}

    app = Pyre()
    app.get("/plain", lambda req: json.dumps(1))
    app.get("/grid", lambda req: grid.zeros(3))
    app.post("/both", lambda req: (grid.zeros(3), frames.Frame()))
    {more}
    if __name__ == "__main__":
        app.run()
"""
MAIN = "the main interpreter"
ON_MAIN = f"runs on {MAIN}"


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Examine a program; return the exit code and the lines printed."""
    monkeypatch.chdir(tmp_path)
    site = tmp_path / "site-packages"
    site.mkdir()
    for name, text in SITE.items():
        (site / name).write_text(text)

    def examine(
        imports: str = "", more: str = "", target: str = "program.py", text: str = PROGRAM
    ) -> tuple[int, list[str]]:
        filled = textwrap.dedent(text).format(site=str(site), imports=imports, more=more)
        (tmp_path / "program.py").write_text(filled)
        stream = io.StringIO()
        code = doctor.run(target, stream)
        return code, stream.getvalue().splitlines()

    return examine


@pytest.mark.parametrize("target", ["program.py", "program", "program:app", "program.py:app"])
def test_what_it_finds(examine: object, target: str) -> None:
    code, printed = examine(target=target)
    assert code == 0
    rows = [[cell.strip() for cell in line.split("  ") if cell] for line in printed]
    why = "module grid does not support loading in subinterpreters"
    assert rows == [
        ["MODULE", "IN WORKERS", "WHY", "MOVES"],
        ["fine", "yes", "-", "-"],
        ["frames", "no", why, "POST /both"],
        ["grid", "no", why, "GET /grid, POST /both"],
        [],
        [f"GET /grid {ON_MAIN}: it uses grid, which does not load in workers"],
        [f"POST /both {ON_MAIN}: it uses frames and grid, which do not load in workers"],
        [f"{target}: 2 of 3 modules do not load in workers, 2 of 3 routes moved to {MAIN}"],
    ]
    starts = [line.index(cells[1]) for line, cells in zip(printed[:4], rows, strict=False)]
    assert len(set(starts)) == 1


def test_modules_that_crash(examine: object) -> None:
    """They take a child with them, and the others are examined all the same."""
    code, printed = examine(
        "import crashing\nimport aborting", 'app.get("/crash", lambda req: crashing.run())'
    )
    assert code == 0
    rows = {line.split()[0]: line for line in printed if line}
    assert "no" in rows["crashing"] and "crashes (SIGSEGV)" in rows["crashing"]
    assert "GET /crash" in rows["crashing"]
    assert "crashes (SIGABRT)" in rows["aborting"]
    assert "GET /grid, POST /both" in rows["grid"]


def test_a_program_that_goes_on_without(examine: object) -> None:
    code, printed = examine("try:\n    import grid as g\nexcept ImportError:\n    g = None")
    assert code == 0
    assert any("program.py:" in line and "goes on without it" in line for line in printed)


def test_hooks_are_not_run_but_counted(examine: object) -> None:
    hook = """
model = None
@app.on_worker_start
def load():
    global model
    model = grid.load()
    raise SystemExit("the hook was run")
app.get("/model", lambda req: model)
"""
    code, printed = examine(more=hook)
    assert code == 0
    assert any(line.startswith("GET /model runs on the main interpreter") for line in printed)


def test_a_hook_that_moves_everything(examine: object) -> None:
    code, printed = examine(more="app.before_request(lambda req: grid.check())")
    assert code == 0
    assert any("every route" in line for line in printed if line.startswith("grid"))
    words = "every route runs on the main interpreter: the before_request hook "
    assert any(line.startswith(words) for line in printed)


def test_gil_false(examine: object) -> None:
    code, printed = examine(more='app.get("/no", lambda req: grid.zeros(1), gil=False)')
    assert code == 3
    assert printed[-1] == "GET /no has gil=False, so the program would not start"


def test_a_program_that_needs_nothing(examine: object) -> None:
    text = "from pyreframework import Pyre\napp = Pyre()\napp.get('/', lambda req: 1)\napp.run()\n"
    code, printed = examine(text=text)
    line = f"program.py: 0 of 0 modules do not load in workers, 0 of 1 route moved to {MAIN}"
    assert (code, printed) == (0, [line])


@pytest.mark.parametrize(
    ("imports", "where", "said"),
    [
        ("import raising", "a worker", "KeyError: 'only here'"),
        ("1 / 0", "the main interpreter", "ZeroDivisionError: division by zero"),
        ("import os\nos._exit(7)", "the main interpreter: the process ends with exit code 7", ""),
    ],
)
def test_a_program_that_does_not_load(examine: object, imports: str, where: str, said: str) -> None:
    code, printed = examine(imports)
    assert code == 3
    assert printed[-1] == f"program.py does not load in {where}"
    assert said in "\n".join(printed)


@pytest.mark.parametrize(
    ("target", "words"),
    [("nothing.py", "there is no file"), ("a b", "neither a file"), ("program:none", "no 'none'")],
)
def test_what_is_not_there(
    examine: object, target: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, printed = examine(target=target)
    assert code == 2
    assert words in capfd.readouterr().err + "\n".join(printed)


def test_what_the_program_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / "service.py").write_text(
        "import sys\nfrom pyreframework import Pyre\napp = Pyre()\n"
        "app.get(sys.argv[1], lambda req: 1)\n"
    )
    stream = io.StringIO()
    assert doctor.run("service:app", stream, arguments=["/a"], app_dir=str(folder)) == 0
    assert "0 of 1 route moved" in stream.getvalue()


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["a", "b"], ["--help"]):
        assert doctor.main(arguments) == 2
        assert "takes one argument" in capsys.readouterr().err

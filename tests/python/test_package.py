"""The package as a whole: its public names, and what a worker has to import for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from serving import serve

import pyreframework

HELLO = Path(__file__).parents[2] / "examples" / "hello.py"
HEAVY = {
    "argparse", "asyncio", "collections.abc", "dataclasses", "datetime", "enum", "functools",
    "importlib.machinery", "inspect", "json", "logging", "opcode", "pathlib", "re", "socket",
    "subprocess", "tempfile", "threading", "traceback", "typing",
}  # fmt: skip


def modules_after(program: str) -> set[str]:
    """Names of the modules that are there once a fresh interpreter has run ``program``."""
    text = f"import sys\n{program}\nprint(chr(10) + ' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_public_names() -> None:
    for name in pyreframework.__all__:
        assert getattr(pyreframework, name) is not None
    public = {name for name in vars(pyreframework) if not name.startswith("_")}
    modules = {name for name in public if hasattr(getattr(pyreframework, name), "__path__")}
    assert set(pyreframework.__all__) <= public | {"__version__"}
    # Rooms, and what a test has imported before.
    assert modules <= {"cli", "handlers", "logs", "program", "serving", "testing"}


def test_version() -> None:
    assert [int(part) for part in pyreframework.__version__.split(".")] >= [3, 0, 0]


def test_a_free_threaded_build_is_refused_in_one_sentence() -> None:
    program = "import sys\nsys.abiflags = 't'\nimport pyreframework"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ImportError: Pyre relies on the GIL of each interpreter")
    assert "free-threaded build of CPython 3." in last
    assert last.endswith("use one with a GIL")


def test_everybody_names_the_same_versions_of_python() -> None:
    """Those that the tests run on: set-up, metadata, continuous integration, README."""
    root = Path(__file__).parents[2]
    setup = (root / "scripts" / "pythons.bash").read_text()
    tested = setup.partition("tested_pythons=(")[2].partition(")")[0].split()
    versions = sorted(tested, key=lambda version: int(version.partition(".")[2]))
    with (root / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    prefix = "Programming Language :: Python :: 3."
    classified = [
        name.rpartition(" ")[2] for name in project["classifiers"] if name.startswith(prefix)
    ]
    assert classified == versions
    above = f"3.{int(versions[-1].partition('.')[2]) + 1}"
    assert project["requires-python"] == f">={versions[0]},<{above}"
    workflow = (root / ".github" / "workflows" / "test.yml").read_text()
    assert re.findall(r"^ +(3\.\d+)$", workflow, re.MULTILINE) == versions
    named = f"CPython {', '.join(versions[:-1])} or {versions[-1]}"
    for page in ("README.md", "CONTRIBUTING.md"):
        assert named in (root / page).read_text(), page
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert running in versions, "the tests run on another version: name it"


def test_importing_it_is_lean() -> None:
    already = modules_after("")
    found = modules_after("import pyreframework")
    assert found & HEAVY <= already & HEAVY
    # What only the serving side needs stays out of workers; on the main interpreter `hold` catches
    # a signal before that, and `environment` notes what the program may change.
    serving = {name for name in found if name.startswith("pyreframework.serving.")}
    rooms = {"pyreframework.serving.signals", "pyreframework.serving.processes"}
    assert serving - rooms == {
        "pyreframework.serving.signals.hold", "pyreframework.serving.processes.environment",
    }  # fmt: skip


def test_loading_a_program_is_lean() -> None:
    already = modules_after("")
    texts = ["file", str(HELLO), "0", "-1", "0", "1", "0", "0", "info text", "", str(HELLO)]
    found = modules_after(
        f"path = list(sys.path)\nfrom pyreframework.program import loading\n"
        f"app = loading.load({texts!r} + path)\nloading.start_worker(app)"
    )
    assert "__mp_main__" in found
    assert found & HEAVY <= already & HEAVY


@pytest.mark.parametrize("name", ["py.typed", "engine.pyi"])
def test_types_are_shipped(name: str) -> None:
    assert (Path(pyreframework.__file__).parent / name).is_file()


def test_no_required_dependencies() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert json.loads(text.partition("\ndependencies = ")[2].splitlines()[0]) == []


def test_a_worker_is_lean(tmp_path: Path) -> None:
    """Also with what the engine itself imports there."""
    file = tmp_path / "program.py"
    file.write_text(
        "import sys\nfrom pyreframework import Pyre\napp = Pyre()\n"
        "app.get('/', lambda req: list(sys.modules))\napp.run()\n"
    )
    with serve(file, workers=1) as server:
        found = set(server.get("/").json())
    assert "__mp_main__" in found
    assert found & HEAVY <= modules_after("") & HEAVY
    # What only a refused module needs, and what only the main interpreter does.
    unneeded = {
        "doctor", "logs.console", "program.deferred", "program.lacks", "program.missing",
        "program.refusals", "program.sources", "program.standins", "serving",
    }  # fmt: skip
    assert not found & {f"pyreframework.{name}" for name in unneeded}

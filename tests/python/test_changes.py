"""Which files count, and what counts as a change of one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from pyreframework.program import changes
from pyreframework.program.changes import Changes, program_files, signature
from pyreframework.serving.processes.watch import SHARE, Told, Watch


def write(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def edit(path: Path) -> None:
    """Change a file, whatever the resolution of its time."""
    path.write_text(path.read_text() + "#")


def replace(path: Path) -> None:
    """Write a file as most editors do: a new one takes its place, perhaps of the same size."""
    fresh = path.with_suffix(".new")
    fresh.write_text(path.read_text())
    os.utime(fresh, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    fresh.rename(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("act", [edit, replace, touch, Path.unlink])
def test_what_is_a_change(tmp_path: Path, act: Callable[[Path], None]) -> None:
    file = tmp_path / "a.py"
    found = Changes([])
    found.add({write(file): signature(str(file))})
    assert found.look() == {}
    act(file)
    changed = found.look()
    assert list(changed) == [str(file)]
    found.accept(changed)
    assert found.look() == {}


def test_a_change_before_it_was_added_is_one(tmp_path: Path) -> None:
    """What counts is the state in which a file was imported."""
    file = tmp_path / "a.py"
    imported = {write(file): signature(str(file))}
    edit(file)
    found = Changes([])
    found.add(imported)
    assert list(found.look()) == [str(file)]
    # Told again, with another state: what has been seen here counts.
    found.accept(found.look())
    found.add(imported)
    assert found.look() == {}


def test_files_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "package/__init__.py")
    own = write(tmp_path / "package/own_module.py")
    other = write(tmp_path / "broken.py", "def broken(:")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("package.own_module")
    found = program_files([other, "<string>", str(tmp_path / "missing.py")])
    assert found[own] == signature(own) is not None
    assert {own, other, str(tmp_path / "package/__init__.py")} <= set(found)
    for name in ("json", "pytest", "pyreframework.serving.processes.watch"):
        assert sys.modules[name].__file__ not in found
    for name in ("package", "package.own_module"):
        del sys.modules[name]


@pytest.mark.parametrize("supervised", [False, True])
def test_files_as_they_were_when_they_were_imported(tmp_path: Path, supervised: bool) -> None:
    """A module that changes while it runs; told by a process of its own, which notes imports."""
    write(tmp_path / "helper.py", "import os\nos.rename('new.py', __file__)\n")
    write(tmp_path / "new.py", "raise LookupError\n")
    code = (
        "import pyreframework\n"
        "from pyreframework.program.changes import program_files, signature\n"
        "before = signature('helper.py')\n"
        "import helper\n"
        "found = program_files()[helper.__file__]\n"
        "print(found == before, found == signature('helper.py'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    if supervised:
        environment["_PYRE_SUPERVISOR"] = "9:9"
    asked = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, env=environment, text=True,
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert asked.stdout.split() == (["True", "False"] if supervised else ["False", "True"])


@pytest.mark.parametrize("prefix", [None, "elsewhere"])
def test_what_was_compiled_too_early_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str | None
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", prefix and str(tmp_path / prefix))
    source = tmp_path / "a.py"
    found = Changes([])
    found.add({write(source): signature(str(source)), write(tmp_path / "data.txt"): None})
    paths = [Path(cache_from_source(str(source), optimization=level)) for level in ("", "1", "2")]
    for seconds, stays in ((0, False), (1, False), (2, True)):
        for compiled in paths:
            write(compiled)
            os.utime(compiled, (seconds, 1000 + seconds))
        os.utime(source, ns=(0, 1000 * 10**9 + 5))
        found.drop_compiled()
        assert [compiled.exists() for compiled in paths] == [stays] * 3
    source.unlink()
    found.drop_compiled()


def test_folders_watched_as_a_whole(tmp_path: Path) -> None:
    page = tmp_path / "pages/deep/page.html"
    write(page)
    for name in (".hidden", ".git/config", "__pycache__/a.pyc", "b.pyc", "page.html~"):
        write(tmp_path / "pages" / name)
    found = Changes([str(tmp_path / "pages")])
    assert list(found.seen) == [str(page)]
    write(tmp_path / "pages/.swap")
    assert found.look() == {}
    new = write(tmp_path / "pages/new/new.html")
    edit(page)
    assert set(found.look()) == {str(page), new}
    assert found.places() == [str(tmp_path / "pages"), str(page.parent)]


def test_no_more_files_than_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "FILES_MAX", 3)
    for number in range(9):
        write(tmp_path / f"{number}.txt")
    assert len(Changes([str(tmp_path)]).seen) == 3


def test_a_search_is_over_with_the_first_change(tmp_path: Path) -> None:
    known, missing = tmp_path / "a/known.py", tmp_path / "a/missing.py"
    found = Changes([])
    found.add({write(known): signature(str(known))})
    write(missing)
    assert found.look() == {}
    missing.unlink()
    beside = Path(write(tmp_path / "a/beside.py"))
    touch(beside)
    found.search([str(tmp_path / "nowhere"), str(tmp_path)], since_ns=time.time_ns())
    assert found.look() == {}
    write(missing)
    assert list(found.look()) == [str(missing)]
    found.accept(found.look())
    write(tmp_path / "a/later.py")
    assert found.look() == {}


def test_a_search_finds_what_came_before_it(tmp_path: Path) -> None:
    """A file that was written after the program had missed it has changed for it."""
    found = Changes([])
    late = write(tmp_path / "late.py")
    found.search([str(tmp_path)], since_ns=0)
    assert list(found.look()) == [late]


def wait_for(watch: Watch) -> list[str]:
    deadline = time.monotonic() + 30
    while not (changed := watch.take()):
        assert time.monotonic() < deadline
        threading.Event().wait(watch.patience())
    return changed


@pytest.fixture(params=[True, False], ids=["watchfiles", "polling"])
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    if not request.param:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    found = Watch([])
    assert found.told.works is request.param
    yield found
    found.close()


def test_a_watch_tells_once_the_files_are_at_rest(tmp_path: Path, watch: Watch) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    watch.changes.add({write(file): signature(str(file)) for file in (one, two)})
    watch.update()
    assert watch.take() == []
    for _ in range(3):
        edit(one)
        edit(two)
        assert wait_for(watch) == [str(one), str(two)]
        assert watch.take() == []


def test_a_file_that_comes_and_goes_is_no_change(tmp_path: Path) -> None:
    """As the probes of some editors do."""
    write(tmp_path / "page.html")
    watch = Watch([str(tmp_path)])
    watch.told.works = False
    probe = tmp_path / "4913"
    probe.touch()
    watch.next_look = 0.0
    assert watch.take() == [] and list(watch.pending) == [str(probe)]
    probe.unlink()
    watch.next_look = 0.0
    assert watch.take() == [] and watch.pending == {}
    watch.close()


def test_much_to_look_at_is_looked_at_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    watch = Watch([str(tmp_path)])

    def slow() -> dict[str, changes.Signature]:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.1:
            pass
        return {}

    monkeypatch.setattr(watch.changes, "look", slow)
    watch.next_look = 0.0
    assert watch.take() == []
    assert watch.patience() > 0.1 * SHARE * 0.9
    watch.close()


def test_where_watchfiles_fails_it_is_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    def fail(*places: str, **options: object) -> None:
        raise OSError("no more watches")

    monkeypatch.setattr(watchfiles, "watch", fail)
    told = Told()
    told.watch([str(tmp_path)])
    deadline = time.monotonic() + 30
    while told.works:
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
    told.close()

"""`scripts/check-boundaries`: each rule finds its breach, and nothing where there is none."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-boundaries"


@pytest.fixture
def checker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, looking at a tree of its own."""
    loader = SourceFileLoader("check_boundaries", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "breach"),
    [
        ("pyre-core/src/x.rs", "fn f() { unsafe { g() } }", "unsafe stands only"),
        ("pyre-core/src/x.rs", "unsafe impl Send for X {}", "unsafe stands only"),
        ("pyre-interp/src/x.rs", "use pyo3_ffi::PyObject;", "only pyre-ffi names pyo3_ffi"),
        ("pyre-core/tests/x.rs", "use pyo3_ffi as ffi;", "only pyre-ffi names pyo3_ffi"),
        ("pyre-http/src/x.rs", "use std::time::Instant;", "no sockets, clocks"),
        ("pyre-http/src/x.rs", "fn f(s: TcpStream) {}", "no sockets, clocks"),
        ("pyre-interp/src/x.rs", "use mio::Token;", "sees no sockets"),
        ("pyre-ffi/src/x.rs", "static NONE: Option<Owned<Any>> = None;", "no static holds"),
        ("pyre-core/src/x.rs", "static mut X: u8 = 0;", "no static is mutable"),
        ("pyre-core/src/x.rs", "fn f() { todo!() }", "left unfinished"),
    ],
)
def test_breaches(checker: ModuleType, name: str, text: str, breach: str) -> None:
    write(checker.ROOT, name, f"//! A file.\n{text}\n")
    (found,) = checker.source_breaches()
    assert found.startswith(f"{name}:2: ")
    assert breach in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyre-ffi/src/x.rs", "use pyo3_ffi as ffi;\nfn f() { unsafe { ffi::Py_None() } }"),
        ("pyre-interp/src/ring/x.rs", "unsafe impl Send for X {}"),
        ("pyre-core/src/entry.rs", "#[unsafe(no_mangle)]"),
        ("pyre-core/src/x.rs", "// unsafe, pyo3_ffi and TODO in a comment"),
        ("pyre-core/src/x.rs", '/* unsafe\n todo! */ const X: &str = "unsafe { }";'),
        ("pyre-core/src/x.rs", "#![deny(unsafe_code)]"),
        ("pyre-http/src/x.rs", "use std::net::Ipv6Addr;"),
        ("pyre-http/src/x.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}"),
        ("pyre-ffi/src/x.rs", "fn name(text: &'static str) -> Result<Owned<Str>, Raised> {}"),
    ],
)
def test_what_is_allowed(checker: ModuleType, name: str, text: str) -> None:
    write(checker.ROOT, name, text)
    assert list(checker.source_breaches()) == []


def test_unsafe_in_unit_tests_is_a_breach_too(checker: ModuleType) -> None:
    write(checker.ROOT, "pyre-core/src/x.rs", "#[cfg(test)]\nmod tests {\n    unsafe fn f() {}\n}")
    assert len(list(checker.source_breaches())) == 1


@pytest.mark.parametrize(
    ("crate", "dependency", "breach"),
    [
        ("pyre-http", "pyre-ffi", "must not depend on pyre-ffi"),
        ("pyre-ffi", "pyre-http", "must not depend on pyre-http"),
        ("pyre-interp", "mio", "never sees mio"),
        ("pyre-core", "pyo3-ffi", "never sees pyo3-ffi"),
    ],
)
def test_dependencies(
    checker: ModuleType, crate: str, dependency: str, breach: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = [{"name": name, "dependencies": []} for name in checker.OURS]
    monkeypatch.setattr(checker, "metadata", lambda: packages)
    assert list(checker.dependency_breaches()) == []
    packages[list(checker.OURS).index(crate)]["dependencies"] = [{"name": dependency}]
    (found,) = checker.dependency_breaches()
    assert found == f"{crate}/Cargo.toml: {breach}"


def test_a_crate_that_is_gone(checker: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "metadata", list)
    assert len(list(checker.dependency_breaches())) == len(checker.OURS)


def tree(root: Path, files: dict[str, str]) -> None:
    """Write a package with all rooms, and these files in it besides."""
    for folder in (
        "", "/testing", "/handlers", "/logs", "/program", "/serving", "/serving/processes",
        "/serving/settings", "/serving/signals",
    ):  # fmt: skip
        write(root, f"python/pyreframework{folder}/__init__.py", "")
    for name in ("__main__", "app", "cli", "logs/console", "program/loading", "serving/server"):
        write(root, f"python/pyreframework/{name}.py", "")
    write(root, "python/pyreframework/engine.pyi", "")
    for name, text in files.items():
        write(root, f"python/pyreframework/{name}", text)


IN_FUNCTION = "def f():\n    from pyreframework.app import Pyre\n"
FOR_TYPES = "if TYPE_CHECKING:\n    from pyreframework.app import Pyre\n"


@pytest.mark.parametrize(
    ("name", "text", "line", "breach"),
    [
        ("logs/x.py", "from pyreframework.program import loading", 1, "pyreframework.program"),
        ("logs/x.py", "import pyreframework.program.loading", 1, "pyreframework.program"),
        ("logs/x.py", "import os, pyreframework.serving.server as s", 1, "pyreframework.serving"),
        ("logs/x.py", "from ..program.loading import load", 1, "pyreframework.program"),
        ("logs/x.py", "from .. import program", 1, "pyreframework.program"),
        ("program/__init__.py", "from ..serving import server", 1, "pyreframework.serving"),
        ("program/x.py", "from pyreframework import Pyre", 1, "pyreframework"),
        ("serving/server.py", IN_FUNCTION, 2, "pyreframework"),
        ("serving/server.py", FOR_TYPES, 2, "pyreframework"),
        (
            "serving/processes/x.py",
            "from pyreframework.serving import server",
            1,
            "pyreframework.serving",
        ),
        ("app.py", "from pyreframework.cli import main", 1, "pyreframework.cli"),
        ("app.py", "from pyreframework import testing", 1, "pyreframework.testing"),
        # Beside each other.
        (
            "serving/settings/x.py",
            "import pyreframework.serving.signals",
            1,
            "pyreframework.serving.signals",
        ),
        # By its name.
        (
            "logs/x.py",
            "import sys\nsys.modules.get('pyreframework.program.loading')",
            2,
            "pyreframework.program",
        ),
    ],
)
def test_an_arrow_that_goes_up(
    checker: ModuleType, name: str, text: str, line: int, breach: str
) -> None:
    tree(checker.ROOT, {name: text})
    (found,) = checker.python_breaches()
    assert found.startswith(f"python/pyreframework/{name}:{line}: ")
    assert f"must not see {breach}, as in" in found


def test_two_rooms_that_see_each_other(checker: ModuleType) -> None:
    down = "from pyreframework.handlers import x"
    tree(checker.ROOT, {"program/x.py": down, "handlers/x.py": ""})
    assert list(checker.python_breaches()) == []
    tree(checker.ROOT, {"handlers/x.py": "def f():\n    from pyreframework.program import x\n"})
    (found,) = checker.python_breaches()
    assert found.startswith("python/pyreframework/handlers/x.py:2: ")


def test_arrows_that_go_down(checker: ModuleType) -> None:
    text = """
    from pyreframework import logs, handlers
    from pyreframework.engine import Server
    from pyreframework.serving.processes import channel
    from . import banner
    from .settings import options
    TARGET = "pyreframework.program"
    class Named:
        __module__ = "pyreframework.app"
    """
    tree(checker.ROOT, {"serving/x.py": dedent(text), "cli.py": IN_FUNCTION})
    assert list(checker.python_breaches()) == []


def test_a_folder_that_is_no_room(checker: ModuleType) -> None:
    tree(checker.ROOT, {"rest/__init__.py": ""})
    (found,) = checker.python_breaches()
    assert found.startswith("python/pyreframework/rest/__init__.py: this folder is no room")


def test_a_room_that_is_gone(checker: ModuleType) -> None:
    tree(checker.ROOT, {})
    (checker.ROOT / "python/pyreframework/handlers/__init__.py").unlink()
    (found,) = checker.python_breaches()
    assert found == "python/pyreframework: there is no room pyreframework.handlers"


def test_places(checker: ModuleType) -> None:
    for folder in checker.FOLDERS:
        write(checker.ROOT, f"{folder}/mod.rs", "")
    for root, attribute in checker.ROOTS.items():
        write(checker.ROOT, root, attribute)
    assert [*checker.place_breaches(), *checker.root_breaches()] == []
    write(
        checker.ROOT, "ARCHITECTURE.md", "| `pyre-core/src/inbound/mod.rs` | `pyre-core/no.rs` |\n"
    )
    assert list(checker.place_breaches()) == ["ARCHITECTURE.md:1: pyre-core/no.rs does not exist"]
    write(checker.ROOT, "pyre-http/src/lib.rs", "#![warn(unsafe_code)]")
    assert len(list(checker.root_breaches())) == 1


def make_core_rooms(checker: ModuleType) -> None:
    for layer in checker.CORE_LAYERS:
        for room in layer:
            write(checker.ROOT, f"{checker.CORE}/{room}/mod.rs", "//! A room.\n")


@pytest.mark.parametrize(
    ("name", "text", "breach"),
    [
        ("connection/x.rs", "use crate::reactor::run::Reactor;", "must not see reactor"),
        ("shared/x.rs", "fn f() { crate::log::writer::say(); }", "must not see log"),
        ("shared/x.rs", "use crate::{sys, server::object::Server};", "must not see server"),
        ("shared/x.rs", "use crate::{\n    sys::{A, B},\n    log,\n};", "must not see log"),
        ("inbound/x.rs", "use crate::outbound::flush;", "must not see outbound"),
        ("sys/x.rs", "use crate::settings::Bind;", "must not see settings"),
        (
            "sys/x.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::log::writer;\n}",
            "must not see log",
        ),
        ("server/x.rs", "use crate::cellar::X;", "cellar has no place"),
        ("cellar/mod.rs", "", "cellar has no place"),
        ("log/x.rs", "use super::super::metrics::ledger;", "named from crate::"),
        ("log/mod.rs", "use super::metrics::ledger;", "named from crate::"),
        ("inbound/x.rs", "use crate::shared::a::{B, C};\nimpl C {\n}", "methods of C stand in"),
        ("inbound/x.rs", "use crate::shared::a::C;\nimpl<'a> C<'a> {\n}", "methods of C stand in"),
    ],
)
def test_core_rooms(checker: ModuleType, name: str, text: str, breach: str) -> None:
    make_core_rooms(checker)
    assert list(checker.core_room_breaches()) == []
    write(checker.ROOT, f"{checker.CORE}/{name}", f"//! A file.\n{text}\n")
    found = list(checker.core_room_breaches())
    assert any(one.startswith(f"{checker.CORE}/{name}:") and breach in one for one in found)
    assert len({one for one in found if "no sources" not in one}) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("reactor/x.rs", "use crate::inbound::read;\nuse crate::reactor::run::Reactor;"),
        ("server/x.rs", "use crate::{log, metrics::{ledger::Ledger}, sys};"),
        ("sys/x.rs", "// use crate::log::writer;"),
        ("sys/x.rs", 'const TEXT: &str = "crate::log";'),
        ("log/x.rs", "use super::entry::Record;"),
        ("app.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
        ("inbound/x.rs", "use crate::shared::a::C;\nimpl From<C> for D {\n}\nimpl D {\n}"),
        ("inbound/x.rs", "use crate::shared::a::C;\nimpl Drop for C {\n}"),
    ],
)
def test_core_rooms_that_keep_apart(checker: ModuleType, name: str, text: str) -> None:
    make_core_rooms(checker)
    write(checker.ROOT, f"{checker.CORE}/{name}", f"//! A file.\n{text}\n")
    assert list(checker.core_room_breaches()) == []


def test_core_rooms_that_are_gone(checker: ModuleType) -> None:
    make_core_rooms(checker)
    (checker.ROOT / checker.CORE / "dispatch" / "mod.rs").unlink()
    assert list(checker.core_room_breaches()) == [
        f"{checker.CORE}/dispatch: this room has no sources"
    ]


def test_core_rooms_fail_the_check(
    checker: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checker, "core_room_breaches", lambda: ["a/b.rs:1: a must not see c"])
    for other in ("dependency_breaches", "source_breaches", "root_breaches", "place_breaches"):
        monkeypatch.setattr(checker, other, list)
    assert checker.main() == 1
    assert "a must not see c" in capsys.readouterr().out

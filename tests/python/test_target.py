"""What the command line names, and what it says of names that lead nowhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Write

from pyreframework import Pyre
from pyreframework.program import apps, launch
from pyreframework.program.launch import Launch, ProgramFailed
from pyreframework.program.target import Target, TargetError

ONE = """
    from pyreframework import Pyre
    app = Pyre()
    app.get("/", lambda req: __name__)
"""


@pytest.fixture(autouse=True)
def restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what loading a program changes: it is done once in a process."""
    monkeypatch.chdir(tmp_path)
    before = {name: sys.modules.get(name) for name in ("__main__", "__mp_main__")}
    modules, path, argv = set(sys.modules), list(sys.path), list(sys.argv)
    yield
    sys.path[:], sys.argv[:] = path, argv
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    for name, module in before.items():
        if module is not None:
            sys.modules[name] = module
    launch.launch = None
    apps.origin = None


def look(text: str, app_dir: str | None = None) -> Pyre:
    app = Launch(Target.parse(text), serves=False).load([], app_dir)
    assert app is not None
    return app


@pytest.mark.parametrize(
    ("text", "source", "attribute", "is_file"),
    [
        ("app.py", "app.py", None, True),
        ("app.py:admin", "app.py", "admin", True),
        ("folder/app:admin", "folder/app", "admin", True),
        ("app", "app", None, False),
        ("package.app:app", "package.app", "app", False),
        ("package.app:site.app", "package.app", "site.app", False),
    ],
)
def test_forms(text: str, source: str, attribute: str | None, is_file: bool) -> None:
    found = Target.parse(text)
    assert (found.source, found.attribute, found.is_file) == (source, attribute, is_file)
    assert str(found) == text


@pytest.mark.parametrize("text", ["", ":app", "app:", "a b", "app:a-b", "app:a..b", "a:b:c", "1a"])
def test_what_has_no_form_is_named(text: str) -> None:
    with pytest.raises(
        TargetError, match=f"^{text.rpartition(':')[0] or text!r}|is not of the form"
    ):
        Target.parse(text)


@pytest.mark.parametrize("text", ["one", "one:app", "one.py", "one.py:app", "./one.py"])
def test_the_one_app(write: Write, text: str) -> None:
    write("one.py", ONE)
    assert [row[:2] for row in look(text).listed] == [("GET", "/")]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("one", "one:app"),
        ("one:app", "one:app"),
        ("one:make", "one:make"),
        ("one:Site.make", "one:Site.make"),
        ("one.py", None),
        ("one.py:app", None),
        ("one.py:make", "FOLDER/one.py:make"),
    ],
)
def test_what_workers_are_told(write: Write, text: str, origin: str | None, tmp_path: Path) -> None:
    """A file whose app stands in it is loaded as always; the rest by its name."""
    write(
        "one.py",
        ONE + "\n    make = lambda: Pyre()\n    class Site:\n        make = staticmethod(make)\n",
    )
    look(text)
    assert apps.origin == (origin and origin.replace("FOLDER", str(tmp_path)))


def test_a_module_keeps_its_name_and_a_file_is_no_main(write: Write) -> None:
    write("named.py", ONE + "    app.name = __name__\n")
    assert look("named").name == "named"  # type: ignore[attr-defined]
    assert look("named.py").name == "__mp_main__"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["shy", "shy:app", "shy.py", "shy.py:app", "shy:make"])
def test_what_raises_when_it_is_asked_for_its_class_is_no_app(write: Write, text: str) -> None:
    """As settings that are not configured, and what is only there during a request."""
    write(
        "shy.py",
        """
        from pyreframework import Pyre
        class Settings:
            @property
            def __class__(self):
                globals()["more"] = 1
                raise RuntimeError("settings are not configured")
        settings = Settings()
        app = Pyre()
        app.get("/", lambda req: __name__)
        make = lambda: Pyre()
    """,
    )
    assert look(text)
    assert "more" not in vars(sys.modules[apps.WORKER_NAME if ".py" in text else "shy"])


def test_a_file_that_runs_ends_there(write: Write) -> None:
    write("one.py", ONE + "    app.run(port=0)\n    raise LookupError\n")
    assert look("one.py").listed


def test_a_module_that_runs_goes_on(write: Write) -> None:
    write("one.py", ONE + "    app.run(port=7)\n    app.get('/more', lambda req: 1)\n")
    launch = Launch(Target.parse("one"))
    app = launch.load([])
    assert app is not None and len(app.listed) == 2
    assert launch.given[id(app)]["port"] == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere:app", "no module 'nowhere' in"),
        ("nowhere.deep:app", "no module 'nowhere' in"),
        ("package.nowhere:app", "no module 'package.nowhere' in"),
        ("nowhere.py", "no file 'nowhere.py' in"),
        ("two", "two:first or two:second"),
        ("two.py", "two.py:first or two.py:second"),
        ("two:third", "two has no 'third'; its apps: first, second"),
        ("two:number", "two:number is no Pyre app but int"),
        ("two:wrong", "two:wrong is no Pyre app but a function that made dict"),
        ("two:wants", "two:wants cannot be called without arguments"),
        ("none", "none has no Pyre app at its top level"),
        ("none.py", "none.py has no Pyre app at its top level"),
    ],
)
def test_what_is_not_there_is_said(write: Write, text: str, said: str) -> None:
    write("package/__init__.py", "")
    write("none.py", "")
    write(
        "two.py",
        """
        from pyreframework import Pyre
        first, second = Pyre(), Pyre()
        again = first
        number = 5
        wrong = lambda: {}
        wants = lambda name: Pyre()
        """,
    )
    with pytest.raises(TargetError) as raised:
        look(text)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "content", "printed"),
    [
        ("bad.py", "def broken(:\n", "SyntaxError"),
        ("bad", "def broken(:\n", "SyntaxError"),
        ("bad", "import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("bad.py", "1 / 0\n", "ZeroDivisionError"),
        ("bad:make", "def make():\n    return 1 / 0\n", "ZeroDivisionError"),
        ("bad:make", "def make():\n    raise TypeError('its own')\n", "TypeError: its own"),
    ],
)
def test_what_a_program_raises_is_printed(
    write: Write, text: str, content: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("bad.py", content)
    with pytest.raises(ProgramFailed):
        look(text)
    shown = capsys.readouterr().err
    assert printed in shown and "bad.py" in shown
    # It begins with the program, not with what loaded it.
    assert "importlib" not in shown and "launch.py" not in shown


def test_folders(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("parts/one.py", ONE + "    import beside\n")
    write("parts/beside.py", "")
    assert look("parts/one.py").listed
    assert sys.path[0] == str(tmp_path / "parts")
    for name in ("one", "beside"):
        sys.modules.pop(name, None)
    del sys.path[0]
    assert look("one", app_dir="parts").listed
    assert sys.path[0] == os.path.abspath("parts")


def test_arguments_of_the_program(write: Write) -> None:
    write("one.py", ONE + "    import sys\n    app.words = sys.argv\n")
    app = Launch(Target.parse("one.py"), serves=False).load(["--loud", "x"])
    assert app is not None
    assert app.words == ["one.py", "--loud", "x"]  # type: ignore[attr-defined]

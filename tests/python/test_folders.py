"""What is said when a folder is registered, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from serving import Write, run_to_end

from pyreframework import Pyre


def test_what_is_kept(tmp_path: Path) -> None:
    app = Pyre()
    app.static("/assets/", tmp_path, max_age=0)
    app.static("/", str(tmp_path))
    assert [prefix for prefix, _ in app.folders] == ["/assets", "/"]
    assert all(place.startswith(f"{tmp_path} ") for _, place in app.folders)


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "assets",
        "/a//b",
        "/a/../b",
        "/.",
        "/..",
        "/a b",
        "/{name}",
        "/%61",
        "/a?b",
        "/a\\b",
    ],
)
def test_a_prefix_is_plain(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="a prefix is plain"):
        Pyre().static(prefix, tmp_path)


def test_a_prefix_is_taken_once(tmp_path: Path) -> None:
    app = Pyre()
    app.static("/a", tmp_path)
    with pytest.raises(ValueError, match=r'another folder is served below "/a" already'):
        app.static("/a/", tmp_path)


def test_a_folder_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("none", "file"):
        with pytest.raises(ValueError, match="static /a: there is no folder"):
            Pyre().static("/a", tmp_path / place)


def test_a_relative_folder_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    monkeypatch.chdir(tmp_path)
    app = Pyre()
    app.static("/a", "assets")
    assert app.folders[0][1].startswith(os.path.join(tmp_path, "assets "))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"index": "a/b"}, ValueError, "index is the name of a file"),
        ({"index": "../b"}, ValueError, "index is the name of a file"),
        ({"index": ""}, ValueError, "index is the name of a file"),
        ({"index": 1}, TypeError, "index is the name of a file, not int"),
        ({"spa": "/index.html"}, ValueError, "spa is the name of a file"),
        ({"spa": ".hidden"}, ValueError, "spa is the name of a file"),
        ({"spa": "a\0b"}, ValueError, "spa is the name of a file"),
        ({"spa": "none.html"}, ValueError, "there is no file 'none.html' in it"),
        ({"spa": True}, TypeError, "spa is the name of a file, not bool"),
        ({"max_age": -1}, ValueError, "max_age is from 0"),
        ({"max_age": 2**40}, ValueError, "max_age is from 0"),
        ({"max_age": "60"}, TypeError, "max_age is a number of seconds, not str"),
        ({"max_age": True}, TypeError, "max_age is a number of seconds, not bool"),
        ({"html": 1}, TypeError, "html is True or False, not int"),
        ({"immutable": None}, TypeError, "immutable is True or False"),
        ({"follow_symlinks": "no"}, TypeError, "follow_symlinks is True or False"),
    ],
)
def test_options(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    app = Pyre()
    with pytest.raises(error, match=text):
        app.static("/a", tmp_path, **options)
    assert app.folders == []


def test_pyre_routes_shows_them(write: Write, tmp_path: Path) -> None:
    program = write(
        "shop.py",
        "from pyreframework import Pyre\n"
        "app = Pyre()\n"
        "app.get('/a', lambda: 'a')\n"
        "app.static('/assets', '.', max_age=60)\n",
    )
    ending = run_to_end(["-m", "pyreframework", "routes", str(program)], cwd=tmp_path)
    line = next(line for line in ending.output.splitlines() if "/assets" in line)
    assert line.split() == ["GET", "/assets/...", str(tmp_path), "files", "reactors"]


def test_workers_have_the_same_folders(write: Write, tmp_path: Path) -> None:
    program = write(
        "app.py",
        "from pyreframework import Pyre\n"
        "app = Pyre()\n"
        "if __name__ == '__main__':\n"
        "    app.static('/assets', '.')\n"
        "    app.run()\n",
    )
    ending = run_to_end([str(program)], cwd=tmp_path)
    assert ending.code == 3
    assert "/assets" in ending.output and "only in the main interpreter" in ending.output

"""The banner: what it says, and when it is coloured."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pyreframework import __version__
from pyreframework.serving import banner
from pyreframework.serving.settings.resolution import resolve

ROUTES = [("POST", "/a"), ("GET", "/users/{id}"), ("GET", "/b")]


def lines(urls: list[str], routes: list[tuple[str, str]], **options: Any) -> list[str]:
    return banner.lines(resolve(options, {}), urls, routes)


def test_workers() -> None:
    text = lines(["http://127.0.0.1:80"], ROUTES, workers=2, threads=3, io_workers=1)
    assert text == [
        f"Pyre {__version__} on http://127.0.0.1:80",
        "  2 workers with 3 threads each, 1 io thread, 3 routes",
        "  try: curl -i http://127.0.0.1:80/b",
    ]


def test_main() -> None:
    text = lines(["http://a:1", "http://[::1]:2"], [], mode="default", gil_threads=1, io_workers=2)
    assert text == [
        f"Pyre {__version__} on http://a:1, http://[::1]:2",
        "  main interpreter, 1 thread, 2 io threads, 0 routes",
    ]


@pytest.mark.parametrize(
    ("folders", "served", "path"),
    [(["/"], "1 folder", "/"), (["/assets", "/b"], "2 folders", "/assets/")],
)
def test_folders_alone(folders: list[str], served: str, path: str) -> None:
    text = banner.lines(resolve({"workers": 1}, {}), ["http://127.0.0.1:80"], [], folders)
    assert text[1].endswith(f", 0 routes, {served}")
    assert text[2] == f"  try: curl -i http://127.0.0.1:80{path}"


@pytest.mark.parametrize(
    ("url", "reachable"),
    [
        ("unix:/a.sock", "--unix-socket /a.sock http://localhost"),
        ("http://0.0.0.0:80", "http://127.0.0.1:80"),
        ("http://[::]:80", "http://[::1]:80"),
        ("http://10.0.0.0:80", "http://10.0.0.0:80"),
        ("http://localhost:80", "http://localhost:80"),
    ],
)
def test_wildcards_are_no_place_to_go(url: str, reachable: str) -> None:
    assert banner.reachable(url) == reachable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "coloured"),
    [(io.StringIO, "", False), (Terminal, "", True), (Terminal, "1", False)],
)
def test_colour(
    stream: type[io.StringIO], no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    out = stream()
    banner.show(["head", "rest"], out)
    assert out.getvalue() == ("\x1b[1mhead\x1b[0m\nrest\n" if coloured else "head\nrest\n")

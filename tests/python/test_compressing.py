"""What `enable_compression` takes."""

from __future__ import annotations

from typing import Any

import pytest

from pyreframework import Pyre


def compresses(**options: Any) -> list[str]:
    app = Pyre()
    app.enable_compression(**options)
    return app.compresses


def test_defaults() -> None:
    found = compresses()
    assert found[:3] == ["minimum 1024", "type text/*", "type application/json"]
    assert found[-3:] == ["coding zstd 3", "coding br 4", "coding gzip 6"]


def test_requests_are_decoded_if_that_is_said() -> None:
    app = Pyre()
    assert not app.decodes_requests
    app.enable_compression(decode_requests=True)
    assert app.decodes_requests
    assert app.compresses[-1] == "decode"
    app.enable_compression()
    assert not app.decodes_requests


def test_texts_and_lists_say_the_same() -> None:
    listed = compresses(types=["text/html", "text/CSS"], codings=("gzip", "br"))
    assert listed == compresses(types="text/html, text/css", codings="gzip,br")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (1, ["coding zstd 1", "coding br 1", "coding gzip 1"]),
        ({"br": 11, "zstd": 19}, ["coding zstd 19", "coding br 11", "coding gzip 6"]),
    ],
)
def test_levels(level: Any, expected: list[str]) -> None:
    assert compresses(level=level)[-3:] == expected


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"minimum": -1}, ValueError, "minimum is from 0"),
        ({"minimum": True}, TypeError, "number of bytes"),
        ({"minimum": "1k"}, TypeError, "number of bytes"),
        ({"types": "html"}, ValueError, "no media type"),
        ({"types": "text/html; charset=utf-8"}, ValueError, "without parameters"),
        ({"types": "*/*"}, ValueError, "more than one"),
        ({"types": []}, ValueError, "names nothing"),
        ({"types": 3}, TypeError, "str or a list"),
        ({"types": [3]}, TypeError, "int is in it"),
        ({"codings": "deflate"}, ValueError, "no coding: there are zstd, br, gzip"),
        ({"codings": "gzip, gzip"}, ValueError, "twice"),
        ({"codings": b"gzip"}, TypeError, "not bytes"),
        ({"level": 0}, ValueError, "level of zstd is from 1 to 19"),
        ({"level": 10}, ValueError, "level of gzip is from 1 to 9"),
        ({"level": {"lzw": 1}}, ValueError, "no coding"),
        ({"level": {"br": True}}, TypeError, "is an int"),
        ({"level": "fast"}, TypeError, "not str"),
        ({"decode_requests": 1}, TypeError, "decode_requests is True or False"),
    ],
)
def test_what_is_wrong_is_said(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        compresses(**options)

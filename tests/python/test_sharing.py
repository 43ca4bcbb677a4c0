"""What `enable_cors` takes."""

from __future__ import annotations

from typing import Any

import pytest

from pyreframework import Pyre


def shares(**options: Any) -> list[str]:
    app = Pyre()
    app.enable_cors(**options)
    return app.shares


def test_defaults() -> None:
    assert shares() == [
        "origin *",
        "methods GET, POST, PUT, DELETE, PATCH, OPTIONS",
        "max_age 86400",
    ]


def test_texts_and_lists_say_the_same() -> None:
    listed = shares(
        allow_origins=["https://a.example", "null"],
        allow_methods=("GET", "PUT"),
        allow_headers=["X-A", "X-B"],
        expose_headers={"X-C"},
    )
    written = shares(
        allow_origins="https://a.example,null",
        allow_methods="GET,PUT",
        allow_headers=" X-A, X-B ",
        expose_headers="X-C",
    )
    assert listed == written


def test_methods_are_spelled_as_browsers_do() -> None:
    assert "methods GET, PATCH" in shares(allow_methods=["get", "Patch"])
    assert not any(share.startswith("methods") for share in shares(allow_methods="*"))


def test_a_pattern_stands_for_all_origins() -> None:
    assert not any(share.startswith("origin") for share in shares(allow_origin_regex="https://.*"))
    both = shares(allow_origin_regex="https://.*", allow_origins="http://a.example")
    assert "origin http://a.example" in both


def test_the_last_call_counts() -> None:
    app = Pyre()
    app.enable_cors("https://a.example")
    app.enable_cors("https://b.example", allow_credentials=True)
    assert "origin https://a.example" not in app.shares
    assert not app.shares_with_all
    app.enable_cors(allow_credentials=True)
    assert app.shares_with_all


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow_origins": ["https://a.example/"]}, "is no origin"),
        ({"allow_origins": ["https://a.example:443"]}, "it is 'https://a.example'"),
        ({"allow_origins": ["*", "https://a.example"]}, "or names them, not both"),
        ({"allow_origins": ["https://a\r\nx: y"]}, "is no origin"),
        ({"allow_origins": ["https://A.example"]}, "it is 'https://a.example'"),
        ({"allow_origins": ["https://*.example"]}, "allow_origin_regex has a pattern"),
        ({"allow_origins": []}, "names nobody"),
        ({"allow_origins": ""}, "names nobody"),
        ({"allow_origin_regex": ""}, "is empty"),
        ({"allow_headers": ["*", "X-A"]}, "allow_headers is '\\*' for all, or names them"),
        ({"allow_methods": ["*", "GET"]}, "allow_methods is '\\*' for all, or names them"),
        ({"expose_headers": "*", "allow_credentials": True}, "names each, not '\\*'"),
        ({"allow_methods": ["GET POST"]}, "allow_methods: 'GET POST' is no name"),
        ({"allow_headers": ["X-A\r\nX-B"]}, "allow_headers: 'X-A"),
        ({"expose_headers": ["é"]}, "expose_headers: 'é' is no name"),
        ({"max_age": -1}, "max_age is from 0"),
        ({"max_age": 2**31}, "max_age is from 0"),
        ({"allow_origin_regex": "("}, r"'\(' is no pattern"),
        ({"allow_origin_regex": "(?=a)"}, "is no pattern"),
    ],
)
def test_wrong_values(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"enable_cors: .*{said}"):
        shares(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow_origins": None}, "allow_origins is a str or a list of them, not NoneType"),
        ({"allow_origins": b"*"}, "allow_origins is a str or a list of them, not bytes"),
        ({"allow_origins": [1]}, "int is in it"),
        ({"max_age": 1.5}, "max_age is a number of seconds, not 1.5"),
        ({"max_age": True}, "max_age is a number of seconds, not True"),
        ({"allow_credentials": "yes"}, "allow_credentials is True or False, not str"),
        ({"allow_origin_regex": ["a"]}, "allow_origin_regex is a str, not list"),
    ],
)
def test_wrong_types(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        shares(**options)

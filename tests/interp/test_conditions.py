"""`req.is_fresh`: the same wherever a handler runs, by sockets and by a test client."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from serving import APPS, Server, serve

from pyreframework.testing import TestClient

PLACES = ("workers", "main", "async", "main-async", "waiting", "pieces")
AT = "Tue, 14 Nov 2023 22:13:20 GMT"
BEFORE = "Tue, 14 Nov 2023 22:13:19 GMT"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("conditions", workers=2) as server:
        yield server


@pytest.mark.parametrize("place", PLACES)
def test_the_answer(server: Server, place: str) -> None:
    with server.connect() as peer:
        whole = peer.get(f"/{place}")
        assert (whole.status, whole.body, whole.header("etag")) == (200, b"the page", '"v1"')
        for tag in ('"v1"', 'W/"v1"', '"v0", W/"v1"', "*"):
            known = peer.get(f"/{place}", [("If-None-Match", tag)])
            assert (known.status, known.body) == (304, b""), tag
            assert known.header("etag") == '"v1"'
            assert known.header("last-modified") == AT
            assert known.header("cache-control") == "no-cache"
            assert known.header("content-type") is None
        # Section 13.2.2: If-Modified-Since is not heard beside If-None-Match.
        both = [("If-None-Match", '"v0"'), ("If-Modified-Since", AT)]
        assert peer.get(f"/{place}", both).status == 200
        assert peer.request("HEAD", f"/{place}", [("If-None-Match", '"v1"')]).status == 304
        assert peer.request("HEAD", f"/{place}", [("If-None-Match", '"v2"')]).status == 200


@pytest.mark.parametrize("place", ["workers", "main", "async", "main-async"])
def test_dates_and_other_methods(server: Server, place: str) -> None:
    with server.connect() as peer:
        assert peer.get(f"/{place}", [("If-Modified-Since", AT)]).status == 304
        assert peer.get(f"/{place}", [("If-Modified-Since", BEFORE)]).status == 200
        assert peer.get(f"/{place}", [("If-Modified-Since", "yesterday")]).status == 200
        for condition in [("If-None-Match", '"v1"'), ("If-Modified-Since", AT)]:
            assert peer.request("POST", f"/{place}", [condition], b"").status == 200


@pytest.mark.parametrize(
    ("given", "headers", "said"),
    [
        ("{}", {"If-None-Match": '"a"'}, "False"),
        ("{}", {"If-None-Match": "*"}, "True"),
        ("{}", {"If-Modified-Since": AT}, "False"),
        ("dict(etag='a')", {}, "False"),
        ("dict(etag='a')", {"If-None-Match": '"a"'}, "True"),
        ("dict(etag='a')", {"If-None-Match": 'W/"a"'}, "True"),
        ("dict(etag='W/\"a\"')", {"If-None-Match": '"a"'}, "True"),
        ("dict(etag='a')", {"If-Modified-Since": AT}, "False"),
        ("dict(etag=None, last_modified=None)", {"If-None-Match": '"a"'}, "False"),
        ("dict(last_modified=1700000000)", {"If-Modified-Since": AT}, "True"),
        ("dict(last_modified=1700000000.9)", {"If-Modified-Since": AT}, "True"),
        ("dict(last_modified=1700000001)", {"If-Modified-Since": AT}, "False"),
        ("dict(last_modified=-5)", {"If-Modified-Since": AT}, "True"),
        # As `set_cookie` reads it: without a zone it is UTC.
        (
            "dict(last_modified=datetime(2023, 11, 14, 22, 13, 20))",
            {"If-Modified-Since": AT},
            "True",
        ),
        (
            "dict(last_modified=datetime(2023, 11, 14, 22, 13, 21))",
            {"If-Modified-Since": AT},
            "False",
        ),
        ("dict(etag='')", {}, "ValueError: etag cannot be ''"),
        ("dict(etag='W/a')", {}, "ValueError: etag cannot be 'W/a'"),
        ("dict(etag='a b')", {}, "ValueError: an etag has visible ASCII"),
        ("dict(etag='a\"b')", {}, "ValueError: an etag has visible ASCII"),
        ("dict(etag='\"a')", {}, "ValueError: an etag has visible ASCII"),
        ("dict(etag='a\\r\\nb')", {}, "ValueError: an etag has visible ASCII"),
        ("dict(etag='\\u00e9')", {}, "ValueError: an etag has visible ASCII"),
        ("dict(etag='\\ud800')", {}, "UnicodeEncodeError: "),
        ("dict(etag=b'a')", {}, "TypeError: etag is a str, not bytes"),
        ("dict(etag=5)", {}, "TypeError: etag is a str, not int"),
        ("dict(last_modified='now')", {}, "TypeError: last_modified is a datetime or seconds"),
        ("dict(last_modified=True)", {}, "TypeError: last_modified is a datetime or seconds"),
        ("dict(last_modified=nan)", {}, "ValueError: last_modified cannot be nan"),
        ("dict(modified=1)", {}, "TypeError: "),
    ],
)
def test_what_is_given(server: Server, given: str, headers: dict[str, str], said: str) -> None:
    reply = server.get(f"/says?of={quote(given)}", list(headers.items()))
    assert reply.status == 200 and reply.body.decode().startswith(said), reply.body


@pytest.mark.parametrize("mode", ["default", "subinterp"])
def test_the_test_client(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("conditions", APPS / "conditions.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    # Workers look for the module that the app lives in.
    monkeypatch.setitem(sys.modules, "conditions", program)
    spec.loader.exec_module(program)
    with TestClient(program.app, mode=mode) as client:
        for place in PLACES:
            assert client.get(f"/{place}").text == "the page"
            known = client.get(f"/{place}", headers={"If-None-Match": '"v1"'})
            assert (known.status_code, known.content) == (304, b"")

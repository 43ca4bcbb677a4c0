"""Hooks that ask for the body of a request whose handler takes it as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dialogue import request
from places import PLACES
from serving import Server, serve

KINDS = pytest.mark.parametrize("kind", ["def", "async"])
CHECKED = [("Transfer-Encoding", "chunked"), ("X-Check", "1")]
TEXT = '{"who": "me"}'


@pytest.fixture(scope="module", params=PLACES.values(), ids=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("upload_hooks", workers=1, **request.param) as server:
        yield server


def post_slowly(server: Server, target: str, fields: list[tuple[str, str]]) -> tuple[Any, int]:
    """An upload whose body comes when its hooks wait for it already."""
    with server.connect() as peer:
        peer.send(request("POST", target, fields) + b"6\r\n" + TEXT[:6].encode())
        peer.send(b"\r\n7\r\n" + TEXT[6:].encode() + b"\r\n0\r\n\r\n")
        reply = peer.reply()
        assert reply.header("x-who") == ("me" if fields is CHECKED else None)
        return reply.json(), reply.status


@KINDS
@pytest.mark.parametrize("way", ["read", "stream"])
def test_hooks_that_ask_for_the_whole_body(server: Server, kind: str, way: str) -> None:
    """Handlers read from the beginning what hooks have read, and see what these have set."""
    for _ in range(2):
        assert post_slowly(server, f"/{kind}/{way}", CHECKED) == (["me", TEXT], 200)
    assert server.get("/bodies").json()[-1] == f"me {TEXT}"


@KINDS
def test_an_exception_handler_that_asks_for_it(server: Server, kind: str) -> None:
    assert post_slowly(server, f"/{kind}/odd", CHECKED) == ({"odd": "me", "who": "me"}, 418)
    found, status = post_slowly(server, f"/{kind}/odd", CHECKED[:1])
    assert (found["odd"], status) == ("me", 418)
    # What a lane has set it keeps; each coroutine begins anew.
    assert kind == "def" or found["who"] == "nobody"


@KINDS
def test_what_a_hook_finds_malformed_is_the_clients_fault(server: Server, kind: str) -> None:
    reply = server.request("POST", f"/{kind}/read", CHECKED, b"1\r\n{\r\n0\r\n\r\n")
    assert reply.status == 400
    assert "Traceback" not in server.output.text()


@KINDS
def test_a_hook_that_is_a_coroutine_function(kind: str) -> None:
    with serve("upload_hooks", workers=1, env={"TEST_ASYNC": "1"}) as server:
        for way in ["read", "stream"]:
            assert post_slowly(server, f"/{kind}/{way}", CHECKED) == (["me", TEXT], 200)

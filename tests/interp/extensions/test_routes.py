"""C extensions that workers refuse: routes that use them move, everything else stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from places import MAIN, WORKER
from serving import Server, banner, serve

MOVED = {
    "GET /numpy": "numpy",
    "POST /helper/{factor:float}": "numpy",
    "GET /pandas": "pandas",
    "GET /values": "numpy and pandas",
    "POST /items": "pydantic",
    "POST /orders": "pydantic",
    "GET /orjson": "orjson",
    "GET /inside": "numpy",
}


@pytest.fixture(scope="module", params=[WORKER, MAIN], ids=["workers", "main"])
def home(request: pytest.FixtureRequest) -> str:
    """Where plain handlers run."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(home: str) -> Iterator[Server]:
    with serve("extensions", mode="default" if home == MAIN else None) as server:
        yield server
        assert server.get("/plain").status == 200


def test_plain_routes_stay(server: Server, home: str) -> None:
    assert server.get("/plain").json() == {"where": home}
    assert server.get("/plain/21").json() == [42, home]
    # An annotation that nobody evaluates moves nothing.
    assert server.get("/series").json() == [home, None]


def test_routes_that_use_them_move(server: Server) -> None:
    assert server.get("/numpy").json() == {"where": MAIN, "sum": 9.0}
    assert server.post("/helper/2.5", b"[2, 4]").json() == [5.0, 10.0]
    rows = [{"fruit": "apple", "count": 3}, {"fruit": "pear", "count": 4}]
    assert server.get("/pandas").json() == {"where": MAIN, "rows": rows}
    assert server.get("/orjson").json() == {"where": MAIN}
    assert server.get("/inside").json() == [MAIN, 5.0]


def test_plain_values_out_of_them_move_too(server: Server) -> None:
    assert server.get("/values").json() == [MAIN, 7, 2, 6.0]


def test_models(server: Server) -> None:
    item = server.post("/items", b'{"name": " plum ", "price": 2}')
    assert item.json() == {"name": "plum", "price": 2.0, "tags": []}
    order = server.post("/orders", b'[{"name": "plum", "price": 2, "tags": ["new"]}]').json()
    assert order[0] == MAIN
    assert order[1]["items"] == [{"name": "plum", "price": 2.0, "tags": ["new"]}]
    refused = server.post("/items", b'{"price": -1}')
    assert (refused.status, refused.json()) == (422, {"problems": 2})


def test_libraries_that_do_without_stay(server: Server, home: str) -> None:
    assert server.get("/msgpack").json() == [home, {"a": [1, 2]}]
    assert server.get("/sqlalchemy").json() == [home, 42]


def test_a_program_that_does_without_stays(server: Server, home: str) -> None:
    assert server.get("/fallback").json() == [home, home == WORKER]


def test_gil_is_taken_at_its_word(server: Server) -> None:
    assert server.get("/gil").json() == [MAIN, [0, 1, 2]]


def test_a_pipeline_of_both_kinds_is_answered_in_order(server: Server, home: str) -> None:
    with server.connect() as peer:
        for target in ("/plain", "/numpy", "/plain", "/pandas", "/plain"):
            peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        places = [peer.reply().json()["where"] for _ in range(5)]
    assert places == [home, MAIN, home, MAIN, home]


def test_what_was_not_seen_raises(server: Server, home: str) -> None:
    for target in ("/hidden", "/hidden-import", "/hidden-result"):
        reply = server.get(target)
        if home == MAIN:
            assert reply.json() == ([0, 1, 2] if target != "/hidden-result" else [1])
        else:
            assert (reply.status, reply.json()) == (500, {"error": "internal server error"})
    if home == WORKER:
        server.output.wait_for(
            "WorkerImportError: GET /hidden uses numpy.arange on a worker, and numpy does not load "
            "in workers: register the route with gil=True"
        )
        server.output.wait_for(
            "WorkerImportError: GET /hidden-result uses Order on a worker, and pydantic does not "
        )
        server.output.wait_for(
            "GET /hidden-import runs on a worker: register the route with gil=True"
        )


def test_the_banner_says_which_and_why(server: Server, home: str) -> None:
    said = [line for line in banner(server) if " runs on the main interpreter: " in line]
    expected = []
    if home == WORKER:
        for route, modules in MOVED.items():
            do = "do" if " and " in modules else "does"
            expected.append(
                f"{route} runs on the main interpreter: it uses {modules}, which {do} not load in "
                "workers"
            )
    assert said == expected


def test_the_banner_says_what_is_done_without(server: Server, home: str) -> None:
    said = [line for line in banner(server) if "goes on without it" in line]
    line = "msgspec does not load in workers, where extensions.py:19 goes on without it"
    assert said == ([line] if home == WORKER else [])

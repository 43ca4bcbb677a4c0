"""After hooks run once, whatever way a request ends, and see what it came to."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest
from dialogue import request
from places import PLACES
from serving import Server, serve

CASES = [(place, hooks) for place in PLACES for hooks in ("def", "async")]
IDS = ["-".join(case) for case in CASES]


def options_of(place: str, hooks: str) -> dict[str, object]:
    env = dict(PLACES[place].get("env", {}))  # type: ignore[call-overload]
    return {"workers": 1} | PLACES[place] | {"env": env | {"TEST_HOOKS": hooks}}


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("endings", **options_of(*request.param)) as server:
        yield server
        assert server.get("/").text == "hello"


def expect_given_back(server: Server, name: str, status: int) -> None:
    """The permit comes back, and it does once."""
    found = server.output.wait_for(f"^{name}: given back on ")
    assert found.string == f"{name}: given back on {status}"
    assert server.output.text().count(f"{name}: taken") == 1
    assert len(re.findall(f"^{name}: given back", server.output.text(), re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ok", 201),
        ("/raise", 500),
        ("/http", 410),
        ("/before", 200),
        ("/after", 500),
        ("/after-result", 500),
        ("/no-status", 500),
        ("/no-result", 200),
        ("/busy/timed", 504),
        ("/handled/busy", 419),
        ("/async/ok", 201),
        ("/async/raise", 500),
        ("/wait/timed", 504),
        ("/handled/wait/timed", 419),
    ],
)
def test_a_permit_is_given_back(server: Server, path: str, status: int) -> None:
    name = "name" + path.replace("/", "-")
    reply = server.get(f"{path}?{name}")
    # What cannot be sent shows behind the hooks only.
    assert reply.status == (500 if path == "/no-result" else status)
    expect_given_back(server, name, status)


@pytest.mark.parametrize("path", ["/wait", "/clean"])
def test_a_permit_is_given_back_when_the_client_leaves(server: Server, path: str) -> None:
    name = f"leaves-{path[1:]}"
    peer = server.connect()
    peer.send(request("GET", f"{path}?{name}") + request("GET", f"/?behind-{name}"))
    server.output.wait_for(f"{name}: waits")
    peer.abort()
    expect_given_back(server, name, 499)
    assert f"behind-{name}" not in server.output.text()
    assert "Traceback" not in server.output.text().partition(f"{name}: taken")[2]


def test_exception_handlers_run_when_the_client_leaves(server: Server) -> None:
    peer = server.connect()
    peer.send(request("GET", "/handled/wait?handled"))
    server.output.wait_for("^handled: waits")
    peer.abort()
    server.output.wait_for("^handled: the cancellation was handled")
    expect_given_back(server, "handled", 418)


@pytest.mark.parametrize("path", ["/wait", "/clean", "/busy"])
@pytest.mark.parametrize(("place", "hooks"), CASES, ids=IDS)
def test_a_permit_is_given_back_when_the_server_gives_up(place: str, hooks: str, path: str) -> None:
    options = options_of(place, hooks) | {"shutdown_timeout": 0.2}
    with serve("endings", **options) as server, server.connect() as peer:
        peer.send(request("GET", f"{path}?last"))
        server.output.wait_for("^last: (waits|busy)")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        expect_given_back(server, "last", 504 if path == "/busy" else 503)

"""Health probes: answered however stuck the handlers are, and what makes a server unready."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogue import request
from gate import Gate
from places import in_both_modes
from serving import Server, serve, wait_until


@in_both_modes
def mode(request: pytest.FixtureRequest) -> Iterator[str | None]:
    return request.param  # type: ignore[no-any-return]


def test_with_every_lane_stuck(mode: str | None) -> None:
    options = {"workers": 1, "threads": 2, "gil_threads": 2}
    with serve("insight", mode=mode, **options) as server, Gate() as gate:
        peers = [server.connect() for _ in range(2)]
        for number, peer in enumerate(peers):
            gate.hold(peer, str(number))
        assert server.get("/livez").json() == {"status": "alive"}
        assert server.get("/readyz").json() == {"status": "ready"}
        assert server.request("HEAD", "/readyz").status == 200
        gate.release_all()
        for peer in peers:
            assert peer.reply().status == 200
            peer.socket.close()


def test_probes_are_exact(mode: str | None) -> None:
    """A parameter does not take a probe, and a probe no other path."""
    with serve("insight", mode=mode) as server:
        assert server.get("/livez?verbose=1").json() == {"status": "alive"}
        assert server.get("/livez/").status == 404
        assert server.get("/LIVEZ").text == "caught LIVEZ"
        refused = server.post("/livez", b"")
        assert (refused.status, refused.header("allow")) == (405, "GET, HEAD, OPTIONS")


def test_a_server_that_drains_is_not_ready(mode: str | None) -> None:
    with serve("insight", mode=mode) as server, Gate() as gate:
        busy, probe = server.connect(), server.connect()
        gate.hold(busy, "a")
        # A head that has begun is still answered once the drain has begun.
        head = request("GET", "/readyz")
        probe.send(head[:-2])
        wait_until(lambda: server.get("/readyz").status == 200, "the half head has arrived")
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "the drain has begun")
        probe.send(head[-2:])
        reply = probe.reply()
        assert (reply.status, reply.json()) == (503, {"status": "draining"})
        assert reply.closes
        gate.release("a")
        assert busy.reply().text == "released"
        assert server.wait() == 0


@pytest.fixture(params=["def", "async"])
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server whose readiness check reads a file, and the file."""
    file = tmp_path / "ready"
    env = {"READY_FILE": str(file)}
    if request.param == "async":
        env["READY_ASYNC"] = "1"
    with serve("insight", env=env) as server:
        yield server, file


def say(file: Path, word: str) -> None:
    """Change the file in one step."""
    part = file.with_suffix(".part")
    part.write_text(word)
    part.rename(file)


def ready(server: Server) -> int:
    return server.get("/readyz").status


def test_a_check_has_the_last_word(check: tuple[Server, Path]) -> None:
    server, file = check
    assert ready(server) == 503
    # There is no file yet: the check raises.
    server.output.wait_for("not ready: the readiness check raised FileNotFoundError")
    say(file, "yes")
    wait_until(lambda: ready(server) == 200, "ready")
    say(file, "no")
    wait_until(lambda: ready(server) == 503, "not ready")
    server.output.wait_for("not ready: the readiness check says no")
    assert server.get("/readyz").json() == {"status": "not ready"}
    assert server.get("/livez").status == 200


def test_a_check_that_hangs_makes_the_server_unready(check: tuple[Server, Path]) -> None:
    server, file = check
    say(file, "yes")
    wait_until(lambda: ready(server) == 200, "ready")
    with Gate() as gate:
        say(file, f"ask {gate.port}")
        assert gate.entered() == "check"
        wait_until(lambda: ready(server) == 503, "what the last check found is too old")
        gate.release("check", "yes")
        wait_until(lambda: ready(server) == 200, "ready")
        assert gate.entered() == "check"
        # The check still hangs when the server is stopped, which does not wait for it.
        assert server.stop() == 0

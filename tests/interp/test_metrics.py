"""The page of metrics: what is counted, by whom, and that it is read without Python."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogue import Reply, request
from gate import Gate
from places import MODES, in_both_modes
from prometheus_client.parser import text_string_to_metric_families
from serving import Server, run_to_end, serve, wait_until

type Labels = dict[str, str]
type Samples = list[tuple[str, Labels, float]]


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("insight", mode=request.param, workers=2, threads=2, gil_threads=4) as server:
        yield server


def samples(reply: Reply) -> Samples:
    """Every sample of the page, as a parser that is not ours reads it."""
    assert reply.status == 200
    assert reply.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(reply.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "each family stands once"
    assert all(family.documentation and family.type != "unknown" for family in families)
    return [(one.name, one.labels, one.value) for family in families for one in family.samples]


def value(server: Server, name: str, **labels: str) -> float:
    """The sample with these labels; 0 if there is none yet."""
    found = [
        number
        for sample, its, number in samples(server.get("/metrics"))
        if sample == name and all(its.get(label) == text for label, text in labels.items())
    ]
    return sum(found)


def requests_total(server: Server, method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return value(server, "pyre_requests_total", **labels)


@pytest.mark.parametrize(
    ("method", "target", "route", "status"),
    [
        ("GET", "/", "/", 200),
        ("HEAD", "/", "/", 200),
        ("GET", "/users/7", "/users/{id:int}", 200),
        ("GET", "/users/8", "/users/{id:int}", 200),
        ("POST", "/users", "/users", 201),
        ("GET", "/status/299", "/status/{code:int}", 299),
        ("GET", "/status/207", "/status/{code:int}", 207),
        ("GET", "/gone", "/gone", 410),
        ("GET", "/broken", "/broken", 500),
        ("GET", "/main", "/main", 200),
        ("GET", "/some", "/{anything}", 200),
        ("GET", "/no/such", "", 404),
        ("DELETE", "/users", "", 405),
        ("BREW", "/no/such", "", 404),
        ("OPTIONS", "/users", "", 204),
        ("GET", "/livez", "/livez", 200),
        ("POST", "/metrics", "/metrics", 405),
    ],
)
def test_counts(server: Server, method: str, target: str, route: str, status: int) -> None:
    counted = "other" if method == "BREW" else method
    before = requests_total(server, counted, route, status)
    assert server.request(method, target).status == status
    assert requests_total(server, counted, route, status) == before + 1


def test_what_cannot_be_read_is_counted(server: Server) -> None:
    before = requests_total(server, "other", "", 400)
    with server.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert peer.reply().status == 400
    assert requests_total(server, "other", "", 400) == before + 1


def test_every_answer_of_a_pipeline_is_counted_once(server: Server) -> None:
    before = [requests_total(server, "GET", route, status) for route, status in PIPELINED]
    with server.connect() as peer:
        peer.send(b"".join(request("GET", target) for target in TARGETS * 3))
        statuses = [peer.reply().status for _ in TARGETS * 3]
    assert statuses == [200, 404, 200, 200, 200] * 3
    after = [requests_total(server, "GET", route, status) for route, status in PIPELINED]
    assert [now - then for now, then in zip(after, before, strict=True)] == [6, 3, 3, 3]


TARGETS = ["/", "/no/such", "/main", "/livez", "/"]
PIPELINED = [("/", 200), ("", 404), ("/main", 200), ("/livez", 200)]


def test_durations(server: Server) -> None:
    """The buckets of a histogram add up, and a held request is in a high one."""
    name = "pyre_request_duration_seconds"
    route = {"method": "GET", "route": "/wait/{port:int}/{name}"}
    with Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        assert gate.is_empty(0.06)
        gate.release("a")
        assert peer.reply().text == "released"
    found = samples(server.get("/metrics"))
    buckets = [
        (float(labels["le"]), number)
        for sample, labels, number in found
        if sample == f"{name}_bucket" and route.items() <= labels.items()
    ]
    bounds = [bound for bound, _ in buckets]
    counts = [number for _, number in buckets]
    assert bounds == sorted(bounds)
    assert bounds[-1] == math.inf
    assert counts == sorted(counts)
    assert dict(buckets)[0.05] < counts[-1]
    assert counts[-1] == value(server, f"{name}_count", **route)
    assert value(server, f"{name}_sum", **route) >= 0.05


def test_gauges(server: Server) -> None:
    """Held handlers are seen while they are held, and gone afterwards."""
    with Gate() as gate:
        peers = []
        for number in range(3):
            peers.append(server.connect())
            gate.hold(peers[-1], str(number))
        assert value(server, "pyre_jobs_in_flight") == 3
        assert value(server, "pyre_lanes_busy") >= 3
        assert value(server, "pyre_connections_open") >= 3
        assert value(server, "pyre_queue_depth") == 0
        # All lanes of workers, or of main, are held; one more has to wait.
        peers.append(server.connect())
        gate.hold(peers[-1], "3")
        peers.append(server.connect())
        peers[-1].send(request("GET", "/"))
        wait_until(lambda: value(server, "pyre_queue_depth") == 1, "one batch waits")
        assert value(server, "pyre_jobs_in_flight") == 5
        gate.release_all()
        for peer in peers:
            assert peer.reply().status == 200
            peer.socket.close()
    wait_until(lambda: value(server, "pyre_jobs_in_flight") == 0, "nothing is in flight")
    wait_until(lambda: value(server, "pyre_lanes_busy") == 0, "every lane rests")
    assert value(server, "pyre_queue_depth") == 0


def test_about_the_process(server: Server) -> None:
    assert value(server, "pyre_build_info", version="3.0.0") == 1
    resident = value(server, "process_resident_memory_bytes")
    assert resident == pytest.approx(server.resident_bytes(), rel=0.2)
    assert value(server, "pyre_lanes") >= 4
    assert value(server, "pyre_connections_total") > 0


@MODES
def test_the_label_of_an_interpreter(mode: str | None, tmp_path: Path) -> None:
    """A number or `main`, once each; where there is a loop lane, it is counted with the others."""
    file = tmp_path / "loops.py"
    file.write_text(
        "from pyreframework import Pyre\napp = Pyre()\n"
        "@app.get('/')\nasync def hello(req):\n    return 'hi'\n"
        "app.get('/def')(lambda req: 'hi')\napp.get('/main', gil=True)(lambda req: 'hi')\n"
        "app.run(metrics=True, threads=2, gil_threads=3)\n"
    )
    with serve(file, mode=mode, workers=2) as server:
        text = server.get("/metrics").text
    for name in ("pyre_lanes", "pyre_lanes_busy"):
        found = re.findall(rf'^{name}{{worker="([^"]*)"}} (\d+)$', text, re.MULTILINE)
        assert [label for label, _ in found] == (["main"] if mode else ["0", "1", "main"])
        if name == "pyre_lanes":
            # With the one of the loop; the one that is kept for short handlers is not counted.
            assert [int(count) for _, count in found] == ([4] if mode else [3, 3, 4])


def test_head_and_options(server: Server) -> None:
    head = server.request("HEAD", "/metrics")
    assert (head.status, head.body) == (200, b"")
    options = server.request("OPTIONS", "/metrics")
    assert (options.status, options.header("allow")) == (204, "GET, HEAD, OPTIONS")
    assert server.get("/metrics").header("cache-control") == "no-store"


def test_overload_is_counted() -> None:
    options = {"workers": 1, "threads": 1, "io_workers": 1, "queue_depth": 2}
    with serve("insight", **options) as server, Gate() as gate:
        peers = [server.connect() for _ in range(40)]
        gate.hold(peers[0], "a")
        for peer in peers[1:]:
            peer.send(request("GET", "/"))
        wait_until(lambda: value(server, "pyre_overloaded_total") > 0, "some are refused")
        gate.release("a")
        statuses = [peer.reply().status for peer in peers]
        assert set(statuses) == {200, 503}
        refused = value(server, "pyre_overloaded_total")
        assert refused == statuses.count(503)
        assert requests_total(server, "GET", "/", 503) == refused


@MODES
def test_a_handler_that_takes_too_long_is_counted_once(mode: str | None) -> None:
    """Also when it answers later; and the log knows what was asked for."""
    options = {"mode": mode, "request_timeout": 1, "access_log": True, "log_format": "json"}
    with serve("insight", workers=1, **options) as server, Gate() as gate:
        with server.connect() as peer:
            path = f"/wait/{gate.port}/a"
            peer.send(request("GET", path))
            assert gate.entered() == "a"
            # It waits in a system call, where no exception reaches it.
            assert peer.reply().status == 504
        route = "/wait/{port:int}/{name}"
        assert requests_total(server, "GET", route, 504) == 1
        assert value(server, "pyre_timeouts_total") == 1
        gate.release("a")
        wait_until(lambda: value(server, "pyre_jobs_in_flight") == 0, "the late answer is back")
        assert value(server, "pyre_requests_total", route=route) == 1
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.output.text().splitlines() if line[0] == "{"]
    (record,) = [line for line in lines if line.get("route") == route]
    assert (record["status"], record["path"]) == (504, path)
    assert record["duration_ms"] >= 1000


def test_another_path() -> None:
    with serve("insight", env={"METRICS_PATH": "/internal/metrics"}) as server:
        assert server.get("/internal/metrics").text.startswith("# HELP pyre_build_info")
        assert server.get("/metrics").text == "caught metrics"


def test_the_variable_switches_them_on_and_off(tmp_path: Path) -> None:
    with serve("plain", metrics=True) as server:
        server.get("/")
        assert requests_total(server, "GET", "/", 200) == 1
    with serve("plain") as server:
        assert server.get("/metrics").status == 404
    file = tmp_path / "off.py"
    file.write_text(
        "from pyreframework import Pyre\napp = Pyre()\napp.enable_metrics()\n"
        "app.run(metrics=False)\n"
    )
    with serve(file) as server:
        assert server.get("/metrics").status == 404


def test_a_route_at_the_path_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "taken.py"
    file.write_text(
        "from pyreframework import Pyre\napp = Pyre()\n"
        "app.post('/metrics', lambda req: 'mine')\napp.run()\n"
    )
    ending = run_to_end(file, metrics=True)
    assert ending.code == 2
    assert "the metrics page at /metrics conflicts with the route POST /metrics" in ending.output


def test_connections_that_cannot_be_accepted(tmp_path: Path) -> None:
    """They wait, and the log says why, once for however many and however long."""
    file = tmp_path / "plain.py"
    file.write_text(
        "from pyreframework import Pyre\napp = Pyre()\n"
        "@app.get('/')\ndef hello(req):\n    return 'hi'\napp.run(metrics=True)\n"
    )
    with serve(file, workers=1, io_workers=2) as server, server.connect() as kept:
        assert kept.get("/").status == 200

        def failures() -> float:
            page = kept.get("/metrics").text
            found = re.search(r"^pyre_accept_failures_total (\d+)", page, re.MULTILINE)
            assert found is not None
            return float(found[1])

        assert failures() == 0
        server.limit_descriptors(3)
        with server.connect() as waiting:
            waiting.send(request("GET", "/"))
            server.output.wait_for(r"pyre: cannot accept connections: .*: raise ulimit -n")
            wait_until(lambda: failures() >= 3, "it is tried again")
            server.limit_descriptors(1024)
            assert waiting.reply().status == 200
        assert server.output.text().count("cannot accept connections") == 1

"""The measuring programs measure what they say; no engine is needed."""

from __future__ import annotations

import argparse
import os
import runpy
import socket
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from perf import bench
from perf.harness import answers, counters, processes
from perf.harness.chart import Bar, Panel, svg
from perf.harness.contenders import Unavailable, build
from perf.harness.exchange import Answer, BadAnswer, Client
from perf.harness.flame import svg as flame
from perf.harness.load import Load, Outcome
from perf.harness.places import ROOT
from perf.harness.report import Comparison, Scenario
from perf.harness.rounds import Measure
from perf.harness.series import Series, table
from perf.harness.spread import count, figure, percentile, spread
from perf.harness.stacks import fold, self_time
from perf.icount.dump import Counts, read
from perf.icount.scenario import scenarios
from perf.load import arrivals, numbered
from perf.tests.peers import Peer


class Same(Peer):
    """A server that gives the same bytes to every request, over and over."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = b""
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                self.asked += data
                connection.sendall(self.answer * data.count(b"\r\n\r\n"))


def answer(body: bytes, kind: str = "text/plain", status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.fixture
def peer() -> Iterator[Same]:
    found = Same(answer(b"Hello, World!"))
    yield found
    found.listener.close()


def test_spread_has_the_middle_half() -> None:
    found = spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert found is not None
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert spread([]) is None


def test_percentile_is_a_value_that_was_seen() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 99) == 99.0
    assert percentile(values, 50) == 50.0
    assert percentile([7.0], 99) == 7.0


@pytest.mark.parametrize(
    ("value", "text"), [(0.5555, "0.555"), (1.0, "1.00"), (12.34, "12.3"), (123.4, "123"), (0, "0")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(("value", "text"), [(950, "950"), (81_234, "81k"), (1_301_000, "1.30M")])
def test_counts_are_short(value: float, text: str) -> None:
    assert count(value) == text


def test_the_echoed_body_has_two_hundred_bytes() -> None:
    assert len(answers.ECHO_BODY) == 200


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/", Answer(200, {"content-type": "text/plain"}, b"Hello, World")),
        ("/", Answer(200, {"content-type": "application/json"}, b"Hello, World!")),
        ("/", Answer(503, {"content-type": "text/plain"}, b"Hello, World!")),
        ("/json", Answer(200, {"content-type": "text/plain"}, b"{")),
        ("/user/42", Answer(200, {"content-type": "text/plain"}, b'{"id": 42}')),
    ],
)
def test_a_wrong_answer_is_refused(path: str, given: Answer) -> None:
    with pytest.raises(answers.WrongAnswer):
        answers.compare(path, "text/plain", given)


def test_a_right_answer_may_be_written_in_any_way() -> None:
    body = b'{ "message" : "Hello, World!" }'
    given = Answer(200, {"content-type": "Application/JSON; charset=utf-8"}, body)
    answers.compare("/json", "application/json", given)


def test_a_server_that_copies_bytes_does_not_parse_json(peer: Same) -> None:
    peer.answer = answer(answers.ECHO_BODY, "application/json")
    echo = [answers.ROUTES["/echo"]]
    answers.check(peer.port, echo, parses_json=False)
    with pytest.raises(answers.WrongAnswer, match="broken JSON"):
        answers.check(peer.port, echo, parses_json=True)


def test_a_pipeline_needs_all_its_answers(peer: Same) -> None:
    answers.check_pipeline(peer.port, answers.ROUTES["/"])
    peer.answer = answer(b"Hello, World!", status="503 Busy")
    with pytest.raises(answers.WrongAnswer, match="503"):
        answers.check_pipeline(peer.port, answers.ROUTES["/"])


def test_the_client_reads_chunks(peer: Same) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    peer.answer = head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    with Client(peer.port) as client:
        assert client.ask("GET", "/").body == b"abcde"
        assert client.ask("GET", "/").body == b"abcde"


def test_the_client_refuses_what_is_not_http(peer: Same) -> None:
    peer.answer = b"SSH-2.0\r\n\r\n"
    with Client(peer.port) as client, pytest.raises(BadAnswer):
        client.ask("GET", "/")


def test_ratios_are_taken_inside_a_round() -> None:
    scenario = Scenario(answers.ROUTES["/"], Load(1, 64))
    found = Comparison({}, [scenario], {"pyre": "3", "ceiling": "native", "a": "1", "b": "1"})
    outcome = Outcome(1000, 1.0, 10.0, 20.0, {})
    # The machine is twice as slow in the second round; the ratio does not see it.
    for slowness in (1.0, 2.0, 1.0):
        for name, cpu_us in (("pyre", 6.0), ("ceiling", 5.0), ("a", 9.0), ("b", 8.0)):
            found.add(scenario, name, Measure(cpu_us * slowness, outcome))
    ratio = found.ratio(scenario, "pyre", "ceiling")
    assert ratio is not None
    assert (ratio.low, ratio.high) == (1.2, 1.2)
    assert found.best_rival(scenario) == "b"
    assert "| pyre 3" in found.as_markdown()


def test_errors_stand_in_the_table() -> None:
    scenario = Scenario(answers.ROUTES["/"], Load(1, 64))
    found = Comparison({}, [scenario], {"pyre": "3"})
    found.add(scenario, "pyre", Measure(1.0, Outcome(10, 1.0, None, None, {"status": 7})))
    assert "(!) 70.00% errors: 7 status" in found.as_markdown()


def series(title: str, cpu_us: list[float], p99_us: float | None = 20.0) -> Series:
    """A series whose rounds have been measured."""
    found = Series(title, None, answers.ROUTES["/"], Load(1, 64), None, counted=title == "b")
    outcome = Outcome(1000, 1.0, 10.0, p99_us, {"read": 2})
    found.measures = [Measure(value, outcome, switches=0.5) for value in cpu_us]
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_series_are_compared_inside_each_round() -> None:
    first, second = series("a", [10.0, 20.0, 10.0]), series("b", [15.0, 30.0, 15.0], None)
    second.counters = {counters.REQUESTS: 1000.0, counters.INLINE: 995.0, counters.TAKEN_BACK: 3.0}
    header, _, one, other = map(cells, table([first, second], [first, second]).splitlines())
    assert header[1:5] == ["us per request", "x a", "x b", "req/s"]
    found = dict(zip(header, one, strict=True)), dict(zip(header, other, strict=True))
    assert [row["x b"] for row in found] == ["0.667 [0.667..0.667]", "1.00 [1.00..1.00]"]
    assert [row["p99 ms"] for row in found] == ["0.020", "-"]
    assert [row["switches"] for row in found] == ["0.500", "0.500"]
    assert [row["errors"] for row in found] == ["6", "6"]
    assert [row["inline"] for row in found] == ["-", "99.5%"]
    assert [row["taken back"] for row in found] == ["-", "3"]
    assert [row["refused"] for row in found] == ["-", "-"]


def test_series_of_unequal_length_are_not_compared() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        table([series("a", [1.0, 2.0]), series("b", [1.0])], [series("a", [1.0, 2.0])])


def test_a_page_of_metrics_is_summed_over_labels() -> None:
    page = (
        "# HELP pyre_requests_total Requests answered.\n# TYPE pyre_requests_total counter\n"
        'pyre_requests_total{method="GET",route="/a b",status="200"} 7\n'
        'pyre_requests_total{method="GET",route="/{id}",status="404"} 2\n'
        "pyre_take_backs_total 0\npyre_gil_wait_seconds_total 1.5e-3\n"
    )
    found = counters.parse(page)
    assert found == {
        "pyre_requests_total": 9.0,
        "pyre_take_backs_total": 0.0,
        "pyre_gil_wait_seconds_total": 0.0015,
    }
    # A label that was not there before has counted from nothing.
    grown = counters.between({"pyre_requests_total": 4.0}, found)
    assert grown["pyre_requests_total"] == 5.0
    assert counters.total(counters.TAKEN_BACK, grown) == "0"
    assert counters.total(counters.REFUSED, grown) == "-"


def test_a_server_without_metrics_counts_nothing(peer: Same) -> None:
    peer.answer = answer(b"pyre_take_backs_total 1\n", status="404 Not Found")
    assert counters.read(peer.port) == {}
    peer.answer = answer(b"pyre_take_backs_total 1\n")
    assert counters.read(peer.port) == {"pyre_take_backs_total": 1.0}


def test_a_build_brings_its_own_engine(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="run scripts/setup there"):
        build("before", tmp_path, "pyre_app.py")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    engine = tmp_path / "python" / "pyreframework" / "engine.so"
    python.write_text(f"#!/bin/sh\necho 2.9.0\necho {engine}\n")
    python.chmod(0o755)
    found = build("before", tmp_path, "pyre_app.py")
    assert (found.name, found.version, found.command[0]) == ("before", "2.9.0", str(python))
    assert found.environment["PYTHONPATH"] == str(tmp_path / "python")
    python.write_text("#!/bin/sh\necho 2.9.0\necho /elsewhere/engine.so\n")
    with pytest.raises(Unavailable, match=r"/elsewhere/engine\.so, which is not of"):
        build("before", tmp_path, "pyre_app.py")


def test_stacks_are_folded_from_root_to_leaf() -> None:
    script = """\
pyre-worker 1 1234
\t  ffffffff81 tcp_sendmsg ([kernel.kallsyms])
\t        1234 <T as core::fmt::Debug>::fmt::h0123456789abcdef (/x/engine.so)
\t        1235 py_trampoline_evaluator (/x/libpython.so)
\t          85 py::index:/srv/app.py (/tmp/jitted-1-2.so)
\tffffffffffff [unknown] ([unknown])

"""
    stacks = fold([*script.splitlines(), *script.splitlines()])
    expected = (
        "pyre-worker 1",
        "index (app.py)",
        "<T as core::fmt::Debug>::fmt",
        "tcp_sendmsg_[k]",
    )
    assert stacks == Counter({expected: 2})
    assert self_time(stacks) == Counter({"tcp_sendmsg_[k]": 2})


def test_drawings_are_well_formed() -> None:
    bars = [Bar("pyre & co", 1.0, 0.9, 1.1), Bar("<rival>", 10.0, 9.0, 11.0)]
    ET.fromstring(svg("a < b", ["machine: x & y"], [Panel("GET /user/{id}", bars)] * 3))
    drawn = ET.fromstring(flame(Counter({("main", "<f>"): 3, ("main", "g"): 1}), "t", "s & t"))
    names = {box.get("data-name") for box in drawn.iter("{http://www.w3.org/2000/svg}g")}
    assert names == {"all", "main", "<f>", "g"}


def test_a_dump_gives_instructions_and_allocations(tmp_path: Path) -> None:
    file = tmp_path / "callgrind.out.1"
    file.write_text(
        "events: Ir\n\nfn=(1) main\n10 5\ncfn=(2) malloc\ncalls=3 0\n11 300\n"
        "cfn=(3) free\ncalls=9 0\n+1 90\n* 2\nfn=(2)\n1 700\nfn=(4) f\ncfn=(2)\ncalls=4 0\n"
        "-3 400\n13 6\nfn=(3)\n1 90\ntotals: 803\n"
    )
    by_function = Counter({"malloc": 700, "free": 90, "main": 7, "f": 6})
    assert read(file) == Counts(803, 7, by_function)
    assert by_function.total() == 803
    file.write_text("events: Ir\n")
    with pytest.raises(ValueError, match="no totals"):
        read(file)


def test_the_budget_names_known_routes() -> None:
    assert {scenario.depth for scenario in scenarios()} == {1, 16}


def test_arrivals_are_the_same_for_the_same_seed() -> None:
    shares = [("/", 0.95), ("/slow", 0.05)]
    plan = arrivals.poisson(1000, 5.0, shares, seed=1)
    assert plan == arrivals.poisson(1000, 5.0, shares, seed=1)
    assert plan != arrivals.poisson(1000, 5.0, shares, seed=2)
    assert 4700 < len(plan) < 5300
    slow = sum(arrival.path == "/slow" for arrival in plan)
    assert 0.035 < slow / len(plan) < 0.065
    assert all(0 < arrival.due_s < 5.0 for arrival in plan)


def test_every_arrival_gets_a_sample(peer: Same) -> None:
    plan = arrivals.poisson(500, 0.4, [("/", 1.0)], seed=3)
    samples = arrivals.run(peer.port, plan, connections=4)
    assert len(samples) == len(plan)
    assert {sample.status for sample in samples} == {200}
    assert peer.asked.count(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:") == len(plan)


def test_processor_time_and_memory_of_this_process_are_seen() -> None:
    own = [os.getpid()]
    before = processes.cpu(own)
    while (processes.cpu(own) - before).total_s < 0.05:
        sum(range(1000))
    found = processes.memory(own)
    assert found.rss_kib >= found.pss_kib > 1000
    switched = processes.switches(own)
    time.sleep(0.001)
    assert processes.switches(own) > switched
    assert processes.open_files(own) >= 3


def numbered_run(port: int, **changes: object) -> numbered.Outcome:
    options: dict[str, object] = {
        "connections": 2,
        "depth": 4,
        "per_second": 4000.0,
        "seconds": 0.05,
        "slow_share": 0.0,
        "at_the_end": lambda: None,
    }
    return numbered.run(port, **(options | changes))  # type: ignore[arg-type]


class Counting:
    """A server that answers each number, `answered` of them on each connection."""

    def __init__(self, answered: int | None, wrong: bool = False) -> None:
        self.answered = answered
        self.wrong = wrong
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.serve) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(0.01)
            count = 0
            received = b""
            while not (self.stopping.is_set() and received == b""):
                try:
                    received += connection.recv(65536)
                except TimeoutError:
                    if self.stopping.is_set():
                        return
                    continue
                while b"\r\n\r\n" in received:
                    line, _, received = received.partition(b"\r\n\r\n")
                    number = line.split(b" ")[1].rpartition(b"/")[2]
                    if self.answered is not None and count == self.answered:
                        # To close with requests unread would reset the connection, and what
                        # was answered might not arrive.
                        connection.shutdown(socket.SHUT_WR)
                        connection.settimeout(None)
                        while connection.recv(65536):
                            pass
                        return
                    count += 1
                    connection.sendall(answer(b"0" if self.wrong else number))

    def close(self) -> None:
        self.listener.close()
        for thread in self.threads:
            thread.join()


def test_numbered_requests_that_are_all_answered() -> None:
    server = Counting(None)
    outcome = numbered_run(server.port, at_the_end=server.stopping.set)
    server.close()
    assert outcome.sent_before >= 100
    assert (outcome.lost, outcome.wrong) == (0, [])
    assert 0 <= outcome.answered_before <= outcome.sent_before


def test_numbered_requests_that_are_lost() -> None:
    server = Counting(6)
    outcome = numbered_run(server.port)
    server.close()
    assert outcome.answered == 12
    assert outcome.lost == outcome.sent_before - 12 > 0


def test_numbered_requests_with_wrong_answers() -> None:
    server = Counting(None, wrong=True)
    outcome = numbered_run(server.port, at_the_end=server.stopping.set)
    server.close()
    assert any("b'0' for 1" in text for text in outcome.wrong)


def bench_arguments(
    monkeypatch: pytest.MonkeyPatch, commit: str, *words: str
) -> argparse.Namespace:
    monkeypatch.setattr(bench.machine, "commit", lambda: commit)
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    return bench.arguments()


def test_the_readme_says_itself_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = bench_arguments(monkeypatch, "a1", "--readme", "--rounds", "5")
    assert (chosen.readme, chosen.rounds) == (True, 5)
    tables = runpy.run_path(str(ROOT / "docs/tables.py"))
    shown = {scenario for _, scenario in tables["FIGURES"]} | {tables["PICTURE"]}
    assert shown <= {scenario.name for scenario in bench.scenarios(chosen)}


@pytest.mark.parametrize(
    ("commit", "words", "text"),
    [
        ("a1+", [], "commit your changes first"),
        ("a1", ["--only", "pyre"], "--readme says itself"),
        ("a1", ["--quick"], "--readme says itself"),
        ("a1", ["--output", "r"], "--readme says itself"),
    ],
)
def test_figures_that_the_readme_does_not_show(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    commit: str,
    words: list[str],
    text: str,
) -> None:
    with pytest.raises(SystemExit):
        bench_arguments(monkeypatch, commit, "--readme", *words)
    assert text in capsys.readouterr().err

"""The log: from `logging` of every interpreter through one writer, and the access log."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dialogue import request
from gate import Gate
from places import in_both_modes
from serving import APPS, Server, child_environment, is_supervisor, run_to_end, serve, wait_until

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


@in_both_modes
def mode(request: pytest.FixtureRequest) -> Iterator[str | None]:
    return request.param  # type: ignore[no-any-return]


def output_of(server: Server) -> list[str]:
    """Stop a server, and return every line it has written."""
    assert server.stop() == 0
    return server.output.text().splitlines()


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith("{")]


def where(records: list[dict[str, Any]], **wanted: object) -> list[dict[str, Any]]:
    return [one for one in records if wanted.items() <= one.items()]


def test_text(mode: str | None) -> None:
    with serve("logging_app", mode=mode) as server:
        server.get("/log/info?a")
        server.get("/log/debug?b")
        server.get("/raise")
        server.get("/broken")
        lines = output_of(server)
    text = "\n".join(lines)
    assert re.search(rf"^{TIME} INFO shop\.cart: said a$", text, re.MULTILINE)
    assert "said b" not in text
    assert re.search(rf"^{TIME} ERROR shop: it failed\n  Traceback ", text, re.MULTILINE)
    assert "\n  LookupError: lost\n  Stack (most recent call last):\n" in text
    assert re.search(
        rf"^{TIME} ERROR pyre\.app: GET /broken \(request \w+\) raised KeyError$",
        text,
        re.MULTILINE,
    )
    # The hooks before the first and after the last request are heard too.
    assert re.search(rf"^{TIME} INFO hook: starting$", text, re.MULTILINE)
    assert re.search(rf"^{TIME} INFO hook: a worker ends$", text, re.MULTILINE)
    assert re.search(rf"^{TIME} INFO hook: the last words$", text, re.MULTILINE)
    assert "pyre.access" not in text


def test_json(mode: str | None) -> None:
    with serve("logging_app", mode=mode, log_format="json", log_level="DEBUG") as server:
        for target in ("/log/debug?b", "/raise", "/surrogate", "/lines"):
            assert server.get(target).status == 200
        records = objects(output_of(server))
    (said,) = where(records, logger="shop.cart")
    assert said["message"] == "said b"
    assert (said["level"], said["user"], said["odd"]) == ("DEBUG", 7, "<class 'int'>")
    assert re.fullmatch(TIME, said["time"])
    assert said["file"].endswith("logging_app.py")
    assert said["thread"].startswith("pyre-main." if mode else "pyre-worker-")
    (failed,) = where(records, message="it failed")
    assert failed["exception"].startswith("Traceback (most recent call last):\n")
    assert "LookupError: lost\nStack (most" in failed["exception"]
    assert where(records, message="lone \ufffd and é")
    assert where(records, logger="shop", level="WARNING")


def test_no_record_can_pose_as_another(mode: str | None) -> None:
    with serve("logging_app", mode=mode) as server:
        server.get("/lines")
        lines = output_of(server)
    assert "  2026-01-01T00:00:00Z ERROR forged: \\u{1b}[31mline\\u{d}" in lines
    assert not any(line.startswith("2026-01-01T00:00:00Z") for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_record_that_cannot_be_formatted_is_told_of(mode: str | None, form: str) -> None:
    with serve("logging_app", mode=mode, log_format=form) as server:
        assert server.get("/wrong").text == "wrong"
        lines = output_of(server)
    (told,) = [line for line in lines if "two %s %s" in line]
    assert "cannot be formatted with ('one',): TypeError: not enough arguments" in told
    assert re.search(r"logged at .*logging_app\.py:\d+\)", told)
    assert not any("Logging error" in line or line.startswith("Traceback") for line in lines)
    if form == "json":
        assert (json.loads(told)["logger"], json.loads(told)["level"]) == ("shop", "WARNING")


ODD = """
    import logging, math, enum, collections
    from pyreframework import Pyre

    app = Pyre()
    log = logging.getLogger("odd")

    class Shy:
        def __repr__(self):
            raise RuntimeError("not shown")
        __str__ = __repr__

    class Loud(str):
        def __str__(self):
            raise RuntimeError("not shown")
        __repr__ = __format__ = __str__

    class Unequal:
        def __eq__(self, other):
            raise RuntimeError("not compared")
        __hash__ = None
        def __repr__(self):
            return "unequal"

    class Broken(dict):
        def items(self):
            raise RuntimeError("no items")
        def __repr__(self):
            return "broken"

    class Colour(enum.IntEnum):
        RED = 1

    cycle = {"in": 1}
    cycle["self"] = cycle
    deep = []
    for _ in range(100000):
        deep = [deep]

    ODD = {
        "nan": math.nan, "cycle": cycle, "tuple key": {(1, 2): 3, "plain": 4}, "set": {5},
        "repr": Shy(), "inside": [1, Shy(), {"a": Shy(), "b": math.inf}], "str": Loud("loud"),
        "eq": Unequal(), "items": Broken(a=1), "surrogate": "\\udcff", "bytes": b"\\xff",
        "deep": deep, "enum": [Colour.RED, math.nan], "class": Shy,
    }

    @app.get("/extra/{name}")
    def extra(req, name: str):
        log.warning("extra", extra={"before": {"a": [1, 2.5]}, "odd": ODD[name], "after": None})
        return "logged"

    @app.get("/message/{name}")
    def message(req, name: str):
        log.warning("message %s", ODD[name])
        log.warning(ODD[name])
        return "logged"

    @app.get("/format/{what}")
    def formatting(req, what: str):
        match what:
            case "few":
                log.warning("%s %s", 1)
            case "many":
                log.warning("%s", 1, 2)
            case "type":
                log.warning("%d", "x")
            case "percent":
                log.warning("100 %", 1)
            case "level":
                logging.addLevelName(35, 35)
                log.log(35, "a level")
            case "exception":
                class Worse(Exception):
                    def __str__(self):
                        raise RuntimeError("not shown")
                try:
                    raise Worse
                except Worse:
                    log.exception("an exception")
            case "name":
                record = log.makeRecord(7, 30, None, None, "attributes", (), None)
                record.threadName = 5
                record.exc_text = 6
                log.handle(record)
        return "logged"

    if __name__ == "__main__":
        app.run()
"""
ODD_NAMES = [
    "nan", "cycle", "tuple key", "set", "repr", "inside", "str", "eq", "items", "surrogate",
    "bytes", "deep", "enum", "class",
]  # fmt: skip
FORMATTING = ["few", "many", "type", "percent", "level", "exception", "name"]


@pytest.fixture(scope="module")
def odd_lines(mode: str | None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is logged for each target, by lines."""
    file = tmp_path_factory.mktemp("odd") / "odd.py"
    file.write_text(textwrap.dedent(ODD))
    targets = [f"/{kind}/{name}" for kind in ("extra", "message") for name in ODD_NAMES]
    targets += [f"/format/{name}" for name in FORMATTING]
    found = {}
    with serve(file, mode=mode, workers=1, log_format="json") as server:
        server.output.wait_for("3 routes")
        for target in targets:
            seen = len(server.output.lines)
            assert server.get(target.replace(" ", "%20")).text == "logged", target
            server.output.wait_for("odd|pyre", since=seen)
            if target.startswith("/message"):
                wait_until(lambda seen=seen: len(server.output.lines) > seen + 1, "both lines")
            found[target] = server.output.lines[seen:]
    return found


@pytest.mark.parametrize("name", ODD_NAMES)
def test_one_odd_value_leaves_the_others_of_a_record_alone(
    odd_lines: dict[str, list[str]], name: str
) -> None:
    (line,) = odd_lines[f"/extra/{name}"]
    found = json.loads(line)
    assert (found["logger"], found["message"]) == ("odd", "extra")
    assert (found["before"], found["after"]) == ({"a": [1, 2.5]}, None)
    odd = found["odd"]
    shy = "<Shy, which cannot be shown: RuntimeError>"
    expected = {
        "nan": "nan", "set": "{5}", "repr": shy, "str": odd, "eq": "unequal", "items": odd,
        "inside": [1, shy, {"a": shy, "b": "inf"}], "tuple key": {"(1, 2)": 3, "plain": 4},
        "cycle": {"in": 1, "self": "{'in': 1, 'self': {...}}"}, "surrogate": "\udcff",
        "bytes": "b'\\xff'", "deep": odd, "enum": [1, "nan"], "class": "<class '__mp_main__.Shy'>",
    }  # fmt: skip
    assert odd == expected[name] or odd == str(expected[name]).replace("__mp_main__", "__main__")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_message_that_is_odd_is_one_object(odd_lines: dict[str, list[str]], name: str) -> None:
    lines = odd_lines[f"/message/{name}"]
    assert [json.loads(line)["logger"] for line in lines] == ["odd", "odd"]
    assert "message " in json.loads(lines[0])["message"]


@pytest.mark.parametrize("what", FORMATTING)
def test_a_record_that_is_wrong_is_one_object(odd_lines: dict[str, list[str]], what: str) -> None:
    (line,) = odd_lines[f"/format/{what}"]
    assert json.loads(line)["logger"] in ("odd", "7")


def test_messages_of_the_server_are_objects_too(mode: str | None) -> None:
    """In a log of JSON, whoever says something: the process, its supervisor, a start that fails."""
    with serve("logging_app", mode=mode, log_format="json", workers=1) as server:
        for times in range(2):
            seen = len(server.output.lines)
            server.signal(signal.SIGHUP)
            server.output.wait_for("serves now", since=seen)
            wait_until(lambda: is_supervisor(server.pid), f"the supervisor, {times}")
        lines = output_of(server)
    # The banner goes to standard output, which is the same here.
    said = [line for line in lines if not re.match(r"Pyre |  ", line)]
    records = [json.loads(line) for line in said]
    told = where(records, logger="pyre.server")
    assert sum("to take over" in one["message"] for one in told) == 2
    assert {one["level"] for one in told} == {"INFO"}


def test_what_handlers_print_goes_to_standard_output(mode: str | None) -> None:
    arguments = [sys.executable, str(APPS / "logging_app.py")]
    options: dict[str, object] = {"port": 0, "workers": 2}
    if mode:
        options["mode"] = mode
    with subprocess.Popen(
        arguments,
        env=child_environment({}, options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        with subprocess.Popen(
            [sys.executable, "-c", f"{FETCH}\nget({port}, '/print?x'); get({port}, '/log/info?y')"]
        ) as client:
            assert client.wait(30) == 0
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert "printed x" in out.splitlines()
    assert "said y" in err
    assert "said y" not in out
    assert "printed x" not in err


FETCH = """
import http.client
def get(port, target):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", target)
    client.getresponse().read()
"""


def test_emit_python_log(mode: str | None) -> None:
    with serve("logging_app", mode=mode, log_format="json") as server:
        server.get("/emit")
        records = where(objects(output_of(server)), logger="shop.native")
    assert [(one["level"], one["message"]) for one in records] == [("WARNING", "straight")]
    assert (records[0]["file"], records[0]["line"], records[0]["worker"]) == ("cart.py", 12, 3)


@pytest.mark.parametrize("configured", ["log_config", "root"])
def test_a_configuration_of_the_program_wins(mode: str | None, configured: str) -> None:
    env = {"CONFIGURED": configured}
    with serve("logging_app", mode=mode, env=env, access_log=True, log_format="json") as server:
        server.get("/log/info?a")
        server.get("/broken")
        lines = output_of(server)
    assert "mine INFO shop.cart said a" in lines
    assert any(line.startswith("mine ERROR pyre.app GET /broken") for line in lines)
    assert any(
        line.startswith('mine INFO pyre.access 127.0.0.1 "GET /log/info HTTP/1.1" 200 ')
        for line in lines
    )
    assert not objects(lines)
    assert not any(re.match(TIME, line) for line in lines)


def test_handlers_for_the_access_log_alone(mode: str | None) -> None:
    options = {"mode": mode, "access_log": True, "io_workers": 1}
    with serve("logging_app", env={"CONFIGURED": "access"}, **options) as server:
        server.get("/log/info?a")
        server.get("/none")
        lines = output_of(server)
    access = [line for line in lines if "pyre.access" in line]
    assert len(access) == 2
    assert access[0].startswith("mine INFO pyre.access 127.0.0.1 ")
    assert access[0].endswith(" 200 /log/{level}")
    assert access[1].endswith(" 404 ")
    # The rest goes the usual way.
    assert any(re.fullmatch(rf"{TIME} INFO shop\.cart: said a", line) for line in lines)


def test_a_level_of_the_program_wins(mode: str | None) -> None:
    with serve("logging_app", mode=mode, env={"CONFIGURED": "level"}, log_level="error") as server:
        server.get("/log/debug?a")
        assert any(line.endswith("DEBUG shop.cart: said a") for line in output_of(server))


def test_init_logger_says_what_run_goes_by(mode: str | None) -> None:
    with serve("logging_app", mode=mode, env={"CONFIGURED": "init_logger"}) as server:
        server.get("/log/debug?a")
        records = objects(output_of(server))
    assert where(records, logger="shop.cart", level="DEBUG")
    assert where(records, logger="pyre.access", path="/log/debug")


def test_a_short_configuration_of_the_app(mode: str | None) -> None:
    with serve("logging_app", mode=mode, env={"CONFIGURED": "short"}) as server:
        server.get("/log/info?a")
        server.get("/log/warning?b")
        records = objects(output_of(server))
    assert [one["message"] for one in where(records, logger="shop.cart")] == ["said b"]
    assert len(where(records, logger="pyre.access")) == 2


def test_a_log_that_is_off(mode: str | None) -> None:
    with serve("logging_app", mode=mode, log_level="off") as server:
        server.get("/log/critical?a")
        server.get("/broken")
        assert not any(re.match(TIME, line) for line in output_of(server))


def test_a_worker_that_does_not_log_does_not_import_logging(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text(
        "import sys\nfrom pyreframework import Pyre\napp = Pyre()\n"
        "app.get('/', lambda req: 'logging' in sys.modules)\n"
        "@app.get('/log')\ndef log(req):\n    import logging\n"
        "    logging.getLogger('late').info('came late')\n    return len(sys.meta_path)\n"
        "app.run()\n"
    )
    with serve(file, workers=1) as server:
        assert server.get("/").json() is False
        finders = server.get("/log").json()
        server.output.wait_for(rf"^{TIME} INFO late: came late$")
        assert server.get("/log").json() == finders
        assert server.get("/").json() is True


def access_records(server: Server) -> list[dict[str, Any]]:
    return where(objects(output_of(server)), logger="pyre.access")


def test_access_log(mode: str | None) -> None:
    with serve("logging_app", mode=mode, log=1, log_format="json", workers=1) as server:
        with server.connect() as peer:
            for method, target in (
                ("GET", "/log/info?secret"),
                ("HEAD", "/keep"),
                ("PUT", "/keep"),
            ):
                peer.send(request(method, target))
                reply = peer.reply(method)
        assert reply.status == 405
        with server.connect() as peer:
            peer.send(b"BROKEN\r\n\r\n")
            assert peer.reply().status == 400
        with server.connect() as peer:
            peer.send(b"\r\nPUT /large?x HTTP/1.1\r\nHost: h\r\n")
            peer.send(b"Content-Length: 99999999999\r\n\r\n")
            assert peer.reply().status == 413
        with server.connect() as peer:
            peer.send(b"GET /folded HTTP/1.0\r\nHost: h\r\n folded: x\r\n\r\n")
            assert peer.reply().status == 400
        records = access_records(server)
    shown = [(one["method"], one["path"], one["route"], one["status"]) for one in records]
    assert shown == [
        ("GET", "/log/info", "/log/{level}", 200),
        ("HEAD", "/keep", "/keep", 200),
        ("PUT", "/keep", "", 405),
        ("", "", "", 400),
        ("PUT", "/large", "", 413),
        ("GET", "/folded", "", 400),
    ]
    assert {one["client"] for one in records} == {"127.0.0.1"}
    assert {one["level"] for one in records} == {"INFO"}
    assert all(one["bytes"] > 100 for one in records)
    assert all(0 <= one["duration_ms"] < 30_000 for one in records)


def test_requests_that_somebody_keeps_are_logged(mode: str | None) -> None:
    """The object takes the bytes of its request with it, and the log still knows what they said."""
    with serve("logging_app", mode=mode, log=1, log_format="json", workers=1) as server:
        with server.connect() as peer:
            body = b"y" * 100_000
            batch = [
                request("GET", "/keep"),
                request("POST", "/keep", (), b"x" * 1000),
                request("GET", "/log/info"),
                request("POST", "/keep", (), body),
            ]
            peer.send(b"".join(batch))
            assert [peer.reply().status for _ in batch] == [200, 201, 200, 201]
        records = access_records(server)
    assert [(one["method"], one["path"], one["status"]) for one in records] == [
        ("GET", "/keep", 200),
        ("POST", "/keep", 201),
        ("GET", "/log/info", 200),
        ("POST", "/keep", 201),
    ]


def test_durations(mode: str | None) -> None:
    with serve("logging_app", mode=mode, log=1, log_format="json") as server:
        with Gate() as gate, server.connect() as peer:
            gate.hold(peer, "a")
            assert gate.is_empty(0.05)
            gate.release("a")
            assert peer.reply().status == 200
        (record,) = access_records(server)
    assert 50 <= record["duration_ms"] < 30_000


def test_samples(mode: str | None) -> None:
    options = {"mode": mode, "io_workers": 1, "log_format": "json"}
    with serve("logging_app", env={"SAMPLE": "10"}, **options) as server:
        with server.connect() as peer:
            for _ in range(30):
                assert peer.get("/log/info").status == 200
            for _ in range(3):
                assert peer.get("/broken").status == 500
        records = access_records(server)
    statuses = [one["status"] for one in records]
    assert (statuses.count(200), statuses.count(500)) == (3, 3)


def test_an_option_switches_it_off_again() -> None:
    with serve("logging_app", env={"SAMPLE": "1"}, access_log=False) as server:
        server.get("/log/info")
        # A variable does not; what the app says goes before it.
        assert any("pyre.access" in line for line in output_of(server))


def test_nobody_reads_the_log() -> None:
    """With standard error full, handlers go on; what is lost is counted, and the log says so."""
    arguments = [sys.executable, str(APPS / "logging_app.py")]
    options = {"port": 0, "workers": 1, "metrics": True}
    with subprocess.Popen(
        arguments,
        env=child_environment({}, options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = int(process.stdout.readline().decode().rpartition(":")[2])
        server = Reached(port)
        # More than the queue holds and the pipe takes.
        for _ in range(4):
            assert server.get("/flood/10000").text == "flooded"
        dropped = re.search(
            r"^pyre_log_dropped_total (\d+)$", server.get("/metrics").text, re.MULTILINE
        )
        assert dropped is not None
        assert 0 < int(dropped[1]) < 40_000
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
    lines = err.decode().splitlines()
    told = sum(int(found[1]) for line in lines if (found := DROPPED.search(line)))
    written = sum(" WARNING flood: " in line for line in lines)
    assert told == int(dropped[1])
    assert written + told == 40_000


DROPPED = re.compile(r"WARNING pyre\.server: (\d+) log records were dropped")


class Reached(Server):
    """A server that somebody else has started."""

    def __init__(self, port: int) -> None:
        self.host, self.port = "127.0.0.1", port


def test_the_last_records_before_the_process_is_stopped_at_once() -> None:
    with Gate() as gate:
        server = Server([str(APPS / "logging_app.py")], workers=1)
        try:
            with server.connect() as peer:
                server.get("/log/info?early")
                gate.hold(peer, "a")
                server.signal(signal.SIGTERM)
                wait_until(lambda: not server.listens(), "the drain has begun")
                server.end_at_once(signal.SIGTERM)
                assert server.wait() == 1
            lines = server.output.text().splitlines()
        finally:
            server.kill()
    assert any(line.endswith("INFO shop.cart: said early") for line in lines)
    assert lines[-1] == "pyre: stopped at once by a second signal"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"log_level": "loud"}, "PYRE_LOG_LEVEL must be one of debug, info, warning, error"),
        ({"log_format": "xml"}, "PYRE_LOG_FORMAT must be one of text, json, not 'xml'"),
        ({"log": "perhaps"}, "PYRE_LOG must be one of 1, 0, true"),
    ],
)
def test_options_that_do_not_fit(option: dict[str, object], text: str) -> None:
    ending = run_to_end("logging_app", **option)
    assert ending.code == 2
    assert text in ending.output

"""Ids of requests and W3C trace context: on the wire, in requests, and in the log."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dialogue import request
from places import in_both_modes
from serving import Server, serve

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
HEADER = "x-request-id"


@in_both_modes
def mode(request: pytest.FixtureRequest) -> Iterator[str | None]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def server(mode: str | None) -> Iterator[Server]:
    with serve("request_ids", mode=mode) as server:
        yield server


@pytest.mark.parametrize("target", ["/sync/a", "/async/a"])
def test_an_id_that_comes_is_kept(server: Server, target: str) -> None:
    reply = server.get(target, [("X-Request-ID", "proxy-7.1:x"), ("traceparent", TRACEPARENT)])
    assert reply.all(HEADER) == ["proxy-7.1:x"]
    assert reply.json() == {"id": "proxy-7.1:x", "trace": TRACEPARENT}


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        ["two words"],
        ['quo"te'],
        ["x" * 129],
        ["\xe9"],
        ["one", "two"],
    ],
)
@pytest.mark.parametrize("target", ["/sync/a", "/async/a"])
def test_otherwise_one_is_made(server: Server, target: str, given: list[str]) -> None:
    headers = [("X-Request-ID", value) for value in given]
    reply, other = server.get(target, headers), server.get(target, headers)
    (made,) = reply.all(HEADER)
    assert made not in given
    assert made == reply.json()["id"]
    assert made != other.header(HEADER)


@pytest.mark.parametrize("target", ["/none", "/livez", "/broken", "/broken/async", "/sync/a"])
def test_every_answer_has_it(server: Server, target: str) -> None:
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        reply = server.request(method, target, [("X-Request-ID", "mine")])
        assert reply.all(HEADER) == ["mine"], (method, reply)


def test_what_cannot_be_read_gets_one(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        reply = peer.reply()
    assert reply.status == 400
    assert len(reply.all(HEADER)) == 1


def test_pipelines(server: Server) -> None:
    targets = ["/sync/a", "/none", "/async/a", "/livez", "/keep/a", "/sync/b"]
    with server.connect() as peer:
        peer.send(
            b"".join(
                request("GET", target, [("X-Request-ID", f"id{number}")])
                for number, target in enumerate(targets)
            )
        )
        ids = [peer.reply().header(HEADER) for _ in targets]
    assert ids == [f"id{number}" for number in range(len(targets))]


def test_a_request_that_is_kept_keeps_its_id(mode: str | None) -> None:
    with serve("request_ids", mode=mode, workers=1) as server, server.connect() as peer:
        for name in ("a", "b", "c"):
            assert peer.get(f"/keep/{name}", [(HEADER, name)]).json() == {"id": name}
        assert peer.get("/kept").json() == ["a", "b", "c"]


def test_a_handler_may_set_the_header(server: Server) -> None:
    reply = server.get("/own", [(HEADER, "mine")])
    assert reply.all(HEADER) == ["chosen by the handler"]


@pytest.mark.parametrize(
    "wrong", ["", "00", TRACEPARENT.upper(), TRACEPARENT + "-x", "ff" + TRACEPARENT[2:]]
)
def test_a_trace_that_is_none(server: Server, wrong: str) -> None:
    assert server.get("/sync/a", [("traceparent", wrong)]).json()["trace"] is None


def test_two_traces_are_none(server: Server) -> None:
    headers = [("traceparent", TRACEPARENT)] * 2
    assert server.get("/sync/a", headers).json()["trace"] is None


def test_records_of_the_log(mode: str | None) -> None:
    with serve("request_ids", mode=mode, log_format="json", access_log=True) as server:
        for name in ("one", "two"):
            headers = [(HEADER, name), ("traceparent", TRACEPARENT)]
            server.get(f"/sync/{name}", headers)
            server.get(f"/async/{name}", headers)
        server.get("/sync/three", [(HEADER, "three")])
        server.get("/broken", [(HEADER, "bad")])
        server.get("/broken/async", [(HEADER, "bad-later")])
        assert server.stop() == 0
        lines = server.output.text().splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines if line.startswith("{")]
    for name in ("one", "two"):
        said = {f"{word} {name}" for word in ("sync", "before", "after", "thread", "task")}
        said |= {f"hook /sync/{name}", f"hook /async/{name}"}
        found = [one for one in records if one["message"] in said]
        assert {one["message"] for one in found} == said
        assert {one["request_id"] for one in found} == {name}
        assert {one["trace_id"] for one in found} == {TRACE_ID}
        assert {one["span_id"] for one in found} == {SPAN_ID}
    (three,) = [one for one in records if one["message"] == "sync three"]
    assert three["request_id"] == "three"
    assert "trace_id" not in three
    failures = [one for one in records if one["logger"] == "pyre.app"]
    assert [one["request_id"] for one in failures] == ["bad", "bad-later"]
    access = {
        (one["path"], one["request_id"], one.get("trace_id"))
        for one in records
        if one["logger"] == "pyre.access"
    }
    assert ("/sync/one", "one", TRACE_ID) in access
    assert ("/async/two", "two", TRACE_ID) in access
    assert ("/broken", "bad", None) in access


def test_records_in_the_format_of_the_program(mode: str | None) -> None:
    with serve("request_ids", mode=mode, env={"CONFIGURED": "1"}) as server:
        server.get("/sync/a", [(HEADER, "one"), ("traceparent", TRACEPARENT)])
        server.get("/async/b", [(HEADER, "two")])
        assert server.stop() == 0
        lines = server.output.text().splitlines()
    assert f"mine sync a one {TRACE_ID} {SPAN_ID}" in lines
    assert "mine after b two - -" in lines


def test_texts(mode: str | None) -> None:
    with serve("request_ids", mode=mode, access_log=True) as server:
        server.get("/sync/a", [(HEADER, "one")])
        assert server.stop() == 0
        lines = server.output.text().splitlines()
    assert any(line.endswith(" INFO shop: sync a request_id=one") for line in lines)
    assert any(line.endswith(" route=/sync/{name} request_id=one") for line in lines)


def test_without_them_nothing_is_sent(mode: str | None) -> None:
    with serve("plain", mode=mode) as server:
        assert server.get("/", [(HEADER, "mine")]).header(HEADER) is None


def test_limits_are_answered_with_them() -> None:
    options = {"workers": 1, "request_timeout": 0.1, "head_timeout": 0.2, "max_body_size": 10}
    with serve("request_ids", **options) as server:
        with server.connect() as peer:
            peer.send(b"GET /sync/a HTTP/1.1\r\n")
            reply = peer.reply()
            assert (reply.status, len(reply.all(HEADER))) == (408, 1)
        reply = server.post("/sync/a", b"x" * 11)
        assert (reply.status, len(reply.all(HEADER))) == (413, 1)


GIVEN = """
    import logging
    from pyreframework import Pyre

    app = Pyre()
    app.enable_request_id()

    @app.get("/extra/{name}")
    def extra(req, name: str):
        logging.getLogger("given").warning("extra", extra={name: "mine", "user": 7})
        return req.id

    @app.get("/adapter")
    def adapter(req):
        log = logging.LoggerAdapter(logging.getLogger("given"), {"request_id": "mine"})
        log.warning("adapter")
        return req.id

    @app.get("/number")
    def number(req):
        logging.getLogger("given").warning("number", extra={"request_id": 7})
        return req.id

    @app.get("/own/{kind}")
    def own(req, kind: str):
        class Own(logging.Logger):
            def makeRecord(self, *args, **kwargs):
                record = super().makeRecord(*args, **kwargs)
                record.made = kind
                return record
        Own.manager = logging.Logger.manager
        log = Own("given")
        log.parent = logging.root
        log.warning("own", extra={"request_id": "mine"})
        return req.id

    @app.get("/refused")
    def refused(req):
        try:
            logging.getLogger("given").warning("refused", extra={"message": 1})
        except KeyError as error:
            return str(error)

    if __name__ == "__main__":
        app.run()
"""


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("target", "name", "expected"),
    [
        ("/extra/request_id", "request_id", "mine"),
        ("/extra/trace_id", "trace_id", "mine"),
        ("/extra/span_id", "span_id", "mine"),
        ("/adapter", "request_id", "mine"),
        ("/number", "request_id", 7),
        ("/own/made", "request_id", "mine"),
    ],
)
def test_what_a_program_gives_a_record_wins(
    mode: str | None, tmp_path: Path, form: str, target: str, name: str, expected: object
) -> None:
    file = tmp_path / "given.py"
    file.write_text(textwrap.dedent(GIVEN))
    with serve(file, mode=mode, workers=1, log_format=form) as server:
        reply = server.get(target, [("X-Request-ID", "theirs"), ("traceparent", TRACEPARENT)])
        assert (reply.status, reply.text) == (200, "theirs")
        line = server.output.wait_for(r".*\bgiven\b.*")[0]
        assert "overwrite" in server.get("/refused").text
    if form == "text":
        assert f" {name}={expected}" in line
        assert line.count(f"{name}=") == 1
    else:
        found = json.loads(line)
        assert found[name] == expected
        ours = {"request_id": "theirs", "trace_id": TRACE_ID, "span_id": SPAN_ID}
        assert {key: found[key] for key in ours if key != name} == {
            key: value for key, value in ours.items() if key != name
        }

"""Forms that several ask for at once: tasks, threads, and such as are cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gate import Gate
from multiparts import fields, form, part, posted
from places import in_both_modes
from serving import Server, serve

BODY = form(part("name=password", b"secret"), part('name="f"; filename="x"', b"y" * 100_000))


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("forms", mode=request.param, workers=1) as server:
        yield server
        assert "Traceback" not in server.output.text()
        assert "secret" not in server.output.text()


def test_what_is_there_already_may_be_gathered_and_made_a_task_of(server: Server) -> None:
    found = server.post("/async/whole/gathered", BODY, fields())
    assert found.json() == [True, {"password": "secret"}, 1]


def test_threads_that_ask_for_a_form_at_once_have_the_same(server: Server) -> None:
    with server.connect() as peer:
        for _ in range(5):
            sent = posted("/def/coming/threads", BODY)
            peer.send(sent[:-20])
            peer.send(sent[-20:])
            assert peer.reply().json() == [True, {"password": "secret"}]


def test_another_reads_the_form_if_the_first_is_cancelled_at_once(server: Server) -> None:
    with server.connect() as peer, Gate() as gate:
        sent = posted(f"/async/coming/cancelled/{gate.port}", BODY)
        peer.send(sent[: len(sent) - len(BODY)])
        assert gate.entered() == "cancelled"
        gate.release("cancelled")
        peer.send(BODY)
        assert peer.reply().json() == {"password": "secret"}


def test_a_form_whose_reader_was_cancelled_says_so(server: Server) -> None:
    with server.connect() as peer:
        peer.send(posted("/async/coming/cancelled-late", BODY)[:-1])
        assert "was cancelled or interrupted" in peer.reply().text


REFUSED = [
    ("/async/whole/grouped", BODY[:-9], "the form ends before its last boundary"),
    ("/def/whole/again", BODY[:-9], "the form ends before its last boundary"),
    (
        "/def/whole/from-text",
        form(part('name="file"; filename="x"', b"\xff")),
        "'file' in the form is not UTF-8",
    ),
]


@pytest.mark.parametrize(("path", "body", "reason"), REFUSED)
def test_what_is_raised_from_a_refusal_tells_its_reason(
    server: Server, path: str, body: bytes, reason: str
) -> None:
    answer = server.post(path, body, fields())
    assert (answer.status, answer.json()) == (400, {"error": reason})

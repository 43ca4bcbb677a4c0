"""Apps that are served in the process of the test: what they publish is theirs alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from pyreframework import Pyre, PyreRequest, PyreStream
from pyreframework.testing import TestClient

app = Pyre()


def json_default(value: object) -> object:
    return f"a {type(value).__name__}"


app.json_default = json_default


@app.get("/events")
def events() -> PyreStream:
    stream = PyreStream()
    stream.subscribe("t")
    return stream


@app.post("/publish")
def publish(req: PyreRequest) -> None:
    app.publish("t", req.text())


def listening_app(barrier: threading.Barrier | None = None) -> Pyre:
    own = Pyre()

    @own.get("/events")
    def own_events() -> PyreStream:
        stream = PyreStream()
        stream.subscribe("t")
        if barrier is not None:
            # Others publish now.
            barrier.wait(30)
            barrier.wait(30)
        return stream

    return own


@pytest.mark.parametrize("mode", ["default", "subinterp"])
def test_the_test_itself_publishes_and_hears_workers(mode: str) -> None:
    # Twice: an app may be served again.
    for _ in range(2):
        with TestClient(app, mode=mode) as client, client.stream("GET", "/events") as response:
            heard = (event.data for event in response.iter_events())
            app.publish("t", "by the test")
            assert next(heard) == "by the test"
            client.post("/publish", data="by a handler")
            assert next(heard) == "by a handler"
            app.publish("t", {"a": object()})
            assert next(heard) == '{"a":"a object"}'
    # Nobody is there to hear it.
    app.publish("t", "late")


def test_an_app_that_is_not_served_publishes_to_nobody() -> None:
    unserved = Pyre()
    unserved.publish("t", "text", event="e", id=1, timeout=0)
    with pytest.raises(TypeError):
        unserved.publish("t", object())
    with pytest.raises(TypeError, match="topic must be a str, not bytes"):
        unserved.publish(b"t", "text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout is a number of seconds, 0 or more, not -1"):
        unserved.publish("t", "text", timeout=-1)
    with pytest.raises(TypeError, match="event must be a str, not float"):
        unserved.publish("t", "text", event=1.5)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_is_told_that_nobody_hears_it() -> None:
    with TestClient(app) as client, client.stream("GET", "/events") as response:
        child = os.fork()
        if child == 0:
            try:
                app.publish("t", "by the child")
            except RuntimeError as error:
                os._exit(7 if "forked" in str(error) else 8)
            finally:
                os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        app.publish("t", "by the parent")
        assert next(response.iter_events()).data == "by the parent"


def test_two_apps_in_one_process_do_not_hear_each_other() -> None:
    one, two = listening_app(), listening_app()
    with (
        TestClient(one) as first,
        TestClient(two) as second,
        first.stream("GET", "/events") as of_one,
        second.stream("GET", "/events") as of_two,
    ):
        for number in range(3):
            one.publish("t", f"one {number}")
            two.publish("t", f"two {number}")
        for name, response in (("one", of_one), ("two", of_two)):
            heard: Iterator[str] = (event.data for event in response.iter_events())
            assert [next(heard) for _ in range(3)] == [f"{name} {number}" for number in range(3)]


def test_a_stream_that_is_no_answer_yet_hears_its_own_app_alone() -> None:
    barrier = threading.Barrier(2)
    one, two = listening_app(barrier), listening_app()
    with TestClient(one) as first, TestClient(two):
        heard: list[str] = []

        def listen() -> None:
            with first.stream("GET", "/events") as response:
                events = (event.data for event in response.iter_events())
                heard.extend([next(events), next(events)])

        listener = threading.Thread(target=listen)
        listener.start()
        barrier.wait(30)
        two.publish("t", "of another app")
        one.publish("t", "before it is returned")
        barrier.wait(30)
        one.publish("t", "behind that, or before")
        listener.join(30)
        assert heard == ["before it is returned", "behind that, or before"]

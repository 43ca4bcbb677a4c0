"""Handler parameters by name, and 422 where a value does not fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from places import in_both_modes
from serving import Server, serve

ID = "12345678-1234-5678-1234-567812345678"


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("injection", mode=request.param) as server:
        yield server


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/int/5", [["int", "5"]]),
        ("/int/-5", [["int", "-5"]]),
        ("/int/123456789012345678901234567890", [["int", "123456789012345678901234567890"]]),
        ("/float/1.5", [["float", "1.5"]]),
        ("/float/2", [["float", "2.0"]]),
        ("/str/5", [["str", "5"]]),
        ("/bool/true", [["bool", "True"]]),
        ("/bool/0", [["bool", "False"]]),
        (f"/uuid/{ID}", [["UUID", ID]]),
        ("/text/5", [["int", "5"]]),
        ("/keyword/5", [["int", "5"]]),
        ("/order/1/2/3", ["1", "2", "3"]),
        ("/without/x/7", ["x", 7]),
        ("/default/x", ["x", 5]),
        ("/unused/x", {"a": "x"}),
        ("/annotated/x", ["/annotated/x", "x"]),
        ("/rest/a/b/c", ["a/b/c"]),
        ("/str/caf%C3%A9%20x", [["str", "caf\u00e9 x"]]),
    ],
)
def test_filled_in(server: Server, target: str, answer: object) -> None:
    reply = server.get(target)
    assert reply.status == 200
    assert reply.json() == answer


@pytest.mark.parametrize(
    ("target", "text"), [("/nothing", "nothing"), ("/lambda/x", "x"), ("/partial/x", "hi x")]
)
def test_other_callables(server: Server, target: str, text: str) -> None:
    assert server.get(target).text == text


@pytest.mark.parametrize("start", ["/typed", "/params"])
def test_typed_by_the_pattern(server: Server, start: str) -> None:
    assert server.get(f"{start}/5/1.5/{ID}/s/p/q/r").json() == [
        ["int", "5"],
        ["float", "1.5"],
        ["UUID", ID],
        ["str", "s"],
        ["str", "p/q/r"],
    ]


@pytest.mark.parametrize(
    "target",
    [
        f"/typed/x/1.5/{ID}/s/p",
        f"/typed/5/x/{ID}/s/p",
        "/typed/5/1.5/x/s/p",
        f"/typed/5.0/1.5/{ID}/s/p",
        f"/typed/+5/1.5/{ID}/s/p",
        f"/typed/5/1.5/{ID}/s/",
        f"/typed/5/1.5/{ID}/s",
        f"/typed//1.5/{ID}/s/p",
    ],
)
def test_patterns_that_do_not_match_are_404(server: Server, target: str) -> None:
    assert server.get(target).status == 404


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/int/x", "n"),
        ("/int/1.5", "n"),
        ("/int/%20", "n"),
        ("/int/1_000", "n"),
        ("/float/x", "x"),
        ("/bool/perhaps", "b"),
        ("/uuid/x", "u"),
        ("/text/x", "n"),
        ("/keyword/x", "a"),
    ],
)
def test_values_that_do_not_convert_are_422(server: Server, target: str, name: str) -> None:
    with server.connect() as peer:
        reply = peer.get(target)
        assert reply.status == 422
        assert reply.json()["error"] == "validation failed"
        (detail,) = reply.json()["detail"]
        assert set(detail) == {"loc", "msg", "type"}
        assert name in detail["loc"]
        assert peer.get("/nothing").status == 200


def test_what_registration_refuses(server: Server) -> None:
    said = server.get("/refusals").json()
    assert "missing" in said["unknown"]
    assert "missing" in said["unknown with param"]
    assert "nonsense" in said["unknown converter"]
    for name, text in said.items():
        expected = ("TypeError", "ValueError") if name == "not callable" else ("ValueError",)
        assert text.startswith(expected), (name, text)

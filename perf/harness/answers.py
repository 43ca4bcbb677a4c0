"""The routes of the benchmark, and the checks a server passes before it is measured."""

from __future__ import annotations

import json
from dataclasses import dataclass

from perf.harness.exchange import Answer, BadAnswer, Client, request

PIPELINE_DEPTH = 16

_ECHOED = {
    "id": 12345,
    "name": "Ada Lovelace",
    "email": "ada@example.org",
    "active": True,
    "score": 98.6,
    "tags": ["engine", "notes", "poetry"],
    "address": {"city": "London", "zip": "W1J"},
    "note": "",
}


def _body_of(length: int) -> bytes:
    def encoded(note: str) -> bytes:
        return json.dumps({**_ECHOED, "note": note}, separators=(",", ":")).encode()

    return encoded("n" * (length - len(encoded(""))))


ECHO_BODY = _body_of(200)


@dataclass(frozen=True)
class Route:
    """A route as it is measured."""

    name: str
    method: str
    path: str
    content_type: str
    body: bytes = b""
    fields: tuple[str, ...] = ()
    """Further header fields, as lines."""


ROUTES = {
    route.name: route
    for route in (
        Route("/", "GET", "/", "text/plain"),
        Route("/json", "GET", "/json", "application/json"),
        Route("/user/{id}", "GET", "/user/42", "application/json"),
        Route("/echo", "POST", "/echo", "application/json", ECHO_BODY),
        Route("/compute", "GET", "/compute", "application/json"),
    )
}

HANDLERS = {
    route.name: route
    for route in (
        Route("/async", "GET", "/async", "text/plain"),
        Route("/io", "GET", "/io", "text/plain"),
        Route("/params/{id}", "GET", "/params/42", "application/json"),
    )
}
"""Further ones, of apps/handlers_app.py alone."""

_EXPECTED: dict[str, object] = {
    "/json": {"message": "Hello, World!"},
    "/user/42": {"id": "42"},
    "/user/seven-7": {"id": "seven-7"},
    "/echo": json.loads(ECHO_BODY),
    "/compute": {"result": 328350},
}


class WrongAnswer(Exception):
    """A server did not answer a route as it must; the text says how."""


def check(port: int, routes: list[Route], *, parses_json: bool) -> None:
    """Ask every route and compare status, content type and body.

    A server that claims to parse JSON must also refuse a broken body, or it only copies bytes.

    Raises:
        WrongAnswer: The first difference.
    """
    for route in routes:
        with Client(port) as client:
            for path in [route.path, *(["/user/seven-7"] if "user" in route.path else [])]:
                # Twice on one connection: keep-alive works, and nothing leaks between the two.
                for _ in range(2):
                    compare(path, route.content_type, _ask(client, route.method, path, route.body))
    if parses_json and any(route.body for route in routes):
        with Client(port) as client:
            broken = _ask(client, "POST", "/echo", ECHO_BODY[:-1])
            if broken.status < 400:
                raise WrongAnswer(f"POST /echo answers {broken.status} to broken JSON")


def check_pipeline(port: int, route: Route) -> None:
    """Send a full pipeline at once and compare all its answers.

    Raises:
        WrongAnswer: The first difference.
    """
    with Client(port) as client:
        try:
            client.send(request(route.method, route.path, port, route.body) * PIPELINE_DEPTH)
            for _ in range(PIPELINE_DEPTH):
                compare(route.path, route.content_type, client.answer())
        except BadAnswer as reason:
            raise WrongAnswer(f"{route.name}, pipelined: {reason}") from None


def compare(path: str, content_type: str, answer: Answer) -> None:
    """Compare an answer with what the route must give.

    Raises:
        WrongAnswer: They differ.
    """
    if answer.status != 200:
        raise WrongAnswer(f"{path}: status {answer.status}, body {answer.body[:60]!r}")
    sent_type = answer.headers.get("content-type", "")
    if sent_type.partition(";")[0].strip().lower() != content_type:
        raise WrongAnswer(f"{path}: content type {sent_type!r}, not {content_type}")
    if path == "/":
        right = answer.body == b"Hello, World!"
    else:
        try:
            right = json.loads(answer.body) == _EXPECTED[path]
        except ValueError:
            right = False
    if not right:
        raise WrongAnswer(f"{path}: body {answer.body[:60]!r}")


def _ask(client: Client, method: str, path: str, body: bytes) -> Answer:
    try:
        return client.ask(method, path, body)
    except BadAnswer as reason:
        raise WrongAnswer(f"{method} {path}: {reason}") from None

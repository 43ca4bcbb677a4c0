"""What is registered, in texts: what counts as a difference, and how that is said."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from pyreframework import Pyre
from pyreframework.program.outline import ANYTHING, SEPARATOR, compare, key, name_of_type, outline
from pyreframework.session_options import keys_of
from pyreframework.sessions import SessionStore

SECRET = "a secret of this test alone"
OTHER = "the secret that comes in its place"


def one(req: Any) -> None: ...


def two(req: Any) -> None: ...


def after(req: Any, resp: Any) -> None: ...


class Odd(Exception): ...


class Stored(SessionStore):
    def load(self, key: str) -> None:
        return None

    def save(self, key: str, data: dict[str, object], max_age: float) -> None:
        return None

    def delete(self, key: str) -> None:
        return None


class OtherStored(Stored): ...


def made(*register: Callable[[Pyre], object]) -> list[str]:
    app = Pyre()
    for step in register:
        step(app)
    return outline(app)


def test_equal_apps_do_not_differ() -> None:
    steps: list[Callable[[Pyre], object]] = [
        lambda app: app.get("/", one, request_timeout=5),
        lambda app: app.before_request(one),
        lambda app: app.after_request(after),
        lambda app: app.fallback(one),
        lambda app: app.exception_handler(Odd, after),
        lambda app: app.on_worker_start(lambda: None),
        lambda app: app.enable_request_id(),
        lambda app: app.sessions(SECRET, store=Stored()),
        lambda app: app.enable_csrf(trusted_origins=["https://a.example"]),
    ]
    assert compare(made(*steps), made(*steps)) is None
    assert compare([], []) is None


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ([], [lambda app: app.before_request(one)], "before_request hook one .* main interpreter"),
        ([lambda app: app.fallback(one)], [], "the fallback one .* is only in this worker"),
        (
            [lambda app: app.get("/", one)],
            [lambda app: app.get("/", two)],
            "GET / is answered by one .* in this worker and by two .* in the main interpreter",
        ),
        (
            [lambda app: app.get("/a", one)],
            [lambda app: app.get("/b", one)],
            "route 0 is GET /a in this worker and GET /b in the main interpreter",
        ),
        (
            [lambda app: app.get("/", one)],
            [lambda app: app.get("/", one, gil=True)],
            "option gil=True for GET / is only in the main interpreter",
        ),
        (
            [lambda app: app.get("/", one, request_timeout=1)],
            [lambda app: app.get("/", one, request_timeout=2)],
            "GET / has request_timeout=1 in this worker and request_timeout=2 in the main",
        ),
        (
            [lambda app: (app.before_request(one), app.before_request(two))],
            [lambda app: (app.before_request(two), app.before_request(one))],
            "before_request hook 0 is one .* in this worker and two",
        ),
        (
            [lambda app: app.exception_handler(Odd, after)],
            [lambda app: app.exception_handler(KeyError, after)],
            "exception_handler 0 is after .* for .*Odd in this worker and after .* for KeyError",
        ),
        ([], [lambda app: setattr(app, "json_default", str)], "the json_default str is only"),
        ([], [lambda app: app.enable_request_id()], "^enable_request_id is only in the main"),
        (
            [lambda app: app.enable_security_headers(hsts=1)],
            [lambda app: app.enable_security_headers(hsts=2)],
            "security header Strict-Transport-Security 0 is max-age=1 in this worker and max-age=2",
        ),
        (
            [lambda app: setattr(app, "trusted_hosts", ["a"])],
            [lambda app: setattr(app, "trusted_hosts", ["b"])],
            "trusted_hosts 0 is a in this worker and b in the main interpreter",
        ),
        ([], [lambda app: app.sessions(SECRET)], r"^app.sessions\(\) is only in the main interpr"),
        (
            [lambda app: app.sessions(SECRET)],
            [lambda app: app.sessions([OTHER, SECRET])],
            r"^app.sessions\(\) has another secret in this worker than .*: read it from the",
        ),
        (
            [lambda app: app.sessions(SECRET, path="/a")],
            [lambda app: app.sessions(SECRET, path="/b", max_age=60)],
            r"^app.sessions\(\) has max_age=1209600 in this worker and max_age=60 in the main",
        ),
        (
            [lambda app: app.sessions(SECRET, store=Stored())],
            [lambda app: app.sessions(SECRET, store=OtherStored())],
            r"^app.sessions\(\) has store=Stored in this worker and store=OtherStored in the main",
        ),
        (
            [lambda app: app.enable_csrf(exempt=["/b", "/a"])],
            [lambda app: app.enable_csrf(exempt=["/b"])],
            r"^app.enable_csrf\(\) has exempt=/a, /b in this worker and exempt=/b in the main",
        ),
        ([], [lambda app: app.enable_https_redirect()], "enable_https_redirect status 308 is only"),
        (
            [lambda app: app.before_request(one)],
            [lambda app: (app.before_request(one), app.before_request(one))],
            "before_request hook one .* is only in the main interpreter",
        ),
    ],
)
def test_a_difference_is_named(here: list[Any], there: list[Any], said: str) -> None:
    difference = compare(made(*here), made(*there))
    assert difference is not None
    assert re.search(said, difference), difference


def test_a_secret_is_compared_and_not_told() -> None:
    texts = made(lambda app: app.sessions([SECRET, OTHER.encode()]))
    assert compare(texts, made(lambda app: app.sessions([SECRET.encode(), OTHER]))) is None
    keys = keys_of([SECRET, OTHER], b"pyreframework session v1: session")
    for told in (SECRET, OTHER, *(one.hex() for one in keys)):
        assert not any(told in text for text in texts)
    # Nor by what is signed with it.
    assert compare(texts, made(lambda app: app.sessions([OTHER, SECRET]))) is not None


def test_what_a_websocket_is_registered_with_is_compared() -> None:
    plain = made(lambda app: app.websocket("/ws", one))
    assert compare(plain, made(lambda app: app.websocket("/ws", one))) is None
    for other in (
        made(lambda app: app.get("/ws", one)),
        made(lambda app: app.websocket("/ws", one, allowed_origins=["https://a.b"])),
        made(lambda app: app.websocket("/ws", one, subprotocols=["chat"])),
        made(lambda app: app.websocket("/ws", one, compression=False)),
        made(lambda app: app.websocket("/ws", two)),
    ):
        assert "GET /ws" in (compare(plain, other) or "")


def test_what_runs_on_main_alone_may_differ() -> None:
    assert made(lambda app: (app.on_startup(print), app.on_shutdown(print))) == []


def test_stand_ins_and_functions_in_c_are_taken_as_equal() -> None:
    entry = SEPARATOR.join(("fallback", "", "one (program.py:3)"))
    for other in (ANYTHING, "one"):
        twin = SEPARATOR.join(("fallback", "", other))
        assert compare([twin], [entry]) is None
        assert compare([entry], [twin]) is None
    assert compare([SEPARATOR.join(("fallback", "", "one (program.py:4)"))], [entry])


def test_keys() -> None:
    line = one.__code__.co_firstlineno
    assert key(one) == f"one (test_outline.py:{line})"
    assert key(functools.partial(one, 1)) == f"partial of one (test_outline.py:{line})"
    assert key(print) == "print"
    space: dict[str, Any] = {}
    exec("def made(req): ...", space)
    assert key(space["made"]) == "made"
    assert name_of_type(KeyError) == "KeyError"
    assert name_of_type(Odd).endswith(".Odd")

"""What answers tell browsers to refuse: each answer says it once, whoever makes it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator

import pytest
from dialogue import Reply, request
from gate import Gate
from places import PLACES
from serving import Server, serve

POLICY = "content-security-policy"
STRICT = "strict-transport-security"
HTTPS = [("X-Forwarded-Proto", "https")]

# What all answers have, with the options of `all_of_it`.
EVERYWHERE = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-permitted-cross-domain-policies": "none",
    "permissions-policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
    ),
    POLICY: "default-src 'self'; script-src 'self'; style-src 'none'",
    "content-security-policy-report-only": "img-src 'self'",
}

PATHS = {
    "/text": 200,
    "/json": 200,
    "/hooked": 401,
    "/error": 418,
    "/raise": 500,
    "/redirect": 302,
    "/generator": 200,
    "/events": 200,
    "/metrics": 200,
    "/livez": 200,
    "/folder/protected.py": 200,
    "/folder/nowhere": 404,
    "/sent": 200,
    "/nowhere": 404,
    "/pieces": 405,
    "/late": 504,
    "/ws": 426,
}


def served(place: str, **given: object) -> Iterator[Server]:
    options = dict(PLACES[place])
    env = {"TEST_SECURITY": json.dumps(given)} | dict(options.pop("env", {}))  # type: ignore[call-overload]
    with serve("protected", workers=1, env=env, **options) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def all_of_it(place: str) -> Iterator[Server]:
    yield from served(
        place,
        headers={
            "content_security_policy": (
                "default-src 'self'; script-src 'self' {nonce}; style-src {nonce}"
            ),
            "content_security_policy_report_only": {"img-src": "'self'"},
        },
        cors={"allow_origins": ["https://page.example"]},
    )


def said(reply: Reply) -> dict[str, list[str]]:
    return {name: reply.all(name) for name in EVERYWHERE}


def with_nonce(nonce: str) -> str:
    return f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'nonce-{nonce}'"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_says_it_once(all_of_it: Server, path: str, method: str) -> None:
    with all_of_it.connect() as peer:
        for headers in ([], HTTPS, [("Origin", "https://page.example")]):
            reply = peer.request(method, path, headers)
            assert reply.status == PATHS[path]
            expected = {name: [value] for name, value in EVERYWHERE.items()}
            if path == "/hooked":
                policy = reply.all(POLICY)
                assert len(policy) == 1
                assert "'nonce-" in policy[0]
                expected[POLICY] = policy
            assert said(reply) == expected
            assert reply.all(STRICT) == (["max-age=31536000"] if headers == HTTPS else [])
            if reply.closes:
                break


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nonce", 200),
        ("/nonce-async", 201),
        ("/nonce-kept", 200),
        ("/nonce-pieces", 200),
        ("/nonce-fault", 418),
        ("/nonce-file", 200),
        ("/hooked", 401),
    ],
)
def test_a_nonce_is_in_the_policy_of_its_answer(all_of_it: Server, path: str, status: int) -> None:
    seen = set()
    with all_of_it.connect() as peer:
        for _ in range(4):
            reply = peer.get(path)
            assert reply.status == status
            nonces = set((reply.header("x-nonce") or reply.text).replace("fault ", "").split())
            (nonce,) = nonces - {"hooked"}
            assert len(base64.b64decode(nonce, validate=True)) == 18
            assert reply.all(POLICY) == [with_nonce(nonce)]
            seen.add(nonce)
            # Not that of the request before.
            assert peer.get("/text").all(POLICY) == [EVERYWHERE[POLICY]]
    assert len(seen) == 4


def test_requests_in_a_pipeline_have_a_nonce_each(all_of_it: Server) -> None:
    paths = ["/nonce", "/text", "/nonce-kept", "/folder/protected.py", "/nonce-async", "/nowhere"]
    with all_of_it.connect() as peer:
        peer.send(b"".join(request("GET", path) for path in paths * 3))
        nonces = []
        for path in paths * 3:
            reply = peer.reply()
            if path.startswith("/nonce"):
                nonces.append(reply.text)
                assert reply.all(POLICY) == [with_nonce(reply.text)]
            else:
                assert reply.all(POLICY) == [EVERYWHERE[POLICY]]
        assert len(set(nonces)) == 9


@pytest.mark.parametrize("much", [0, 6000])
def test_requests_that_are_kept_have_come_by_https_too(all_of_it: Server, much: int) -> None:
    """A long one takes the buffer with it that it was read into."""
    sent = [("X-Much", "x" * much), *HTTPS]
    with all_of_it.connect() as peer:
        for _ in range(3):
            reply = peer.get("/nonce-kept", sent)
            assert reply.all(STRICT) == ["max-age=31536000"]
            assert reply.all(POLICY) == [with_nonce(reply.text)]
        # What is behind it in a pipeline goes on with a copy.
        peer.send(request("GET", "/nonce-kept", sent) + request("GET", "/text", sent))
        assert peer.reply().all(STRICT) == ["max-age=31536000"]
        assert peer.reply().all(STRICT) == ["max-age=31536000"]


def test_what_a_handler_says_itself_goes_before(all_of_it: Server) -> None:
    with all_of_it.connect() as peer:
        for _ in range(2):
            reply = peer.get("/own", HTTPS)
            assert reply.all(POLICY) == ["default-src 'none'"]
            assert reply.all("x-frame-options") == ["SAMEORIGIN"]
            assert reply.all("referrer-policy") == ["origin"]
            assert reply.all(STRICT) == ["max-age=7"]
            assert reply.all("cross-origin-opener-policy") == ["same-origin"]
            stream = peer.get("/own-stream")
            assert stream.all("x-frame-options") == ["SAMEORIGIN"]
            assert stream.all(POLICY) == [EVERYWHERE[POLICY]]


def test_what_is_kept_has_the_policy_of_its_nonce(all_of_it: Server) -> None:
    """A 304 would put its own in place of the one that the page was kept with."""
    with all_of_it.connect() as peer:
        tag = peer.get("/folder/protected.py").header("etag")
        assert tag
        reply = peer.get("/folder/protected.py", [("If-None-Match", tag)])
        assert reply.status == 304
        assert reply.all(POLICY) == []
        assert reply.all("x-frame-options") == ["DENY"]
        assert reply.all("content-security-policy-report-only") == ["img-src 'self'"]


def test_large_files_and_parts_of_files(all_of_it: Server) -> None:
    with all_of_it.connect() as peer:
        reply = peer.get("/folder/protected.py", [("Range", "bytes=0-9"), *HTTPS])
        assert (reply.status, len(reply.body)) == (206, 10)
        assert said(reply) == {name: [value] for name, value in EVERYWHERE.items()}
        assert reply.all(STRICT) == ["max-age=31536000"]


def test_preflights_say_it_too(all_of_it: Server) -> None:
    asked = [("Origin", "https://page.example"), ("Access-Control-Request-Method", "PUT")]
    with all_of_it.connect() as peer:
        reply = peer.request("OPTIONS", "/text", asked)
        assert (reply.status, reply.all("x-frame-options")) == (204, ["DENY"])


def test_what_cannot_be_read(all_of_it: Server) -> None:
    for sent, status in ((b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400)):
        with all_of_it.connect() as peer:
            peer.send(sent)
            reply = peer.reply()
            assert (reply.status, reply.all("x-frame-options")) == (status, ["DENY"])


def test_old_clients(all_of_it: Server) -> None:
    with all_of_it.connect() as peer:
        peer.send(b"GET /generator HTTP/1.0\r\nForwarded: proto=https\r\n\r\n")
        reply = peer.reply()
        assert said(reply) == {name: [value] for name, value in EVERYWHERE.items()}
        assert (reply.text, reply.all(STRICT)) == ("pieces", ["max-age=31536000"])


HANDSHAKE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


def test_a_handshake_that_is_refused(all_of_it: Server) -> None:
    with all_of_it.connect() as peer:
        reply = peer.get("/ws-refused", HANDSHAKE)
        assert reply.status == 403
        assert said(reply) == {name: [value] for name, value in EVERYWHERE.items()}


def test_a_full_server() -> None:
    given = json.dumps({"headers": {}})
    env = {"TEST_SECURITY": given}
    with serve("protected", workers=1, threads=1, max_in_flight=1, env=env) as server:
        with Gate() as gate, server.connect() as first, server.connect() as second:
            first.send(request("GET", f"/hold/{gate.port}"))
            gate.entered()
            reply = second.get("/text", HTTPS)
            assert (reply.status, reply.all("x-frame-options")) == (503, ["DENY"])
            assert reply.all(STRICT) == ["max-age=31536000"]
            gate.release_all()
            assert first.reply().status == 200


def test_none_leaves_a_header_out(place: str) -> None:
    options = {
        "hsts": None,
        "content_security_policy": None,
        "referrer_policy": None,
        "permissions_policy": None,
        "frame_options": None,
        "content_type_options": False,
        "cross_origin_opener_policy": None,
        "cross_origin_resource_policy": None,
        "permitted_cross_domain_policies": None,
    }
    for server in served(place, headers=options):
        with server.connect() as peer:
            # Templates need not know whether there is a policy.
            assert len(peer.get("/nonce").text) == 24
            reply = peer.get("/text", HTTPS)
            names = [name for name, _ in reply.headers]
            assert names == ["server", "date", "content-type", "content-length"]


def test_the_page_of_debug_mode_has_its_style(place: str) -> None:
    for server in served(
        place, headers={"content_security_policy": "default-src 'none'"}, debug=True
    ):
        with server.connect() as peer:
            reply = peer.get("/raise")
            style = re.search("<style>(.*)</style>", reply.text, re.DOTALL)
            assert reply.status == 500
            assert style
            digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
            (policy,) = reply.all(POLICY)
            assert f"style-src 'sha256-{digest}'" in policy
            assert reply.all("x-frame-options") == ["DENY"]

"""What may be said of headers, hosts and https, and what the engine is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from pyreframework import Pyre

POLICY = "content_security_policy"


def lines(**options: Any) -> list[str]:
    app = Pyre()
    app.enable_security_headers(**options)
    return app.security_headers


def test_what_is_said_by_default() -> None:
    assert lines() == [
        "Content-Security-Policy base-uri 'self'; object-src 'none'",
        (
            "Permissions-Policy camera=(), display-capture=(), geolocation=(), microphone=(), "
            "payment=(), usb=()"
        ),
        "Referrer-Policy strict-origin-when-cross-origin",
        "X-Frame-Options DENY",
        "Cross-Origin-Opener-Policy same-origin",
        "Cross-Origin-Resource-Policy same-origin",
        "X-Permitted-Cross-Domain-Policies none",
        "X-Content-Type-Options nosniff",
        "https Strict-Transport-Security max-age=31536000",
    ]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"hsts": 0}, "https Strict-Transport-Security max-age=0"),
        (
            {"hsts": 63_072_000, "hsts_include_subdomains": True, "hsts_preload": True},
            "https Strict-Transport-Security max-age=63072000; includeSubDomains; preload",
        ),
        ({"frame_options": "SAMEORIGIN"}, "X-Frame-Options SAMEORIGIN"),
        ({"referrer_policy": "no-referrer, origin"}, "Referrer-Policy no-referrer, origin"),
        *(
            ({"permissions_policy": text}, f"Permissions-Policy {text}")
            for text in (
                "camera=(self)",
                "camera=*",
                "camera=self",
                'camera=( self  "https://a.b" )   ,usb=(),  midi=("https://*.a.b:8443")',
                'camera="https://a.b"',
                'to-come=();report-to=main, usb=(self;a src);b="c, d"',
            )
        ),
        (
            {"permissions_policy": {"camera": ["https://*.a.b"], "usb": ["*"]}},
            'Permissions-Policy camera=("https://*.a.b"), usb=*',
        ),
        (
            {"permissions_policy": {"camera": [], "usb": "*", "midi": ["self", "https://a.b"]}},
            'Permissions-Policy camera=(), usb=*, midi=(self "https://a.b")',
        ),
        (
            {"reporting_endpoints": {"csp": "https://example.com/csp"}},
            'Reporting-Endpoints csp="https://example.com/csp"',
        ),
        ({POLICY: "Default-Src  'self' ; img-src *;"}, "default-src 'self'; img-src *"),
        ({POLICY: "script-src 'nonce-{nonce}' 'self'"}, "script-src {nonce} 'self'"),
        (
            {POLICY: {"script-src": ["'self'", "{nonce}"], "sandbox": True, "img-src": None}},
            "script-src 'self' {nonce}; sandbox",
        ),
        ({POLICY: {"img-src": "'self' data:"}}, "img-src 'self' data:"),
        ({POLICY: {"report-to": "csp"}}, "report-to csp"),
        (
            {POLICY: "script-src 'SELF' 'sha256-AbC+/0_-=' 'Strict-Dynamic' 'url-sha384-aa=='"},
            "script-src 'SELF' 'sha256-AbC+/0_-=' 'Strict-Dynamic' 'url-sha384-aa=='",
        ),
        ({POLICY: "img-src https://a.b/c'd"}, "img-src https://a.b/c'd"),
        (
            {POLICY: "require-trusted-types-for 'script'; trusted-types a 'allow-duplicates'"},
            "require-trusted-types-for 'script'; trusted-types a 'allow-duplicates'",
        ),
        ({POLICY: "webrtc 'block'"}, "webrtc 'block'"),
        (
            {POLICY: "sandbox allow-forms Allow-Scripts; upgrade-insecure-requests"},
            "sandbox allow-forms Allow-Scripts; upgrade-insecure-requests",
        ),
        # Those that were, and those to come.
        (
            {POLICY: "block-all-mixed-content; plugin-types text/css; navigate-to 'x'"},
            "block-all-mixed-content; plugin-types text/css; navigate-to 'x'",
        ),
        (
            {"content_security_policy_report_only": "default-src 'none'"},
            "Content-Security-Policy-Report-Only default-src 'none'",
        ),
    ],
)
def test_what_can_be_said(options: dict[str, Any], line: str) -> None:
    if POLICY in options:
        line = f"Content-Security-Policy {line}"
    assert line in lines(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hsts": -1}, "hsts is from 0"),
        ({"hsts": 2**31}, "hsts is from 0"),
        ({"hsts": None, "hsts_preload": True}, "nothing to say"),
        ({"hsts_preload": True}, "hsts_include_subdomains=True"),
        ({"hsts": 60, "hsts_include_subdomains": True, "hsts_preload": True}, "from 31536000"),
        ({"frame_options": "deny"}, "did you mean 'DENY'"),
        ({"frame_options": "ALLOWALL"}, "one of DENY, SAMEORIGIN"),
        ({"referrer_policy": "same_origin"}, "did you mean 'same-origin'"),
        ({"referrer_policy": ""}, "referrer_policy is one of"),
        ({"cross_origin_opener_policy": "sameorigin"}, "did you mean 'same-origin'"),
        ({"cross_origin_resource_policy": "x\r\nSet-Cookie: a"}, "is one of"),
        ({"permissions_policy": "camera"}, "write camera=()"),
        ({"permissions_policy": "camera=()\r\nX: y"}, "may not be sent"),
        ({"permissions_policy": {"Camera": []}}, "no feature"),
        ({"permissions_policy": {"camera": ['a"b']}}, "no origin"),
        ({"permissions_policy": {}}, "is empty"),
        *(
            ({"permissions_policy": f"usb=(), {text}, midi=()"}, f"{text!r}")
            for text in (
                "camera=(self",
                "camera=self)",
                "camera=(self))",
                "camera='self'",
                "camera=('self')",
                "camera=",
                "camera =()",
                "Camera=()",
                "camera=() usb=()",
                'camera=("https://a.b"self)',
                "camera:()",
                "camera 'none'",
                "camera=();",
                "",
            )
        ),
        ({"permissions_policy": 'camera=("https://a.b)'}, "camera="),
        ({"permissions_policy": "camera=(none)"}, "camera has 'none'"),
        ({"permissions_policy": "camera=none"}, "camera has 'none'"),
        ({"permissions_policy": "camera=1"}, "'camera=1'"),
        ({"permissions_policy": 'camera=("self")'}, "camera has '\"self\"'"),
        ({"permissions_policy": "camera=(https://a.b)"}, "camera has 'https://a.b'"),
        ({"permissions_policy": "camera=(), camera=(self)"}, "twice"),
        ({"permissions_policy": "camera=(),"}, "write camera=()"),
        ({"permissions_policy": {"camera": ["none"]}}, "'none' is no origin"),
        ({"permissions_policy": {"camera": ["https://a.*.b"]}}, "no origin"),
        ({"reporting_endpoints": {"a b": "https://a"}}, "no name"),
        ({"reporting_endpoints": {"a": 'https://a"'}}, "no URL"),
        ({POLICY: ""}, "is empty"),
        ({POLICY: {}}, "is empty"),
        ({POLICY: "default-src 'self'\r\nX: y"}, "may not be sent"),
        ({POLICY: "default-src 'self'\0"}, "may not be sent"),
        ({POLICY: "default-src é"}, "may not be sent"),
        ({POLICY: "scriptsrc 'self'"}, "did you mean 'script-src'"),
        ({POLICY: {"script_src": "'self'"}}, "did you mean 'script-src'"),
        ({POLICY: "img-src a; img-src b"}, "twice"),
        ({POLICY: "img-src"}, "no value"),
        ({POLICY: "img-src 'slef'"}, "'slef'\" is no keyword: did you mean \"'self'\"?"),
        ({POLICY: {"img-src": ["'slef'"]}}, "did you mean \"'self'\"?"),
        ({POLICY: "img-src 'x'"}, "is no keyword"),
        ({POLICY: "img-src 'self"}, '"\'self" has a quotation mark'),
        ({POLICY: "img-src self'"}, "has a quotation mark"),
        ({POLICY: "img-src 'self''"}, "is no keyword"),
        ({POLICY: "img-src ''"}, "is no keyword"),
        ({POLICY: "img-src '"}, "has a quotation mark"),
        ({POLICY: 'img-src "self"'}, "has a quotation mark"),
        ({POLICY: "script-src 'sha256-'"}, "is no keyword"),
        ({POLICY: "script-src 'sha256-a b'"}, "has a quotation mark"),
        ({POLICY: "script-src 'sha1-abc='"}, "is no keyword"),
        ({POLICY: "script-src 'sha256-a!'"}, "is no keyword"),
        ({POLICY: "img-src 'script'"}, "is no keyword"),
        ({POLICY: "require-trusted-types-for 'self'"}, "is no keyword"),
        ({POLICY: "require-trusted-types-for script"}, "takes \"'script'\""),
        ({POLICY: "trusted-types 'self'"}, "is no keyword"),
        ({POLICY: "webrtc allow"}, "takes \"'allow'\" or \"'block'\""),
        ({POLICY: "sandbox foo"}, "sandbox takes allow-"),
        ({POLICY: "sandbox allow-script"}, "did you mean 'allow-scripts'"),
        ({POLICY: "sandbox: foo"}, "'sandbox:' is no directive: did you mean 'sandbox'?"),
        ({POLICY: "upgrade-insecure-requests 1"}, "takes no value"),
        ({POLICY: {"upgrade-insecure-requests": ["1"]}}, "takes no value"),
        ({POLICY: "to_come 'self'"}, "'to_come' is no directive"),
        ({POLICY: {"img src": "a"}}, "is no directive"),
        ({POLICY: {"": "a"}}, "is no directive"),
        ({POLICY: "img-src self"}, "\"'self'\""),
        ({POLICY: "img-src 'none' a"}, "'none' beside"),
        ({POLICY: "img-src {nonce}"}, "takes no nonce"),
        ({POLICY: "script-src 'nonce'"}, "write {nonce}"),
        ({POLICY: "script-src 'nonce-abc'"}, "write {nonce}"),
        ({POLICY: "script-src {nonse}"}, "write {nonce}"),
        ({POLICY: "script-src a, img-src b"}, "comma"),
        ({POLICY: {"script-src": "a; img-src b"}}, "end the directive"),
    ],
)
def test_what_no_header_can_say(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="enable_security_headers: ") as error:
        lines(**options)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frame_option": "DENY"}, "no option 'frame_option': did you mean 'frame_options'"),
        ({"hsts": "max-age=1"}, "number of seconds"),
        ({"hsts": True}, "number of seconds"),
        ({"hsts_preload": 1}, "True or False"),
        ({"content_type_options": "nosniff"}, "True, False or None"),
        ({"referrer_policy": 1}, "is a str"),
        ({"permissions_policy": ["camera"]}, "a str or a dict"),
        ({"permissions_policy": {"camera": 1}}, "a list of them"),
        ({"reporting_endpoints": "https://a"}, "a dict"),
        ({POLICY: ["default-src 'self'"]}, "a str or a dict"),
        ({POLICY: {"img-src": [1]}}, "int is among"),
        ({POLICY: {1: "a"}}, "is a str"),
    ],
)
def test_what_has_the_wrong_type(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as error:
        lines(**options)
    assert said in str(error.value)


def test_none_leaves_any_header_out() -> None:
    names = [
        "hsts", POLICY, f"{POLICY}_report_only", "reporting_endpoints", "referrer_policy",
        "permissions_policy", "frame_options", "content_type_options", "cross_origin_opener_policy",
        "cross_origin_resource_policy", "cross_origin_embedder_policy",
        "permitted_cross_domain_policies",
    ]  # fmt: skip
    assert lines(**dict.fromkeys(names)) == []
    assert not any("nosniff" in line for line in lines(content_type_options=False))


def test_what_is_called_again_replaces_what_was_said() -> None:
    app = Pyre()
    app.enable_security_headers()
    app.enable_security_headers(hsts=None)
    assert not any("Strict" in line for line in app.security_headers)


def test_hosts() -> None:
    assert Pyre().trusted_hosts == ()
    app = Pyre(trusted_hosts=["Example.com", "*.bücher.example", "10.0.0.0/8", "[::1]"])
    assert app.trusted_hosts == ("Example.com", "*.bücher.example", "10.0.0.0/8", "[::1]")
    assert app.hosts == ["Example.com", "*.xn--bcher-kva.example", "10.0.0.0/8", "[::1]"]
    app.trusted_hosts = ["localhost"]
    assert (app.trusted_hosts, app.hosts) == (("localhost",), ["localhost"])
    app.trusted_hosts = []
    assert (app.trusted_hosts, app.hosts) == ((), [])


@pytest.mark.parametrize(
    ("hosts", "error", "said"),
    [
        ("example.com", TypeError, "a list of hosts"),
        (b"example.com", TypeError, "a list of hosts"),
        (None, TypeError, "a list of hosts"),
        ([b"example.com"], TypeError, "bytes is in it"),
        (["localhost:8000"], ValueError, "ports are not compared"),
        (["https://example.com"], ValueError, "leave out the scheme"),
        ([".example.com"], ValueError, '"*.example.com"'),
        (["a..b"], ValueError, "nothing between two dots"),
        (["256.1.1.1"], ValueError, "no address"),
        (["*"], ValueError, "a star"),
        (["a.*.b"], ValueError, "a star"),
        (["10.0.0.1/8"], ValueError, "bits behind"),
        ([""], ValueError, "no host"),
        (["a\r\nb"], ValueError, "no host"),
    ],
)
def test_what_no_host_is(hosts: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match="trusted_hosts") as raised:
        Pyre(trusted_hosts=hosts)
    assert said in str(raised.value)


def test_redirects() -> None:
    app = Pyre()
    app.enable_https_redirect()
    assert app.https_redirect == ["status 308"]
    app.enable_https_redirect(status=301, port=8443, host="bücher.example")
    assert app.https_redirect == ["status 301", "port 8443", "host xn--bcher-kva.example"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"status": 200}, ValueError, "status is one of"),
        ({"status": "301"}, TypeError, "a whole number"),
        ({"port": 0}, ValueError, "no port"),
        ({"port": 65536}, ValueError, "no port"),
        ({"port": True}, TypeError, "a whole number"),
        ({"host": 5}, TypeError, "host is a str, not int"),
        ({"host": b"a"}, TypeError, "host is a str, not bytes"),
        ({"host": "*.a"}, ValueError, "not one host"),
        ({"host": "10.0.0.0/8"}, ValueError, "not one host"),
        ({"host": "a:80"}, ValueError, "ports are not compared"),
        ({"host": "a b"}, ValueError, "no host"),
    ],
)
def test_what_no_redirect_is(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match="enable_https_redirect") as raised:
        Pyre().enable_https_redirect(**options)
    assert said in str(raised.value)


def test_nothing_is_changed_while_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Pyre()
    monkeypatch.setattr(Pyre, "serving", True)
    for change in (
        app.enable_security_headers,
        app.enable_https_redirect,
        lambda: setattr(app, "trusted_hosts", ["a"]),
    ):
        with pytest.raises(RuntimeError, match="being served"):
            change()

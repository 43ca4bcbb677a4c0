"""`redirect()`: the address in a form a header can hold."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyreframework import Pyre, redirect
from pyreframework.redirects import STATUSES, location
from pyreframework.testing import TestClient


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/", "/"),
        ("https://example.org/a?b=c&d=%20e#f", "https://example.org/a?b=c&d=%20e#f"),
        ("/a b", "/a%20b"),
        ("/caf\u00e9", "/caf%C3%A9"),
        ("/\U0001f600", "/%F0%9F%98%80"),
        ("/%C3%A9\u00e9", "/%C3%A9%C3%A9"),
        ("?q=\u00e9&r=a b", "?q=%C3%A9&r=a%20b"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("\\\\evil.example", "%5C%5Cevil.example"),
        ('/a"<b>^`{|}', "/a%22%3Cb%3E%5E%60%7B%7C%7D"),
        ("/a[0]!$&'()*+,;=:@~-._", "/a[0]!$&'()*+,;=:@~-._"),
        ("/\x85\ud800", "/%C2%85%EF%BF%BD"),
        ("", ""),
    ],
)
def test_location(url: str, sent: str) -> None:
    resp = redirect(url)
    assert resp.status_code == 302
    assert resp.headers["Location"] == sent


@pytest.mark.parametrize("status", STATUSES)
def test_statuses(status: int) -> None:
    assert redirect("/", status_code=status).status_code == status


def test_no_body_has_no_type() -> None:
    app = Pyre()
    app.get("/")(lambda req: redirect("/elsewhere"))
    with TestClient(app) as client:
        reply = client.get("/", follow_redirects=False)
    assert (reply.status_code, reply.content) == (302, b"")
    assert "content-type" not in reply.headers
    assert reply.headers["content-length"] == "0"


@pytest.mark.parametrize("status", [200, 300, 304, 404])
def test_what_is_no_redirect(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        redirect("/", status)


@pytest.mark.parametrize(
    "url", ["/a\r\nX: 1", "/a\rb", "/a\nb", "/\0", "/\t/b", "/\x7f", "/\x1b", "\n"]
)
def test_controls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="control"):
        redirect(url)


@pytest.mark.parametrize("url", [None, 5, b"/"])
def test_what_is_no_text(url: Any) -> None:
    with pytest.raises(TypeError, match=type(url).__qualname__):
        redirect(url)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_survives(url: str) -> None:
    sent = location(url)
    assert sent.isascii() and sent.isprintable() and " " not in sent
    assert unquote(sent) == unquote(url)

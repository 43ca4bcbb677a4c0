"""`redirect()`: the address in a form a header can hold."""

from __future__ import annotations

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


@pytest.mark.parametrize("url", ["/a\r\nX: 1", "/\0", "/\t", "/\x7f"])
def test_controls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="control"):
        redirect(url)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_survives(url: str) -> None:
    sent = location(url)
    assert sent.isascii() and sent.isprintable() and " " not in sent
    assert unquote(sent) == unquote(url)

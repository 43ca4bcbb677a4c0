"""`HTTPError`: what it carries, and the answer it becomes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

import pytest

from pyreframework import HTTPError, PyreRequest
from pyreframework.errors import DETAILS, answer

REQUEST = cast("PyreRequest", None)


def test_detail_by_status() -> None:
    assert HTTPError(404).detail == "not found"
    assert HTTPError(404, "no such user").detail == "no such user"
    assert HTTPError(404, "").detail == ""
    assert HTTPError(599).detail == "error"
    assert all(text == text.lower() for text in DETAILS.values())


@pytest.mark.parametrize("status", [status for status in HTTPStatus if status >= 300])
def test_every_status_that_has_a_phrase_has_a_detail(status: HTTPStatus) -> None:
    error = HTTPError(status)
    assert error.detail != "error"
    assert HTTPError(int(status)).detail == error.detail
    assert str(error) == f"{int(status)} {error.detail}"
    assert answer(REQUEST, error).status_code == status


def test_text() -> None:
    assert str(HTTPError(409, "taken")) == "409 taken"
    assert isinstance(HTTPError(500), Exception)


@pytest.mark.parametrize("status", [0, 99, 200, 299, 600, -404])
def test_statuses_that_are_no_error(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        HTTPError(status)


@pytest.mark.parametrize("detail", ["no", {"pay": 5}, ["a"], 0])
def test_answer(detail: Any) -> None:
    resp = answer(REQUEST, HTTPError(402, detail, {"X-Price": "5", "X-More": ["a", "b"]}))
    assert resp.status_code == 402
    assert resp.body == {"error": detail}
    assert resp.headers["X-Price"] == "5"
    assert resp.headers["X-More"] == ["a", "b"]


def test_not_modified_has_no_body() -> None:
    resp = answer(REQUEST, HTTPError(304))
    assert (resp.status_code, resp.body) == (304, b"")


def test_headers_are_a_copy() -> None:
    headers: dict[str, str | list[str]] = {"A": "1"}
    error = HTTPError(400, headers=headers)
    headers["A"] = "2"
    assert error.headers == {"A": "1"}

"""What stores hand out and fail at; how sessions are kept is in `test_sessions`."""

from __future__ import annotations

from typing import Any

import pytest

from pyreframework import HTTPError, Pyre, PyreRequest
from pyreframework.sessions import SessionStore, own_copy
from pyreframework.testing import TestClient


class Kept(SessionStore):
    """Hands out what it keeps, and fails in ``delete`` if it is told to."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.fails = 0

    def load(self, key: str) -> Any:
        return self.kept.get(key)

    def save(self, key: str, data: dict[str, object], max_age: float) -> None:
        self.kept[key] = data

    def delete(self, key: str) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("no connection")
        self.kept.pop(key, None)


class KeptLater(Kept):
    async def load(self, key: str) -> Any:  # type: ignore[override]
        return Kept.load(self, key)

    async def save(  # type: ignore[override]
        self, key: str, data: dict[str, object], max_age: float
    ) -> None:
        Kept.save(self, key, data, max_age)

    async def delete(self, key: str) -> None:  # type: ignore[override]
        Kept.delete(self, key)


def with_store(store: SessionStore) -> Pyre:
    app = Pyre()
    app.sessions("a secret of some length", store=store)

    @app.get("/add/{status:int}")
    def add(req: PyreRequest, status: int) -> Any:
        req.session.setdefault("cart", []).append(status)
        if status != 200:
            raise HTTPError(status)
        return req.session["cart"]

    @app.get("/renew")
    def renew(req: PyreRequest) -> str:
        req.session.renew()
        return "renewed"

    return app


@pytest.mark.parametrize("kind", [Kept, KeptLater])
def test_a_failure_changes_nothing_of_what_a_store_hands_out(kind: type[Kept]) -> None:
    with TestClient(with_store(kind())) as client:
        assert client.get("/add/200").json() == [200]
        assert client.get("/add/500").status_code == 500
        assert client.get("/add/200").json() == [200, 200]


@pytest.mark.parametrize("kind", [Kept, KeptLater])
def test_renewing_leaves_nothing_behind_if_the_store_fails_to_delete(kind: type[Kept]) -> None:
    store = kind()
    with TestClient(with_store(store)) as client:
        client.get("/add/200")
        store.fails = 1
        assert client.get("/renew").status_code == 500
        assert len(store.kept) == 1
        assert client.get("/renew").text == "renewed"
        assert len(store.kept) == 1
        assert client.get("/add/200").json() == [200, 200]


@pytest.mark.parametrize(
    ("loaded", "text"),
    [
        ([1], "Kept.load() returned a list: it returns a dict, or None"),
        ("{}", "Kept.load() returned a str"),
        ({1: 2}, "Kept.load() returned a dict with a key of int: keys are str"),
    ],
)
def test_what_a_store_loads_is_checked(loaded: Any, text: str) -> None:
    with pytest.raises(TypeError) as raised:
        own_copy(loaded, "Kept")
    assert text in str(raised.value)

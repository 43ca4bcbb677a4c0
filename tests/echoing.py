"""An app that tells what it has received, for tests of clients."""

from __future__ import annotations

from typing import Any

from pyreframework import Pyre, PyreRequest, PyreResponse, redirect, set_cookie
from pyreframework.testing import TestClient

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


def echoing() -> Pyre:
    """An app that tells what it has received."""
    app = Pyre()

    @app.route(METHODS, "/echo/{*rest}")
    def echo(req: PyreRequest) -> dict[str, Any]:
        return {
            "method": req.method,
            "path": req.path,
            "query": req.query,
            "headers": dict(req.headers),
            "cookies": dict(req.cookies),
            "body": req.body.decode("latin-1"),
        }

    @app.get("/status/{status:int}")
    def status(status: int) -> PyreResponse:
        return PyreResponse("said", status_code=status)

    @app.route(["GET", "POST", "PUT"], "/to/{status:int}/{*there}")
    def to(req: PyreRequest, status: int, there: str) -> PyreResponse:
        where = f"/{there}" if "://" not in there else there
        return PyreResponse("moved", status_code=status, headers={"Location": where})

    @app.get("/loop")
    def loop(req: PyreRequest) -> PyreResponse:
        return redirect("/loop")

    @app.get("/headers")
    def headers(req: PyreRequest) -> PyreResponse:
        fields: dict[str, str | list[str]] = {"X-One": "1", "Set-Cookie": ["a=1", "b=2; Path=/"]}
        return PyreResponse("caf\xe9".encode("latin-1"), 200, "text/plain; charset=latin-1", fields)

    @app.get("/cookies/{kind}")
    def cookies(req: PyreRequest, kind: str) -> PyreResponse:
        resp = PyreResponse(dict(req.cookies))
        match kind:
            case "path":
                return set_cookie(resp, "deep", "1", path="/echo/deep")
            case "domain":
                return set_cookie(resp, "theirs", "1", domain="example.com")
            case "secure":
                return set_cookie(resp, "secret", "1", secure=True)
            case "expired":
                return set_cookie(resp, "plain", "", max_age=0)
        return set_cookie(resp, "plain", "1")

    return app


def echo(client: TestClient, method: str = "POST", path: str = "/echo/x", **options: Any) -> Any:
    return client.request(method, path, **options).raise_for_status().json()

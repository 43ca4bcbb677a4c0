"""What can be switched on at an app, and what is refused."""

from __future__ import annotations

import pytest

from pyreframework import Pyre


def test_pages() -> None:
    app = Pyre()
    app.enable_metrics()
    app.enable_health_probes(readyz="/ready")
    assert app.pages == {"/metrics": "metrics", "/livez": "live", "/ready": "ready"}
    app.enable_metrics("/m")
    assert app.pages == {"/livez": "live", "/ready": "ready", "/m": "metrics"}
    assert app.pages_to_serve(metrics=False) == {"/livez": "live", "/ready": "ready"}


@pytest.mark.parametrize("path", ["metrics", "", "/{name}", "/a b", "/m?x", "/%6d", 7])
def test_a_path_is_plain(path: str) -> None:
    with pytest.raises(ValueError, match="the path of a page is plain"):
        Pyre().enable_metrics(path)


def test_two_pages_at_one_path() -> None:
    app = Pyre()
    app.enable_metrics("/x")
    with pytest.raises(ValueError, match="/x has the metrics page already"):
        app.enable_health_probes(livez="/x")


def test_a_route_first() -> None:
    app = Pyre()
    app.put("/livez", lambda req: "mine")
    text = "the live page at /livez conflicts with the route PUT /livez"
    with pytest.raises(ValueError, match=text):
        app.enable_health_probes()


def test_a_page_first() -> None:
    app = Pyre()
    app.enable_metrics()
    text = "the route GET /metrics conflicts with the metrics page at /metrics"
    with pytest.raises(ValueError, match=text):
        app.get("/metrics", lambda req: "mine")
    app.get("/{name}", lambda req: "below the page")


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"readiness_check": 7}, TypeError, "readiness_check needs a function, not int"),
        (
            {"check_interval": 0},
            ValueError,
            "check_interval must be a number of seconds from above 0 to 86400",
        ),
        (
            {"check_timeout": "5"},
            ValueError,
            "check_timeout must be a number of seconds from above 0 to 86400",
        ),
    ],
)
def test_checks(options: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        Pyre().enable_health_probes(**options)  # type: ignore[arg-type]

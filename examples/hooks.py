"""Hooks around requests: a session by cookie, a header on every answer, errors in one shape."""

import secrets
import time

from pyreframework import (
    HTTPError,
    Pyre,
    PyreRequest,
    PyreResponse,
    get_cookie,
    redirect,
    set_cookie,
)

app = Pyre()


@app.before_request
def require_session(req: PyreRequest) -> None:
    req.state.began = time.perf_counter()
    if req.path != "/login" and get_cookie(req, "session") is None:
        raise HTTPError(401, "log in first: POST /login")


@app.after_request
def say_how_long(req: PyreRequest, resp: PyreResponse) -> None:
    took_ms = (time.perf_counter() - req.state.began) * 1000
    resp.headers["Server-Timing"] = f"handler;dur={took_ms:.3f}"


@app.exception_handler(ZeroDivisionError)
def division(req: PyreRequest, exc: ZeroDivisionError) -> tuple[dict[str, str], int]:
    return {"error": str(exc), "at": req.path}, 400


@app.post("/login")
def login(req: PyreRequest) -> PyreResponse:
    answer = redirect("/", status_code=303)
    return set_cookie(answer, "session", secrets.token_urlsafe(), httponly=True, max_age=3600)


@app.get("/")
def home(req: PyreRequest) -> str:
    return "You are in."


@app.get("/divide/{a:float}/{b:float}")
def divide(a: float, b: float) -> float:
    return a / b


@app.fallback
def elsewhere(req: PyreRequest) -> PyreResponse:
    return redirect("/")


if __name__ == "__main__":
    app.run()

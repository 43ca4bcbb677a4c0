"""Mistakes that type checkers find: each line below is an error, or mypy complains of its comment.

Only mypy reads this file: pyright has no comment that must be needed.
"""

from pyreframework import HTTPError, Pyre, PyreResponse, PyreStream, redirect, set_cookie

app = Pyre()
stream = PyreStream(content_type=5)  # type: ignore[arg-type]
PyreStream(None, 200, None, 15.0)  # type: ignore[call-arg]
stream.send(5)  # type: ignore[arg-type]
stream.send_event(b"data")  # type: ignore[arg-type]
stream.send_event("data", retry="5")  # type: ignore[arg-type]
stream.send_event("data", None, None, None, 5)  # type: ignore[call-arg]
stream.subscribe(b"news")  # type: ignore[arg-type]
stream.is_closed = True  # type: ignore[misc]
app.get(5, lambda req: 1)  # type: ignore[arg-type]
app.get("/", "handler")  # type: ignore[arg-type]
app.get("/", lambda req: 1, gil="yes")  # type: ignore[arg-type]
app.get("/", lambda req: 1, request_timeout="5")  # type: ignore[arg-type]
app.get("/", lambda req: 1, inline=None)  # type: ignore[arg-type]
app.delete("/", gill=True)  # type: ignore[call-arg]
app.route("GET", "/", "handler")  # type: ignore[arg-type]
app.route("GET", "/")("handler")  # type: ignore[type-var]
app.post("/")("handler")  # type: ignore[type-var]
app.run(prot=8000)  # type: ignore[arg-type]
app.run(port="8000")  # type: ignore[arg-type]
app.run(reload="yes")  # type: ignore[arg-type]
app.run(hand_over="queue")  # type: ignore[arg-type]
app.websocket("/", compression="yes")  # type: ignore[arg-type]
app.form_limits = 10  # type: ignore[assignment]
app.max_body_size = "10"  # type: ignore[assignment]
app.exception_handler(404)  # type: ignore[arg-type]
HTTPError("404")  # type: ignore[arg-type]
redirect(5)  # type: ignore[arg-type]
set_cookie("body", "a", "1")  # type: ignore[arg-type]
PyreResponse("x", headers={"a": 5})  # type: ignore[dict-item]
PyreResponse("x").headers["a"] = 5  # type: ignore[assignment]
PyreResponse("x").headers = 5  # type: ignore[assignment]
PyreResponse("x").nothing = 1  # type: ignore[attr-defined]

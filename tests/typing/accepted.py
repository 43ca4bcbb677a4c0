"""Programs as type checkers see them; mypy --strict and pyright accept every line of this file."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import Any, assert_type
from uuid import UUID

from pyreframework import (
    FormError,
    FormLimits,
    HTTPError,
    Pyre,
    PyreApp,
    PyreRequest,
    PyreResponse,
    PyreStream,
    PyreWebSocket,
    RequestTimeout,
    UploadFile,
    WorkerImportError,
    delete_cookie,
    get_cookie,
    get_cookies,
    parse_multipart,
    redirect,
    set_cookie,
)
from pyreframework.testing import TestClient, WebSocketDisconnect, WebSocketRefused

app = Pyre(debug=False)
older: PyreApp = PyreApp()
older.get("/", lambda req: "hello")


@app.get("/")
def hello(req: PyreRequest) -> str:
    return "Hello"


@app.route(["get", "post"], "/users/{id:int}/{key}", gil=True)
def user(req: PyreRequest, id: int, key: UUID) -> dict[str, Any]:
    return {"id": id, "key": key}


@app.get("/here", gil=False)
def here(req: PyreRequest) -> str:
    return "on a worker, or not at all"


app.post("/there", lambda req: "by what it uses", gil=None)


@app.exception_handler(WorkerImportError)
def unavailable(req: PyreRequest, exc: WorkerImportError) -> tuple[str, int]:
    return f"{exc.name}: {exc.used} {exc.route}", 503


@app.get("/slow", request_timeout=0.5)
async def slow(req: PyreRequest) -> str:
    assert_type(req.is_disconnected(), bool)
    req.add_task(print, "answered", end="")
    return "slow"


@app.route("POST", "/slow", request_timeout=0)
def slower(req: PyreRequest) -> str:
    try:
        return req.text()
    except RequestTimeout:
        return "too slow"


app.head("/slower", slower, request_timeout=2)


@app.get("/uneven", inline=False)
def uneven(req: PyreRequest) -> str:
    return "at times it waits"


app.route("PUT", "/uneven", uneven, inline=True)


@app.before_request
def check(req: PyreRequest) -> None:
    if "authorization" not in req.headers:
        raise HTTPError(401, {"why": "nobody"}, headers={"WWW-Authenticate": "Basic"})


@app.after_request()
def stamp(req: PyreRequest, resp: PyreResponse) -> PyreResponse | None:
    resp.headers["X-Stamp"] = "1"
    resp.headers.update({"X-A": ["1", "2"]}, Etag='"1"')
    assert_type(resp.headers["X-Stamp"], str | list[str])
    assert_type(resp.headers.get("X-Stamp"), str | list[str] | None)
    assert_type(resp.headers.pop("X-Stamp", ""), str | list[str])
    resp.headers = {"X-Stamp": "2"}
    stamped: Mapping[str, str | list[str]] = resp.headers
    assert_type(dict(stamped), dict[str, str | list[str]])
    return None


@app.exception_handler(KeyError)
def missing(req: PyreRequest, exc: KeyError) -> tuple[dict[str, str], int]:
    return {"missing": str(exc)}, 404


@app.on_startup
def start() -> None: ...


@app.fallback
def elsewhere(req: PyreRequest) -> PyreResponse:
    return redirect("/", status_code=303)


# Decorators and calls give back the function they were given, as it was.
assert_type(hello(PyreRequest.__new__(PyreRequest)), str)
handler: Callable[[PyreRequest], str] = app.get("/again", hello)
assert_type(app.put("/again", hello, inline=False)(PyreRequest.__new__(PyreRequest)), str)
assert_type(app.patch("/again", gil=True)(hello)(PyreRequest.__new__(PyreRequest)), str)
assert_type(app.route("QUERY", "/again", None)(hello)(PyreRequest.__new__(PyreRequest)), str)
start_again: Callable[[], None] = app.on_startup(start)
caught = app.exception_handler(ValueError, missing)
assert_type(caught(PyreRequest.__new__(PyreRequest), KeyError()), tuple[dict[str, str], int])


def read(req: PyreRequest) -> PyreResponse:
    assert_type(req.method, str)
    assert_type(req.body, bytes)
    assert_type(req.query_params, dict[str, str])
    assert_type(req.query_params_all, dict[str, list[str]])
    assert_type(req.header("x"), str | None)
    assert_type(req.header("x", 5), str | int)
    assert_type(req.cookies, dict[str, str])
    headers: Mapping[str, str] = req.headers
    assert_type(len(headers), int)
    assert_type(get_cookies(req), dict[str, str])
    assert_type(get_cookie(req, "a"), str | None)
    with memoryview(req) as body:
        assert_type(body.nbytes, int)
    resp = PyreResponse({"a": 1}, status_code=201, headers={"X": "1", "Y": ["2", "3"]})
    resp = set_cookie(resp, "a", "1", max_age=5, httponly=True)
    resp.set_cookie("c", "1", secure=True)
    resp.delete_cookie("d", path="/d")
    return delete_cookie(resp, "b")


@app.post("/upload", stream_body=True)
def upload(req: PyreRequest) -> int:
    first: bytes = req.read(5)
    total = len(first)
    for piece in req.stream():
        assert_type(piece, bytes)
        total += len(piece)
    return total + len(req.read())


@app.route("PUT", "/upload", stream_body=True)
async def upload_later(req: PyreRequest) -> int:
    assert_type(await req.read(5), bytes)
    async for piece in req.stream():
        assert_type(piece, bytes)
    return len(await req.read(None))


@app.post("/form")
def form(req: PyreRequest) -> int:
    assert_type(req.form()["a"], str)
    assert_type(req.form_all()["a"], list[str])
    file = req.files(FormLimits(max_parts=5))["a"]
    assert_type(file, UploadFile)
    assert_type(req.files_all()["a"], list[UploadFile])
    assert_type(parse_multipart(req)["a"], UploadFile)
    for part in req.parts():
        for piece in part:
            assert_type(piece, bytes)
    data: bytes = file.read(5) + file.data
    return file.save("x") + len(data) + len(file.file.read()) + len(file.text)


@app.post("/form", stream_body=True)
async def form_later(req: PyreRequest) -> int:
    assert_type(await req.form(), dict[str, str])
    assert_type((await req.files_all())["a"], list[UploadFile])
    assert_type(await parse_multipart(req), dict[str, UploadFile])
    file = (await req.files())["a"]
    async for part in req.parts():
        assert_type(await part.text(), str)
        async for piece in part:
            assert_type(piece, bytes)
    try:
        return await file.save("x") + len(await file.read())
    except FormError as error:
        return error.status


@app.get("/pieces")
def pieces(req: PyreRequest) -> Iterator[str]:
    yield "a piece"


@app.get("/bytes")
def pieces_of_bytes() -> Generator[bytes | memoryview]:
    yield b"a piece"
    yield memoryview(b"another")


@app.get("/later")
async def later() -> AsyncGenerator[str]:
    yield "a piece"


@app.get("/wrapped", request_timeout=5)
async def wrapped() -> tuple[AsyncIterator[str], int, dict[str, str]]:
    return later(), 201, {"Content-Type": "text/csv"}


@app.get("/events")
async def events() -> PyreStream:
    stream = PyreStream()
    async with stream as same:
        assert_type(same, PyreStream)
        assert_type(await stream.send("a piece"), None)
        assert_type(await stream.subscribe("news"), None)
        stream.unsubscribe("news")
        assert_type(await asyncio.create_task(stream.send("a piece")), None)
        assert_type(await stream.send_event("data", event="e", id=1, retry=5, timeout=1), None)
    return stream


@app.websocket("/echo", subprotocols=["echo"], allowed_origins=["https://example.com"])
async def echo(ws: PyreWebSocket) -> None:
    async for message in ws:
        assert_type(message, str | bytes)
        assert_type(await ws.send(message), None)
        assert_type(await ws.subscribe("news"), None)
        ws.unsubscribe("news")
        assert_type(app.publish("news", {"a": [1]}, event="e", id=3, timeout=1.5), None)
        assert_type(await asyncio.create_task(ws.send(message)), None)
    assert_type(ws.close_code, int | None)


@app.websocket("/rooms/{room}", request_timeout=5, compression=False)
def talk(ws: PyreWebSocket, room: str) -> None:
    ws.accept(headers={"X-Room": room})
    while (text := ws.recv(timeout=10)) is not None:
        ws.send(text)
    for message in ws:
        assert_type(message, str | bytes)
    ws.send_json({"params": ws.params})
    ws.send_bytes(b"bytes", 1.5)
    ws.close(4000, "enough")


@app.post("/feed")
def feed() -> PyreResponse:
    with PyreStream("text/csv", 201, {"X": "1", "Y": ["2", "3"]}, keep_alive_s=None) as stream:
        stream.send(bytearray(b"a piece"), timeout=0.5)
        stream.send(memoryview(b"a piece"), None)
        stream.send_event("data", "e", "1", None)
        assert_type(stream.is_closed or stream.is_disconnected or stream.is_draining, bool)
    stream.close()
    return PyreResponse(stream, headers={"X": "1"})


app.max_body_size = 5
app.json_default = str
limit: int = app.max_body_size
app.stop()

if __name__ == "__main__":
    app.run(
        "0.0.0.0", 8000, workers=4, mode="subinterp", bind=["a:1"], hand_over="ring", uds_mode=0o660
    )


with TestClient(app, mode="subinterp", threads=1, headers={"X-Key": "k"}) as client:
    response = client.post("/users/1", json={"a": [1]}, params={"q": [1, True]}, timeout=None)
    assert_type(response.raise_for_status().status_code, int)
    assert_type(response.headers["ETag"], str)
    assert_type(response.headers.get_list("Set-Cookie"), list[str])
    assert_type(client.cookies["a"], str)
    with open("notes.txt", "rb") as notes:
        client.put("/", files={"notes": notes, "b": b"x", "c": ("c.png", b"png", "image/png")})
    with client.websocket_connect("/ws", ["a"], headers={"Origin": "https://a"}, timeout=5) as ws:
        assert_type(ws.accepted_subprotocol, str | None)
        ws.send_text("a")
        ws.send_bytes(b"a", timeout=None)
        ws.send_json({"a": [1]}, mode="binary")
        assert_type(ws.receive(), str | bytes)
        assert_type(ws.receive_text(timeout=0.5), str)
        assert_type(ws.receive_bytes(), bytes)
        assert ws.receive_json()["a"]
        for message in ws:
            assert_type(message, str | bytes)
        ws.close(1001, "reason")
        assert_type(ws.close_code, int | None)
    try:
        client.websocket_connect("ws://127.0.0.1/")
    except WebSocketRefused as refused:
        assert_type(refused.response.status_code, int)
    except WebSocketDisconnect as end:
        assert_type((end.code, end.reason), tuple[int, str])
    client.request("QUERY", "/", data=[("a", 1)], headers=[("X", "1"), ("X", "2")])

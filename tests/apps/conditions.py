"""Handlers that ask whether the client has their answer already, wherever they run."""

from datetime import UTC, datetime

from pyreframework import Pyre, PyreResponse, cache_control

app = Pyre()
MADE = datetime(2023, 11, 14, 22, 13, 20, 900_000, tzinfo=UTC)
HEADERS = {
    "ETag": '"v1"',
    "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT",
    "Cache-Control": cache_control(no_cache=True),
}


def answer(req):
    if req.is_fresh(etag='"v1"', last_modified=MADE):
        return PyreResponse(status_code=304, headers=HEADERS)
    return PyreResponse("the page", headers=HEADERS)


@app.route(["GET", "POST"], "/workers")
def on_workers(req):
    return answer(req)


@app.route(["GET", "POST"], "/main", gil=True)
def on_main(req):
    return answer(req)


@app.route(["GET", "POST"], "/async")
async def on_loop(req):
    return answer(req)


@app.route(["GET", "POST"], "/main-async", gil=True)
async def on_main_loop(req):
    return answer(req)


@app.get("/waiting")
async def waiting(req):
    import asyncio

    await asyncio.sleep(0)
    return answer(req)


@app.get("/pieces")
def pieces(req):
    if req.is_fresh(etag="v1"):
        return PyreResponse(status_code=304, headers=HEADERS)
    return PyreResponse(iter_of("the ", "page"), headers=HEADERS)


def iter_of(*texts):
    yield from texts


@app.get("/says")
def says(req):
    """What `is_fresh` says of an expression in the query, or raises."""
    given = eval(req.query_params["of"], {"datetime": datetime, "UTC": UTC, "nan": float("nan")})
    try:
        return str(req.is_fresh(**given))
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    app.run()

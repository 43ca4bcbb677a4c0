"""A program as users of 1.5 wrote theirs: nothing in it is newer."""

import asyncio
import logging
import os

from pyreframework import (
    Pyre,
    PyreApp,
    PyreRequest,
    PyreResponse,
    emit_python_log,
    get_gil_metrics,
    init_logger,
    redirect,
)
from pyreframework.cookies import delete_cookie, get_cookie, set_cookie
from pyreframework.uploads import parse_multipart

app = {"Pyre": Pyre, "PyreApp": PyreApp, "debug": lambda: Pyre(debug=True)}[
    os.environ.get("MADE_BY", "Pyre")
]()
app.enable_logging()
if os.environ.get("INIT_LOGGER"):
    init_logger()

users: dict[str, dict] = {}


@app.on_startup
def open_database():
    print("decorated start", flush=True)


def warm_up():
    print("called start", flush=True)


app.on_startup(warm_up)


@app.on_shutdown
def close_database():
    print("decorated stop", flush=True)


app.on_shutdown(lambda: print("called stop", flush=True))


@app.before_request
def only_the_signed_in(req):
    if req.path.startswith("/private") and get_cookie(req, "session") is None:
        return PyreResponse(body={"error": "sign in first"}, status_code=401)
    return None


@app.after_request
def stamp(req, resp):
    resp.headers["X-Seen"] = f"{req.method} {req.path}"
    return resp


@app.fallback
def nothing_there(req):
    return PyreResponse(body=f"no page {req.path}", status_code=404, content_type="text/plain")


@app.get("/")
def hello(req):
    return "Hello from Pyre!"


@app.get("/user/{name}")
def user(req: PyreRequest):
    return {"name": req.params["name"], "q": req.query_params.get("q", "")}


def listed(req):
    return {"page": req.query_params.get("page", "1"), "per": req.query_params.get("per_page", "")}


app.get("/items", listed)


@app.get("/async/{name}")
async def waits(req):
    await asyncio.sleep(0)
    return {"async": req.params["name"]}


@app.get("/main", gil=True)
def on_main(req):
    return "on the main interpreter"


@app.post("/json")
def json_body(req):
    data = req.json()
    return {"total": sum(data["numbers"]), "data": data}


@app.post("/text")
def text_body(req):
    return req.text().upper()


@app.post("/bytes")
def bytes_body(req):
    return req.body[::-1]


@app.put("/item")
def put(req):
    return {"put": req.text()}


@app.patch("/item")
def patch(req):
    return {"patched": req.text()}


@app.delete("/item")
def delete(req):
    return {"deleted": True}


@app.options("/item")
def options(req):
    return PyreResponse(body="", status_code=204, headers={"X-Options": "mine"})


@app.get("/about-me")
def about_me(req):
    return {
        "agent": req.headers.get("user-agent", ""),
        "token": req.headers["x-token"],
        "ip": req.client_ip,
        "method": req.method,
        "path": req.path,
    }


@app.get("/teapot")
def teapot(req):
    return PyreResponse(
        body="short and stout",
        status_code=418,
        content_type="text/x-tea",
        headers={"X-Tea": "green"},
    )


@app.get("/html")
def html(req):
    return PyreResponse(body="<h1>Hi</h1>", content_type="text/html")


@app.get("/old")
def old(req):
    return redirect("/new")


@app.get("/new")
def new(req):
    return "new"


@app.post("/auth/register")
def register(req):
    data = req.json()
    users[data["username"]] = data
    return {"username": data["username"], "email": data["email"]}


@app.post("/auth/login")
def login(req):
    name = req.json()["username"]
    resp = set_cookie(PyreResponse(body="ok"), "session", name, httponly=True)
    assert "HttpOnly" in resp.headers["set-cookie"]
    return resp


@app.post("/auth/both")
def both(req):
    resp = set_cookie(PyreResponse(body="ok"), "session", "abc", httponly=True, max_age=3600)
    return set_cookie(resp, "theme", "dark")


@app.post("/auth/logout")
def logout(req):
    resp = delete_cookie(PyreResponse(body="bye"), "session")
    assert "Max-Age=0" in resp.headers["set-cookie"]
    return resp


@app.post("/files")
def upload(req):
    f = parse_multipart(req)["file"]
    assert f.data.decode() == f.text
    return {"filename": f.filename, "size": f.size, "kind": f.content_type}


@app.get("/private/me")
def me(req):
    return {"session": get_cookie(req, "session"), "other": get_cookie(req, "other", "none")}


@app.post("/order")
def order(req):
    data = req.json()
    return {"ticker": data["ticker"], "total": data["quantity"] * data["price"]}


@app.get("/boom")
def boom(req):
    raise ValueError("the secret of the house")


@app.get("/metrics/gil")
def gil(req):
    return list(get_gil_metrics())


@app.get("/log")
def log(req):
    logging.getLogger("shop").warning("from logging")
    emit_python_log("INFO", "shop", "from the engine")
    emit_python_log("ERROR", "shop", "with a place", "shop.py", 7, 0)
    return "logged"


if __name__ == "__main__":
    app.run()

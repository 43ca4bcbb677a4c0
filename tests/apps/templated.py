"""Pages out of templates, wherever their handlers run."""

import _interpreters

from pyreframework import Pyre

app = Pyre()
app.templates(
    "templates", filters={"shout": lambda text: text.upper() + "!"}, globals={"site": "Site"}
)


class Value:
    def inner(self):
        raise ZeroDivisionError("from the value")


def page(name):
    return app.render("user.html", name=name, headers={"X-Place": place()})


def place():
    return "main" if _interpreters.get_current()[0] == 0 else "worker"


@app.get("/workers/{name}", name="show")
def on_workers(req, name: str):
    return page(name)


@app.get("/main/{name}", gil=True)
def on_main(req, name: str):
    return page(name)


@app.get("/async/{name}")
async def on_loop(req, name: str):
    return page(name)


@app.get("/main-async/{name}", gil=True)
async def on_main_loop(req, name: str):
    return page(name)


def streamed(rows):
    return app.stream_template("rows.html", rows=range(rows), headers={"X-Place": place()})


@app.get("/stream/workers/{rows}")
def stream_on_workers(req, rows: int):
    return streamed(rows)


@app.get("/stream/main/{rows}", gil=True)
def stream_on_main(req, rows: int):
    return streamed(rows)


@app.get("/stream/async/{rows}")
async def stream_on_loop(req, rows: int):
    return streamed(rows)


@app.get("/stream/main-async/{rows}", gil=True)
async def stream_on_main_loop(req, rows: int):
    return streamed(rows)


@app.get("/text")
def text(req):
    return app.render(
        "plain.txt", name="<b>", content_type="text/plain; charset=utf-8", status_code=201
    )


@app.get("/own-type")
def own_type(req):
    return app.render("plain.txt", name="x", headers={"content-type": "text/x-own"})


@app.get("/broken")
def broken(req):
    return app.render("broken.html", value=Value())


@app.get("/syntax")
def syntax(req):
    return app.render("syntax.html")


@app.get("/missing")
def missing(req):
    return app.render("usr.html")


@app.get("/missing-stream")
def missing_stream(req):
    return app.stream_template("usr.html")


@app.get("/including")
def including(req):
    return app.render("including.html")


if __name__ == "__main__":
    app.run()

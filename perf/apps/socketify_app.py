"""The five benchmark routes on socketify."""

import os

from codec import dumps, loads
from socketify import App

app = App()


def index(res, req):
    res.write_header("Content-Type", "text/plain; charset=utf-8")
    res.end("Hello, World!")


def message(res, req):
    res.write_header("Content-Type", "application/json")
    res.end(dumps({"message": "Hello, World!"}))


def user(res, req):
    res.write_header("Content-Type", "application/json")
    res.end(dumps({"id": req.get_parameter(0)}))


def compute(res, req):
    res.write_header("Content-Type", "application/json")
    res.end(dumps({"result": sum(n * n for n in range(100))}))


def echo(res, req):
    pieces = []

    def on_data(res, chunk, is_last, _=None):
        if chunk:
            pieces.append(bytes(chunk))
        if is_last:
            try:
                value = loads(b"".join(pieces))
            except ValueError:
                res.write_status(400).end("bad request")
                return
            res.write_header("Content-Type", "application/json")
            res.end(dumps(value))

    res.on_data(on_data)


app.get("/", index)
app.get("/json", message)
app.get("/user/:id", user)
app.get("/compute", compute)
app.post("/echo", echo)

if __name__ == "__main__":
    app.listen(int(os.environ["PYRE_PORT"]), lambda config: None)
    app.run()

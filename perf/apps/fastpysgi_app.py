"""The five benchmark routes as a WSGI application on FastPySGI."""

import os

import fastpysgi
from codec import dumps, loads

TEXT = [("Content-Type", "text/plain; charset=utf-8")]
JSON = [("Content-Type", "application/json")]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/":
        start_response("200 OK", TEXT)
        return [b"Hello, World!"]
    if path == "/json":
        start_response("200 OK", JSON)
        return [dumps({"message": "Hello, World!"})]
    if path.startswith("/user/"):
        start_response("200 OK", JSON)
        return [dumps({"id": path[6:]})]
    if path == "/compute":
        start_response("200 OK", JSON)
        return [dumps({"result": sum(n * n for n in range(100))})]
    if path == "/echo" and environ["REQUEST_METHOD"] == "POST":
        try:
            value = loads(environ["wsgi.input"].read())
        except ValueError:
            start_response("400 Bad Request", TEXT)
            return [b"bad request"]
        start_response("200 OK", JSON)
        return [dumps(value)]
    start_response("404 Not Found", TEXT)
    return [b"not found"]


if __name__ == "__main__":
    # Without this, Nagle's algorithm stalls pipelined answers.
    fastpysgi.server.tcp_nodelay = 1
    fastpysgi.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PYRE_PORT"]),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )

"""The five benchmark routes on Granian's own interface, RSGI, and one that waits."""

import asyncio

from codec import dumps, loads

TEXT = [("content-type", "text/plain; charset=utf-8")]
JSON = [("content-type", "application/json")]


async def app(scope, protocol):
    path = scope.path
    if path == "/":
        protocol.response_str(200, TEXT, "Hello, World!")
    elif path == "/json":
        protocol.response_bytes(200, JSON, dumps({"message": "Hello, World!"}))
    elif path.startswith("/user/"):
        protocol.response_bytes(200, JSON, dumps({"id": path[6:]}))
    elif path == "/compute":
        protocol.response_bytes(200, JSON, dumps({"result": sum(n * n for n in range(100))}))
    elif path == "/io":
        await asyncio.sleep(0.01)
        protocol.response_str(200, TEXT, "Hello, World!")
    elif path == "/echo" and scope.method == "POST":
        try:
            value = loads(await protocol())
        except ValueError:
            protocol.response_str(400, TEXT, "bad request")
        else:
            protocol.response_bytes(200, JSON, dumps(value))
    else:
        protocol.response_str(404, TEXT, "not found")

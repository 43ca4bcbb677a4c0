"""WebSockets that echo, on socketify."""

import os

from socketify import App

app = App()


def index(res, req):
    res.end("Hello, World!")


def echo(ws, message, opcode):
    ws.send(message, opcode)


app.get("/", index)
app.ws("/ws", {"message": echo, "max_payload_length": 16 * 1024 * 1024, "idle_timeout": 60})

if __name__ == "__main__":
    app.listen(int(os.environ["PYRE_PORT"]), lambda config: None)
    app.run()

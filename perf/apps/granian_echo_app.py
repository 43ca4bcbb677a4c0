"""WebSockets that echo, on Granian's own interface, RSGI."""

TEXT = [("content-type", "text/plain; charset=utf-8")]
# Kinds of messages, as RSGI numbers them.
CLOSE, BYTES = 0, 1


async def app(scope, protocol):
    if scope.proto == "http":
        protocol.response_str(200, TEXT, "Hello, World!")
        return
    transport = await protocol.accept()
    while (message := await transport.receive()).kind != CLOSE:
        if message.kind == BYTES:
            await transport.send_bytes(message.data)
        else:
            await transport.send_str(message.data)
    protocol.close()

"""How programs come to the gate of a test, and wait there for its answer; see `tests/gate.py`."""

import socket


def hold(port, name):
    """Wait at the gate; the answer is what the test says when it opens."""
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(name.encode() + b"\n")
        return gate.makefile().readline().strip()


async def at_gate(port, name):
    """Wait there without blocking the loop."""
    # Programs without coroutines have no use for it.
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(name.encode() + b"\n")
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()

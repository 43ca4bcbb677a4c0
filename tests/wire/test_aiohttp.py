"""aiohttp as a client: WebSockets with and without compression, and bodies in pieces both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from places import in_both_modes
from serving import Server, serve

KINDS = pytest.mark.parametrize("kind", ["def", "async"])


@in_both_modes
def sockets(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets", mode=request.param) as server:
        yield server


@in_both_modes
def uploads(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("uploads", mode=request.param) as server:
        yield server


@KINDS
@pytest.mark.parametrize("compress", [0, 9, 15], ids=["plain", "window 9", "window 15"])
def test_echo(sockets: Server, kind: str, compress: int) -> None:
    async def talk() -> None:
        url = f"{sockets.url}/{kind}/echo"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, compress=compress) as ws,
        ):
            assert bool(ws.compress) == bool(compress)
            texts = [str(n) * n * 50 for n in range(40)]
            for text in texts:
                await ws.send_str(text)
                await ws.send_bytes(text.encode())
            for text in texts:
                assert await ws.receive_str() == text
                assert await ws.receive_bytes() == text.encode()
            await ws.ping(b"there?")
            assert await ws.close(code=4000, message=b"bye")
            assert ws.close_code == 4000

    asyncio.run(asyncio.wait_for(talk(), 60))


@KINDS
def test_bodies_both_ways(uploads: Server, kind: str) -> None:
    async def made() -> AsyncIterator[bytes]:
        for n in range(50):
            yield bytes([n]) * 5000

    async def send() -> None:
        async with aiohttp.ClientSession() as session:
            url = f"{uploads.url}/{kind}/echo"
            async with session.post(url, data=made(), expect100=True) as reply:
                assert reply.status == 200
                assert await reply.read() == b"".join([bytes([n]) * 5000 for n in range(50)])

    asyncio.run(asyncio.wait_for(send(), 60))

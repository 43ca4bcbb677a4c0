"""What asyncio offers, and libraries made for it."""

import asyncio
import gc
import os
import socket
import sys
import threading

from awaiting.common import ON_MAIN, app, notes, variable
from awaiting.results import result_later


@app.get("/timeout/{seconds:float}", gil=ON_MAIN)
async def timeout(seconds):
    try:
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return f"timed out, cancelling {asyncio.current_task().cancelling()}"


@app.get("/wait-for", gil=ON_MAIN)
async def wait_for():
    assert await asyncio.wait_for(result_later("str"), 10) == "text"
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        return "timed out"


@app.get("/group", gil=ON_MAIN)
async def group():
    """The group knows the task of the request before that has waited for anything."""
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(asyncio.sleep(0, n)) for n in range(5)]
    return [task.result() for task in made]


@app.get("/failing-group", gil=ON_MAIN)
async def failing_group():
    async def fail():
        raise ValueError("one of them")

    try:
        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(asyncio.Event().wait())
            tasks.create_task(fail())
    except ExceptionGroup as errors:
        return {
            "errors": [str(error) for error in errors.exceptions],
            "other": other.cancelled(),
            "cancelling": asyncio.current_task().cancelling(),
        }


@app.get("/gather", gil=ON_MAIN)
async def gather():
    return await asyncio.gather(*(asyncio.sleep(0.001 * n, n) for n in range(5)))


@app.get("/queue", gil=ON_MAIN)
async def queue():
    items = asyncio.Queue(1)

    async def produce():
        for n in range(10):
            await items.put(n)

    producer = asyncio.create_task(produce())
    taken = [await items.get() for _ in range(10)]
    await producer
    return taken


@app.get("/lock", gil=ON_MAIN)
async def lock():
    mutex, inside = asyncio.Lock(), []

    async def enter(n):
        async with mutex:
            inside.append(n)
            await asyncio.sleep(0)
            inside.append(n)

    await asyncio.gather(*(enter(n) for n in range(3)))
    return inside


@app.get("/to-thread", gil=ON_MAIN)
async def to_thread():
    variable.set("carried")
    return await asyncio.to_thread(
        lambda: [variable.get(), threading.current_thread() is not threading.main_thread()]
    )


@app.get("/streams", gil=ON_MAIN)
async def streams():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"shout\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return line


@app.get("/tls/{port:int}", gil=ON_MAIN)
async def tls(req, port):
    import ssl

    context = ssl.create_default_context(cafile=os.environ["TEST_CERTIFICATE"])
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(b"over tls\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


@app.get("/subprocess", gil=ON_MAIN)
async def subprocess():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])", stdin=-1, stdout=-1
    )
    out, _ = await process.communicate(b"abc\n")
    return {"out": out.decode().strip(), "code": process.returncode}


@app.get("/udp", gil=ON_MAIN)
async def udp():
    received = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            received.set_result(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Protocol, ("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"datagram", transport.get_extra_info("sockname"))
    data = await received
    transport.close()
    return data


@app.get("/httpx/{port:int}", gil=ON_MAIN)
async def with_httpx(port):
    """Asks this very server, on this very loop."""
    import httpx

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        replies = await asyncio.gather(*(client.get(f"/number/{n}") for n in range(8)))
        await client.get("/hello")
    return [reply.text for reply in replies]


@app.get("/postgres/{port:int}", gil=ON_MAIN)
async def postgres(port):
    import asyncpg

    pool = await asyncpg.create_pool(
        host="127.0.0.1", port=port, user="pyre", database="postgres", min_size=1, max_size=4
    )
    async with pool:
        rows = await asyncio.gather(
            *(pool.fetchval("select $1::int * 2 from pg_sleep(0.01)", n) for n in range(8))
        )
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("create temp table t (a int, b text)")
            await connection.executemany("insert into t values ($1, $2)", [(1, "x"), (2, "y")])
            table = [tuple(row) for row in await connection.fetch("select * from t order by a")]
        try:
            async with asyncio.timeout(0.05):
                await pool.fetchval("select pg_sleep(30)")
        except TimeoutError:
            table.append("timed out")
        table.append(await pool.fetchval("select 'still there'"))
    return {"rows": rows, "table": table}


@app.get("/generators", gil=ON_MAIN)
async def generators():
    async def count():
        try:
            for n in range(3):
                yield n
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            notes.append("generator closed")

    whole = [n async for n in count()]
    async for n in count():
        if n == 1:
            break
    while notes.count("generator closed") < 2:
        gc.collect()
        await asyncio.sleep(0)
    notes[:] = [note for note in notes if note != "generator closed"]
    return whole

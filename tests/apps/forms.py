"""Handlers that read forms, as `def` and as `async def`, of whole bodies and of such as come."""

import asyncio
import hashlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from gates import at_gate, hold

from pyreframework import FormLimits, Pyre, parse_multipart

app = Pyre()
app.max_body_size = 64 * 2**20
ON_MAIN = True if os.environ.get("TEST_GIL") else None
TIGHT = FormLimits(
    max_parts=3, max_head_size=200, max_name_size=20, max_field_size=100, max_file_size=5000,
    max_memory=150, spool_size=50,
)  # fmt: skip


def post(path, handler):
    kind = "async" if asyncio.iscoroutinefunction(handler) else "def"
    app.post(f"/{kind}/whole{path}", handler, gil=ON_MAIN)
    app.post(f"/{kind}/coming{path}", handler, gil=ON_MAIN, stream_body=True)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def described(file):
    return [file.filename, file.content_type, file.size, digest(file.data)]


def shown(fields, fields_all, files, files_all):
    assert {name: values[-1] for name, values in fields_all.items()} == fields
    assert {name: found[-1] for name, found in files_all.items()} == files
    return {
        "fields": fields_all,
        "files": {name: [described(file) for file in found] for name, found in files_all.items()},
    }


def show(req):
    found = shown(req.form(), req.form_all(), req.files(), req.files_all())
    assert req.form() is req.form()
    assert req.files_all() is req.files_all()
    return found


async def show_async(req):
    form = await req.form()
    found = shown(form, await req.form_all(), await req.files(), await req.files_all())
    assert await req.form() is form
    return found


def tight(req):
    return shown(req.form(TIGHT), req.form_all(), req.files(), req.files_all())


async def tight_async(req):
    form = await req.form(limits=TIGHT)
    return shown(form, await req.form_all(), await req.files(), await req.files_all())


def parts(req):
    return [[part.name, part.filename, part.content_type, digest(part.read())]
            for part in req.parts()]  # fmt: skip


async def parts_async(req):
    return [[part.name, part.filename, part.content_type, digest(await part.read())]
            async for part in req.parts()]  # fmt: skip


def caught(req):
    try:
        req.form()
    except ValueError as error:
        return {"caught": str(error), "status": error.status}
    return "nothing"


async def caught_async(req):
    try:
        await req.form()
    except ValueError as error:
        return {"caught": str(error), "status": error.status}
    return "nothing"


def again(req):
    """Fail a second time, and raise another exception from that."""
    for _ in range(2):
        try:
            req.form()
        except ValueError as error:
            last = error
    raise LookupError("a form was expected") from last


async def again_async(req):
    for _ in range(2):
        try:
            await req.form()
        except ValueError as error:
            last = error
    raise LookupError("a form was expected") from last


def multipart(req):
    found = parse_multipart(req)
    return {name: [f.name, f.filename, f.content_type, f.size, f.text] for name, f in found.items()}


async def multipart_async(req):
    found = await parse_multipart(req)
    return {name: [f.name, f.filename, f.content_type, f.size, f.text] for name, f in found.items()}


def saved(req):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        file = req.files()["file"]
        sizes = [file.save(path), os.path.getsize(path)]
        with open(path, "rb") as stored:
            assert stored.read() == file.data
    assert file.read(3) + file.read() == file.data
    assert file.file.seek(1) == 1
    assert file.file.read(2) == file.data[1:3]
    assert file.file.seek(-2, os.SEEK_END) == file.size - 2
    assert file.file.read() == file.data[-2:]
    return sizes


async def saved_async(req):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        file = (await req.files())["file"]
        sizes = [await file.save(path), os.path.getsize(path)]
        with open(path, "rb") as stored:
            assert stored.read() == file.data
    assert await file.read(3) + await file.read() == file.data
    return sizes


def part_saved(req):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        for part in req.parts():
            if part.name == "file":
                start = part.read(3)
                size = part.save(path)
                with open(path, "rb") as stored:
                    return [len(start), size, digest(start + stored.read())]
    return None


async def part_saved_async(req):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        async for part in req.parts():
            if part.name == "file":
                start = await part.read(3)
                size = await part.save(path)
                with open(path, "rb") as stored:
                    return [len(start), size, digest(start + stored.read())]
    return None


def some(req):
    """Take a little of each part, one of them not at all, and one when it is over."""
    found, last = [], None
    for part in req.parts():
        if last is not None:
            try:
                last.read()
            except RuntimeError as error:
                found.append(str(error))
        if part.name != "skipped":
            found.append(part.read(2).decode())
            found.append(next(iter(part), b"").decode()[:3])
        last = part
    return found


async def some_async(req):
    found, last = [], None
    async for part in req.parts():
        if last is not None:
            try:
                await last.read()
            except RuntimeError as error:
                found.append(str(error))
        if part.name != "skipped":
            found.append((await part.read(2)).decode())
            found.append((await anext(aiter(part), b"")).decode()[:3])
        last = part
    return found


def sizes(req):
    """Look at nothing but how much there is."""
    return [file.size for file in req.files_all()["file"]]


async def sizes_async(req):
    return [file.size for file in (await req.files_all())["file"]]


def text(req):
    return req.files()["file"].text


async def text_async(req):
    return (await req.files())["file"].text


def beside(req):
    """What else there is of the body, behind a form that has been read."""
    req.form()
    found = []
    for read in (lambda: req.body, req.read, lambda: list(req.stream()), lambda: list(req.parts())):
        try:
            found.append(len(read()))
        except RuntimeError as error:
            found.append(str(error).partition(":")[0])
    return found


for handler in (show, tight, parts, caught, again, multipart, saved, part_saved, some, sizes, text):
    post(f"/{handler.__name__.replace('_', '-')}", handler)
    post(f"/{handler.__name__.replace('_', '-')}", globals()[f"{handler.__name__}_async"])
post("/beside", beside)


@app.post("/def/coming/left", stream_body=True)
def left(req):
    """Leave a part in the middle; return how many hold the request for it behind that."""
    before = sys.getrefcount(req)
    parts = req.parts()
    part = next(parts)
    part.read(2)
    del part, parts
    return sys.getrefcount(req) - before


@app.post("/async/coming/read-before", stream_body=True)
async def read_before(req):
    body = await req.read()
    return [len(body), req.form(), [file.size for file in (await req.files()).values()]]


@app.post("/async/coming/in-a-loop", stream_body=True)
async def in_a_loop(req):
    try:
        for _ in req.parts():
            pass
    except RuntimeError as error:
        return str(error)


@app.post("/async/coming/together", stream_body=True)
async def together(req):
    """Ask several times before anything has come."""
    asked = [req.form(), req.files(), req.form_all()]
    tasks = [asyncio.create_task(each) for each in asked]
    await asyncio.sleep(0)
    form, files, _ = await asyncio.gather(*tasks)
    return [await req.form() is form, form, {name: file.size for name, file in files.items()}]


@app.post("/async/whole/gathered")
async def gathered(req):
    """Ask for all of it at once, as tasks and without."""
    form, files = await asyncio.gather(req.form(), req.files())
    task = asyncio.create_task(req.form())
    assert "secret" not in repr(task)
    return [await task is form, form, len(files)]


@app.post("/async/coming/cancelled/{port:int}", stream_body=True)
async def cancelled(req, port: int):
    """Cancel who reads, before anything has come; another one waits."""
    first, second = (asyncio.create_task(req.form()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    await at_gate(port, "cancelled")
    return await second


@app.post("/async/coming/cancelled-late", stream_body=True)
async def cancelled_late(req):
    """Cancel who reads when a part of the form has been read, and ask again."""
    first = asyncio.create_task(req.form())
    try:
        while not req._is_whole():
            await asyncio.sleep(0.001)
    except RuntimeError:
        pass  # A part of it is gone.
    first.cancel()
    await asyncio.wait([first])
    try:
        await req.form()
    except RuntimeError as error:
        return str(error)


@app.post("/def/coming/threads", stream_body=True)
def threads(req):
    """Ask for the form on several threads at once."""
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(req.form) for _ in range(4)]
        forms = [one.result() for one in asked]
    return [all(one is forms[0] for one in forms), forms[0]]


@app.post("/async/whole/grouped")
async def grouped(req):
    """Have a form refused in a group of tasks."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asks(req))


async def asks(req):
    return await req.form()


@app.post("/def/whole/from-text")
def from_text(req):
    """Raise another exception from what refuses a file that is no text."""
    try:
        return req.files()["file"].text
    except ValueError as error:
        raise LookupError("no text") from error


@app.post("/async/coming/begun", stream_body=True)
async def begun(req):
    """Ask for a form, and read the body before the form is."""
    form = req.form()
    first = await req.read(3)
    try:
        await form
    except RuntimeError as error:
        return [first.decode(), str(error)]


@app.post("/def/coming/held/{port:int}", stream_body=True)
def held(req, port: int):
    """Tell the gate when a part has begun, and how reading on ends."""
    names = []
    try:
        for part in req.parts():
            names.append(part.name)
            hold(port, "begun")
            part.read()
    except BaseException as error:
        hold(port, type(error).__name__)
        raise
    return names


@app.post("/async/coming/held/{port:int}", stream_body=True)
async def held_async(req, port: int):
    await at_gate(port, "begun")
    try:
        await req.files(FormLimits(spool_size=0))
    except BaseException as error:
        await at_gate(port, type(error).__name__)
        raise


kept = []


@app.post("/keep")
def keep(req):
    kept.append(req.files(FormLimits(spool_size=0))["file"])
    return kept[-1].size


@app.post("/drop")
def drop(req):
    return [digest(kept.pop().data) for _ in kept[:]]


@app.get("/open")
def opened(req):
    """Return how many files without a name are open."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass  # It was that of the list.
    return len([link for link in links if link.endswith("(deleted)")])


app.run()

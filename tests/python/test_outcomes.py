"""What files of forms are read and saved by: coroutines, what they call, and threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from multiparts import BOUNDARY, form, part

from pyreframework import FormLimits, UploadFile
from pyreframework.collecting import parser_of
from pyreframework.parts import Part, Parts, Reader
from pyreframework.sources import Given

KIND = f"multipart/form-data; boundary={BOUNDARY}"


class Coming(Given):
    """Bytes that are there, read as those that come in a coroutine."""

    is_awaited = True

    def __init__(self, body: bytes, size: int = 8192) -> None:
        super().__init__(body)
        self._size = size

    async def piece(self) -> bytes:
        piece: bytes = self._body[: self._size]
        self._body = self._body[self._size :]
        return piece

    async def call(self, function: Callable[[], object]) -> None:
        await asyncio.to_thread(function)


def parts_of(source: Given) -> Parts:
    limits = FormLimits()
    nobody: Any = None
    return Parts(Reader(nobody, parser_of(KIND, limits), source, limits))


def the_file(data: bytes) -> bytes:
    return form(part('name="f"; filename="x"', data))


def test_a_save_that_is_cancelled_writes_to_no_other_file(tmp_path: Path) -> None:
    """A pipe that is full holds up the thread between two of its writes."""
    pipe, other = tmp_path / "pipe", tmp_path / "other"
    os.mkfifo(pipe)

    async def save() -> None:
        out = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        stands = asyncio.Event()
        asyncio.get_running_loop().add_reader(out, stands.set)
        one = await anext(parts_of(Coming(the_file(b"x" * 2_000_000))))
        saved = saving(one, pipe)
        await stands.wait()
        asyncio.get_running_loop().remove_reader(out)
        saved.cancel()
        await asyncio.wait([saved])
        assert saved.cancelled()
        with other.open("wb", buffering=0):
            while taken(out) != b"":
                await asyncio.sleep(0)
        os.close(out)

    asyncio.run(asyncio.wait_for(save(), 30))
    assert other.read_bytes() == b""


def taken(pipe: int) -> bytes | None:
    """Return what a pipe has, nothing if nobody writes to it any more, None if they still do."""
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return None


def uploaded() -> UploadFile:
    return UploadFile("f", "x", None, b"data")


def read(file: UploadFile | Part, size: int = -1) -> Any:
    return file.read(size)


def text(one: Part) -> Any:
    return one.text()


def saving(file: UploadFile | Part, path: Path) -> asyncio.Task[int]:
    """A task that saves it."""
    whole: Any = file.save

    async def save() -> int:
        count: int = await whole(path)
        return count

    return asyncio.create_task(save())


def test_a_def_on_the_thread_of_a_loop_has_saved_its_file(tmp_path: Path) -> None:
    def save(file: UploadFile | Part, name: str) -> Any:
        return file.save(tmp_path / name)

    async def handle() -> None:
        file = uploaded()
        assert save(file, "dropped") == 4
        assert (tmp_path / "dropped").read_bytes() == b"data"
        assert await save(file, "awaited") == 4
        assert read(file, 2) == b"da"
        for each in parts_of(Given(the_file(b"part"))):
            assert save(each, "part") == 4
        assert (tmp_path / "part").read_bytes() == b"part"

    asyncio.run(handle())


def test_coroutines_await_whatever_they_ask_for(tmp_path: Path) -> None:
    async def handle() -> None:
        file = uploaded()
        save: Any = file.save
        saved = [asyncio.create_task(save(tmp_path / str(number))) for number in range(3)]
        assert await asyncio.gather(*saved) == [4, 4, 4]
        assert await asyncio.gather(*(file.save(tmp_path / str(n)) for n in range(3))) == [4, 4, 4]
        assert list(await asyncio.gather(file.read(1), read(file, 0))) == [b"d", b""]
        one = await anext(parts_of(Given(the_file(b"abc"))))
        assert (await one.read(1), await one.text()) == (b"a", "bc")
        assert (await text(one), await read(one)) == ("", b"")

    asyncio.run(handle())


def test_a_def_on_the_thread_of_a_loop_does_not_wait_for_a_part() -> None:
    async def handle() -> None:
        one = await anext(parts_of(Coming(the_file(b"abc"))))
        try:
            read(one)
        except RuntimeError as error:
            assert "read in a coroutine itself" in str(error)
        else:
            raise AssertionError("it has been left undone")
        assert await one.read() == b"abc"

    asyncio.run(handle())

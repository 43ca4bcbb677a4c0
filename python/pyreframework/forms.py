"""Forms of requests: what ``req.form()``, ``req.files()`` and the others return.

``collecting`` reads them, as their bytes come from one of ``sources``; ``parts`` gives them out
part by part; ``spools`` has what is on disk. Imported with the first form.
"""

from __future__ import annotations

from threading import Event, Lock

from pyreframework.collecting import collected, not_multipart, parser_of
from pyreframework.engine import PyreRequest
from pyreframework.errors import FormError
from pyreframework.handlers.bodies import is_in_coroutine
from pyreframework.handlers.streams import LOOK_SECONDS
from pyreframework.outcomes import Done
from pyreframework.parts import Parts, Reader
from pyreframework.sources import Given, run, source_of
from pyreframework.uploads import FormLimits, UploadFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Iterable
    from typing import Any

    from pyreframework.collecting import Collected
    from pyreframework.sources import Source

    Values = dict[str, Any]
    type Kept = Form | Failed | Lost | Busy
else:
    Values = dict

# Held by whoever looks whether a form is being read, and begins to.
one_at_a_time = Lock()


def form(request: PyreRequest, limits: FormLimits | None) -> Any:
    """Return the fields; of a repeated one the last value."""
    return seen(request, limits, Form.last_fields)


def form_all(request: PyreRequest, limits: FormLimits | None) -> Any:
    """Return the fields, each with the list of its values."""
    return seen(request, limits, Form.all_fields)


def files(request: PyreRequest, limits: FormLimits | None) -> Any:
    """Return the files; of a repeated name the last one."""
    return seen(request, limits, Form.last_files)


def files_all(request: PyreRequest, limits: FormLimits | None) -> Any:
    """Return the files, each name with the list of them."""
    return seen(request, limits, Form.all_files)


def multipart(request: PyreRequest, limits: FormLimits | None) -> Any:
    """Return all parts of a form with files, fields as well; of a repeated name the last one."""
    if type(request) is PyreRequest:
        return seen(request, limits, Form.last_parts)
    content_type = request.headers.get("content-type", "")
    found = run(collected(Given(request.body), content_type, limits or FormLimits()))
    return Form(found).last_parts()


def parts(request: PyreRequest, limits: FormLimits | None) -> Parts:
    """Return the parts as they come."""
    limits = limits_of(request, limits)
    try:
        parser = parser_of(content_type_of(request), limits)
        return Parts(Reader(request, parser, source_of(request), limits))
    except FormError as error:
        request._blame(error, error.status)
        raise


def seen(request: PyreRequest, limits: FormLimits | None, view: Callable[[Form], Any]) -> Any:
    """Return what is wanted of a form; in a coroutine, if it is still coming, what is awaited."""
    while True:
        with one_at_a_time:
            # Whoever reads has said so before: nothing was read if nobody has.
            kept = request._form()
            source = source_of(request) if kept is None else None
        if source is not None:
            reading = read(request, source, limits_of(request, limits), view)
            return reading if source.is_awaited else run(reading)
        assert kept is not None, "there is a source, or what was made of it"
        if not isinstance(kept, Busy):
            return shown(request, kept, view)
        if is_in_coroutine():
            return after(request, limits, view)
        kept.wait()


def shown(request: PyreRequest, kept: Kept, view: Callable[[Form], Any]) -> Any:
    """Return what is wanted of a form that has been read, or tell again why it could not be."""
    try:
        return view(kept.form())
    except FormError as error:
        request._blame(error, error.status)
        raise


async def after(
    request: PyreRequest, limits: FormLimits | None, view: Callable[[Form], Any]
) -> Any:
    """Wait until those have read the form who have begun to."""
    while isinstance(kept := request._form(), Busy):
        await kept.end()
    if kept is None:
        # They were cancelled before anything was read.
        found = seen(request, limits, view)
        return await found
    return shown(request, kept, view)


async def read(
    request: PyreRequest, source: Source, limits: FormLimits, view: Callable[[Form], Any]
) -> Any:
    """Read a form, and keep it for whoever asks again."""
    busy = Busy()
    with one_at_a_time:
        begun = request._form()
        if begun is None and not source.is_whole:
            request._form(busy)
    if begun is not None:
        # Others have asked as well, and have begun before this has.
        found = seen(request, limits, view)
        return await found if source.is_awaited else found
    kept: Form | Failed | Lost | None = None
    try:
        kept = Form(await collected(source, content_type_of(request), limits))
        return view(kept)
    except FormError as error:
        if kept is None:
            kept = Failed(error.status, error.detail)
        request._blame(error, error.status)
        raise
    finally:
        if kept is None and is_begun(request):
            kept = Lost()
        request._form(kept)
        busy.has_ended()


def is_begun(request: PyreRequest) -> bool:
    """Tell whether a part of the body has been read, and is gone."""
    try:
        request._is_whole()
    except RuntimeError:
        return True
    return False


def limits_of(request: PyreRequest, limits: FormLimits | None) -> FormLimits:
    """Return what a form may have: as the call has it, or the app."""
    if limits is None:
        found: FormLimits = request.app.form_limits
        return found
    if not isinstance(limits, FormLimits):
        raise TypeError(f"limits must be FormLimits, not {type(limits).__name__}")
    return limits


def content_type_of(request: PyreRequest) -> str:
    """Return what a request says of its body.

    Raises:
        FormError: It is compressed, which the app does not have undone.
    """
    encoding = request.header("content-encoding", "").strip().lower()
    if encoding not in ("", "identity") and not request.app.decodes_requests:
        raise FormError(415, f"the form has Content-Encoding {encoding!r}: it has to come as it is")
    return request.header("content-type", "")


class View(Done, Values):
    """What a form has, by name.

    In a coroutine it may be awaited, as it has to be where the form is still coming.
    """

    __slots__ = ()
    # `asyncio.gather` keeps what it awaits in a dict; nobody compares forms by this.
    __hash__ = object.__hash__  # type: ignore[assignment]


class Form:
    """A form that has been read."""

    __slots__ = ("_fields", "_files", "_parts", "_views")

    def __init__(self, collected: Collected) -> None:
        self._fields = collected.fields
        self._files = collected.files
        self._parts = collected.parts
        self._views: dict[str, View] = {}

    def form(self) -> Form:
        """Return itself."""
        return self

    def last_fields(self) -> View:
        """Return the fields; of a repeated one the last value."""
        return self._view("last_fields", lambda: View(self._fields))

    def all_fields(self) -> View:
        """Return the fields, each with the list of its values."""
        return self._view("all_fields", lambda: by_name(self._fields))

    def last_files(self) -> View:
        """Return the files; of a repeated name the last one."""
        return self._view("last_files", lambda: View((file.name, file) for file in self._files))

    def all_files(self) -> View:
        """Return the files, each name with the list of them."""
        return self._view("all_files", lambda: by_name((file.name, file) for file in self._files))

    def last_parts(self) -> View:
        """Return all parts; of a repeated name the last one.

        Raises:
            FormError: It has none.
        """
        parts = self._parts
        if parts is None:
            raise not_multipart()

        def made() -> View:
            found = View()
            for part in parts:
                file = part
                if isinstance(file, tuple):
                    name, value, content_type = file
                    file = UploadFile(name, None, content_type, value.encode())
                found[file.name] = file
            return found

        return self._view("last_parts", made)

    def _view(self, name: str, make: Callable[[], View]) -> View:
        if name not in self._views:
            self._views[name] = make()
        return self._views[name]


def by_name(pairs: Iterable[tuple[str, Any]]) -> View:
    """Return the values of each name in a list."""
    found = View()
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


class Busy:
    """Stands for a form that is being read by a coroutine, or a thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._has_ended = False
        self._waiting: list[Callable[[], object]] = []
        """What those are told by who wait."""

    def form(self) -> Form:
        """Tell so."""
        raise RuntimeError("the form is being read by another thread, or a coroutine")

    async def end(self) -> None:
        """Wait until it has been read, in a coroutine."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        ended = loop.create_future()
        if self._tell(lambda: loop.call_soon_threadsafe(settle, ended)):
            await ended

    def wait(self) -> None:
        """Wait until it has been read, on a thread.

        Now and then it looks up: what interrupts a handler is raised where Python code runs.
        """
        ended = Event()
        if self._tell(ended.set):
            while not ended.wait(LOOK_SECONDS):
                pass

    def _tell(self, end: Callable[[], object]) -> bool:
        """Have somebody told of the end, unless it has come."""
        with self._lock:
            if not self._has_ended:
                self._waiting.append(end)
            return not self._has_ended

    def has_ended(self) -> None:
        """Have those go on who wait."""
        with self._lock:
            self._has_ended = True
        for end in self._waiting:
            try:
                end()
            except RuntimeError:
                pass  # The loop is closed: nobody waits for it any more.


def settle(future: Future[None]) -> None:
    """Have whoever waits for a future go on, if anybody does."""
    if not future.done():
        future.set_result(None)


class Lost:
    """Stands for a form of which whoever read it has taken a part, and no more."""

    def form(self) -> Form:
        """Tell so."""
        raise RuntimeError(
            "the form is gone: whoever has begun to read it was cancelled or interrupted, and what "
            "had been read of the body is lost"
        )


class Failed:
    """Stands for a form that could not be read."""

    def __init__(self, status: int, detail: object) -> None:
        self._status = status
        self._detail = detail

    def form(self) -> Form:
        """Tell so again."""
        raise FormError(self._status, self._detail)

"""Forms of requests: what ``req.form()``, ``req.files()`` and the others return.

``collecting`` reads them, as their bytes come from one of ``sources``; ``parts`` gives them out part
by part; ``spools`` has what is on disk. Imported with the first form.
"""

from __future__ import annotations

from pyreframework.collecting import collected, not_multipart, parser_of
from pyreframework.engine import PyreRequest
from pyreframework.errors import FormError
from pyreframework.parts import Parts
from pyreframework.sources import Given, run, source_of
from pyreframework.uploads import FormLimits, UploadFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any, Self

    from pyreframework.collecting import Collected
    from pyreframework.sources import Source

    Values = dict[str, Any]
else:
    Values = dict


def form(request: PyreRequest, limits: FormLimits | None) -> View:
    """Return the fields; of a repeated one the last value."""
    return seen(request, limits, Form.last_fields)


def form_all(request: PyreRequest, limits: FormLimits | None) -> View:
    """Return the fields, each with the list of its values."""
    return seen(request, limits, Form.all_fields)


def files(request: PyreRequest, limits: FormLimits | None) -> View:
    """Return the files; of a repeated name the last one."""
    return seen(request, limits, Form.last_files)


def files_all(request: PyreRequest, limits: FormLimits | None) -> View:
    """Return the files, each name with the list of them."""
    return seen(request, limits, Form.all_files)


def multipart(request: PyreRequest, limits: FormLimits | None) -> Any:
    """Return all parts of a form with files, fields as well; of a repeated name the last one."""
    if isinstance(request, PyreRequest):
        return seen(request, limits, Form.last_parts)
    content_type = request.headers.get("content-type", "")
    found = run(collected(Given(request.body), content_type, limits or FormLimits()))
    return Form(found).last_parts()


def parts(request: PyreRequest, limits: FormLimits | None) -> Parts:
    """Return the parts as they come."""
    limits = limits_of(request, limits)
    try:
        parser = parser_of(content_type_of(request), limits)
        return Parts(request, parser, source_of(request), limits)
    except FormError as error:
        request._blame(error, error.status)
        raise


def seen(
    request: PyreRequest, limits: FormLimits | None, view: Callable[[Form], View]
) -> Any:
    """Return what is wanted of a form; in a coroutine, if it is still coming, what is awaited."""
    kept = request._form()
    if kept is None:
        limits = limits_of(request, limits)
        source = source_of(request)
        reading = read(request, source, limits, view)
        return reading if source.is_awaited else run(reading)
    try:
        return view(kept.form())
    except FormError as error:
        request._blame(error, error.status)
        raise


async def read(
    request: PyreRequest, source: Source, limits: FormLimits, view: Callable[[Form], View]
) -> View:
    """Read a form, and keep it for whoever asks again."""
    if not source.is_whole:
        request._form(Busy())
    kept: Form | Failed | None = None
    try:
        kept = Form(await collected(source, content_type_of(request), limits))
        return view(kept)
    except FormError as error:
        if kept is None:
            kept = Failed(error.status, error.detail)
        request._blame(error, error.status)
        raise
    finally:
        request._form(kept)


def limits_of(request: PyreRequest, limits: FormLimits | None) -> FormLimits:
    """Return what a form may have: as the call has it, or the app."""
    if limits is None:
        found: FormLimits = request.app.form_limits
        return found
    if not isinstance(limits, FormLimits):
        raise TypeError(f"limits must be FormLimits, not {type(limits).__name__}")
    return limits


def content_type_of(request: PyreRequest) -> str:
    """Return what a request says of its body."""
    return request.header("content-type", "")


class View(Values):
    """What a form has, by name.

    In a coroutine it may be awaited, as it has to be where the form is still coming.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Self]:
        return self
        yield  # So that it is a generator.


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
    """Stands for a form that is being read."""

    def form(self) -> Form:
        """Tell so."""
        raise RuntimeError("the form is being read by another task or thread")


class Failed:
    """Stands for a form that could not be read."""

    def __init__(self, status: int, detail: object) -> None:
        self._status = status
        self._detail = detail

    def form(self) -> Form:
        """Tell so again."""
        raise FormError(self._status, self._detail)

"""How a form is read to its end: the engine takes it apart, here is kept what comes of it.

Small files stay in memory, larger ones go to disk; every bound of `FormLimits` is kept here or in
the engine. Imported with the first form.
"""

from __future__ import annotations

from pyreframework.engine import FormParser, form_pairs
from pyreframework.errors import FormError
from pyreframework.uploads import UploadFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.engine import FormEvent, FormSpool
    from pyreframework.sources import Source
    from pyreframework.spools import Window
    from pyreframework.uploads import FormLimits

    type Head = tuple[str, str | None, str | None]
    """Name, name of a file, content type."""
    type Field = tuple[str, str, str | None]
    """Name, value, content type."""

# Bytes of files that are written at a time where another thread does it.
WRITTEN_AT = 512 * 1024
# RFC 7578 section 4.6: the field by which some say how the others are encoded.
CHARSET_FIELD = "_charset_"
UTF_8 = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


async def collected(source: Source, content_type: str, limits: FormLimits) -> Collected:
    """Read a form of either kind."""
    kind = essence(content_type)
    if kind == "application/x-www-form-urlencoded":
        return await url_encoded(source, limits)
    if kind != "multipart/form-data":
        raise FormError(
            400,
            "the body is not a form: its Content-Type is neither multipart/form-data nor "
            "application/x-www-form-urlencoded",
        )
    parser = parser_of(content_type, limits)
    found = Collector(limits, source.is_awaited)
    source.expect_much(True)
    try:
        while (events := await source.events(parser)) is not None:
            for event in events:
                found.add(event)
            spool = found.spool
            if spool is None:
                continue
            if found.offset is not None:
                source.spool(parser, spool)
            if spool.pending_size >= WRITTEN_AT:
                await source.call(spool.flush)
    finally:
        source.expect_much(False)
    parser.finish()
    if found.spool is not None:
        await source.call(found.spool.release)
    return found


class Collected:
    """What a form has."""

    __slots__ = ("fields", "files", "parts")

    def __init__(self, parts: list[UploadFile | Field] | None = None) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: list[UploadFile] = []
        self.parts = parts
        """All of them in order; None if it has none, as it is URL-encoded."""


def essence(content_type: str) -> str:
    """Return a content type without its parameters."""
    return content_type.partition(";")[0].strip(" \t").lower()


def parser_of(content_type: str, limits: FormLimits) -> FormParser:
    """Return what takes a form with files apart."""
    if essence(content_type) != "multipart/form-data":
        raise not_multipart()
    return FormParser(
        content_type.encode("latin-1"),
        limits.max_parts,
        limits.max_head_size,
        limits.max_name_size,
    )


def not_multipart() -> FormError:
    """Return what is said of a body that is no form with files."""
    return FormError(400, "the body is not a form with files: it is not multipart/form-data")


async def url_encoded(source: Source, limits: FormLimits) -> Collected:
    """Read a form that is one line of pairs."""
    body = bytearray()
    while piece := await source.piece():
        if len(body) + len(piece) > limits.max_memory:
            raise FormError(413, f"the form has more than {limits.max_memory} bytes")
        body += piece
    found = Collected()
    found.fields = form_pairs(
        bytes(body), limits.max_parts, limits.max_name_size, limits.max_field_size
    )
    for name, value in found.fields:
        check_charset(name, value)
    return found


def check_charset(name: str, value: str) -> None:
    """Refuse a form that says of itself that it is not UTF-8."""
    if name == CHARSET_FIELD and value.lower() not in UTF_8:
        raise FormError(400, f"the form is in {value!r}, and not UTF-8")


class Collector(Collected):
    """Puts together what comes of a form with files."""

    __slots__ = (
        "buffer", "head", "limits", "memory", "offset", "ordered", "size", "spool", "waits",
    )  # fmt: skip

    def __init__(self, limits: FormLimits, waits: bool) -> None:
        self.ordered: list[UploadFile | Field] = []
        super().__init__(self.ordered)
        self.limits = limits
        self.waits = waits
        """Whether another thread is to write, when it is told to."""
        self.spool: FormSpool | None = None
        self.memory = 0
        """Bytes of all parts that are in memory."""
        self.head: Head = ("", None, None)
        self.buffer = bytearray()
        self.size = 0
        self.offset: int | None = None
        """Where the part begins in the spool, if it is there."""

    def add(self, event: FormEvent) -> None:
        """Take what comes next."""
        if isinstance(event, bytes):
            self.add_data(event)
        elif isinstance(event, int):
            self.size += event
            check_size(self.head, self.size, self.limits)
        elif event is None:
            self.end_part()
            self.offset = None
        else:
            self.head = event
            self.buffer = bytearray()
            self.size = 0

    def add_data(self, data: bytes) -> None:
        """Take some data of a part."""
        self.size += len(data)
        check_size(self.head, self.size, self.limits)
        if self.offset is not None:
            assert self.spool is not None, "what has an offset is there"
            self.spool.append(data)
            return
        self.memory += len(data)
        is_much = self.memory > self.limits.max_memory
        if self.head[1] is None:
            if is_much:
                self.spool_files()
            if self.memory > self.limits.max_memory:
                raise FormError(
                    413, f"the fields of the form have more than {self.limits.max_memory} bytes"
                )
        elif is_much or self.size > self.limits.spool_size:
            self.begin_spooling()
            self.spool.append(data)  # type: ignore[union-attr] # It was made, if it was not there.
            return
        self.buffer += data

    def begin_spooling(self) -> None:
        """Move the part that is coming to disk."""
        spool = self.open_spool()
        self.memory -= self.size
        self.offset = spool.size
        if self.buffer:
            spool.append(bytes(self.buffer))
        self.buffer = bytearray()

    def open_spool(self) -> FormSpool:
        """Return what is on disk of the form, for more of it."""
        if self.spool is None:
            from pyreframework.spools import opened

            self.spool = opened(self.limits.spool_dir, self.waits)
        return self.spool

    def spool_files(self) -> None:
        """Move the files that are in memory to disk: fields cannot be there, and need the room."""
        from pyreframework.spools import Window

        for file in self.files:
            content = file._content  # noqa: SLF001 - nobody else has seen it yet
            if content and isinstance(content, bytes):
                spool = self.open_spool()
                window = Window(spool, spool.size, file.size)
                file._put(_content=window)  # noqa: SLF001
                spool.append(content)
                self.memory -= file.size

    def end_part(self) -> None:
        """Put a part where it belongs."""
        name, filename, content_type = self.head
        if filename is None:
            try:
                value = self.buffer.decode()
            except UnicodeDecodeError as error:
                raise FormError(400, f"the field {name!r} of the form is not UTF-8") from error
            check_charset(name, value)
            self.fields.append((name, value))
            self.ordered.append((name, value, content_type))
            return
        content: bytes | Window
        if self.offset is None:
            content = bytes(self.buffer)
        else:
            from pyreframework.spools import Window

            assert self.spool is not None, "what has an offset is there"
            content = Window(self.spool, self.offset, self.size)
        file = UploadFile(name, filename, content_type, content)
        self.files.append(file)
        self.ordered.append(file)


def check_size(head: Head, size: int, limits: FormLimits) -> None:
    """Refuse a part that is larger than it may be."""
    name, filename, _ = head
    kind, bound = ("field", limits.max_field_size)
    if filename is not None:
        kind, bound = ("file", limits.max_file_size)  # type: ignore[assignment]
    if bound is not None and size > bound:
        raise FormError(413, f"the {kind} {name!r} of the form has more than {bound} bytes")

"""Pictures and films: uploads with progress, a page that shows them, films that seek by ranges.

The listing is what the folder has, so all workers agree, and a restart keeps everything. Without a
page: `curl -F file=@cat.jpg http://127.0.0.1:8000/api/media`.
"""

import asyncio
import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Any

from pyreframework import FormLimits, HTTPError, Pyre, PyreRequest

PAGES = Path(__file__).with_name("pages")
FOLDER = Path(os.environ.get("GALLERY_FOLDER", "gallery-media")).absolute()
FOLDER.mkdir(parents=True, exist_ok=True)

MB = 1_000_000
UPLOAD_BYTES_MAX = int(os.environ.get("GALLERY_UPLOAD_BYTES_MAX") or 200 * MB)
KEPT_BYTES_MAX = int(os.environ.get("GALLERY_KEPT_BYTES_MAX") or 4000 * MB)
KEPT_FILES_MAX = int(os.environ.get("GALLERY_KEPT_FILES_MAX") or 500)
FORM_FILES_MAX = 20

# The hosts that are served, with commas. Without them a name of another site could be made to lead
# here, and its pages were the gallery's own for browsers (DNS rebinding).
HOSTS = os.environ.get("GALLERY_HOSTS", "").strip(" ,") or "localhost, 127.0.0.1, [::1]"

# By these many bytes the type of a file is told.
HEAD_BYTES = 64

# When it came and what cannot be guessed, so that a name is never used again.
NAME = re.compile(r"(\d{19})-[0-9a-f]{16}\.(jpg|png|gif|webp|avif|mp4|webm)")
FILMS = ("mp4", "webm")
SHOWN = "JPEG, PNG, GIF, WebP, AVIF, MP4, MOV, 3GP and WebM"

# Of ISO/IEC 14496-12 with pictures that move: of MPEG-4, phones (3GPP), QuickTime and cameras.
# Browsers play all of them, if they know how the pictures are encoded. Not HEIC, sound or RAW.
FILM_BRANDS = (
    b"iso", b"mp4", b"avc1", b"M4V", b"dash", b"cmf", b"f4v ",
    b"3gp", b"3g2", b"mmp4", b"qt  ", b"MSNV", b"XAVC",
)  # fmt: skip

# Names that begin with a dot are not served. Whoever writes to such a file holds a lock on it.
COMING = ".coming-"
# So much is collected before it is written, as for each block there has to be room.
BLOCK_BYTES = 256 * 1024
# The boundaries and heads of a form have to have room beside its files.
FORM_BYTES = 64 * 1024

app = Pyre(trusted_hosts=[host.strip() for host in HOSTS.split(",")])
app.max_body_size = UPLOAD_BYTES_MAX + FORM_BYTES
app.form_limits = FormLimits(max_parts=FORM_FILES_MAX, max_file_size=UPLOAD_BYTES_MAX)
# No page of another site is to add or delete something in the name of who looks at it.
app.enable_csrf()


def ending(head: bytearray) -> str | None:
    """Return how the name of a file with this beginning ends; None if it is nothing for a gallery.

    What a client says of it is not asked. SVG is left out: it may have scripts.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    # The box that comes first in files of ISO/IEC 14496-12, with the brand of what follows.
    if head[4:8] == b"ftyp":
        if head[8:12].startswith((b"avif", b"avis")):
            return "avif"
        return "mp4" if head[8:12].startswith(FILM_BRANDS) else None
    # EBML, of which Matroska is another kind.
    if head.startswith(b"\x1aE\xdf\xa3") and b"webm" in head:
        return "webm"
    return None


def sizes() -> Iterator[tuple[str, int]]:
    """Return names and sizes of what is there, and of what is on its way."""
    with os.scandir(FOLDER) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name) or entry.name.startswith(COMING):
                try:
                    size = entry.stat().st_size
                except FileNotFoundError:
                    continue  # deleted just now
                yield entry.name, size


def kept() -> list[dict[str, Any]]:
    """Return what there is, newest first."""
    found = []
    for name, size in sizes():
        if match := NAME.fullmatch(name):
            kind = "film" if match[2] in FILMS else "picture"
            added_ms = int(match[1]) // 1_000_000
            found.append({"name": name, "kind": kind, "bytes": size, "added_ms": added_ms})
    return sorted(found, key=lambda item: item["name"], reverse=True)


def require_room(files: int, size: int) -> None:
    """Refuse what the bounds have no room for, beside what is on its way to any worker."""
    # One that is empty has no place yet.
    there = [used for _, used in sizes() if used]
    if len(there) + files > KEPT_FILES_MAX:
        raise HTTPError(507, f"the gallery is full: it has {KEPT_FILES_MAX} files at most")
    if sum(there) + size > KEPT_BYTES_MAX:
        raise HTTPError(507, f"the gallery is full: it has {KEPT_BYTES_MAX} bytes at most")


@contextmanager
def alone() -> Iterator[None]:
    """Keep other workers and processes from adding something meanwhile."""
    with open(FOLDER / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def begin(stack: ExitStack) -> tuple[BufferedWriter, Path]:
    """Return a new file, which goes with the stack unless it gets another name."""
    while True:
        path = FOLDER / f"{COMING}{secrets.token_hex(8)}"
        file = stack.enter_context(open(path, "xb"))  # noqa: SIM115 - the stack closes it
        stack.callback(path.unlink, missing_ok=True)
        # The system lets it go with the process, however that ends.
        fcntl.flock(file, fcntl.LOCK_EX)
        # Before that, a process that starts may have taken it for abandoned.
        if os.fstat(file.fileno()).st_nlink:
            return file, path


def append(file: BufferedWriter, block: bytes | bytearray) -> None:
    """Write a block if there is room; the file has its length first, so others count it."""
    # An upload may be cancelled meanwhile: a file that was closed refuses all of this.
    with alone():
        written = file.tell()
        require_room(0 if written else 1, len(block))
        file.truncate(written + len(block))
    file.write(block)
    file.flush()


def publish(coming: list[tuple[Path, str]]) -> list[str]:
    """Give files that are whole the names they are served by: all of them, or none."""
    names: list[str] = []
    with alone():
        try:
            for path, end in coming:
                name = f"{time.time_ns():019}-{secrets.token_hex(8)}.{end}"
                path.rename(FOLDER / name)
                names.append(name)
        except OSError:
            for name in names:
                (FOLDER / name).unlink(missing_ok=True)
            raise
    return names


@app.get("/api/media")
def listing(req: PyreRequest) -> dict[str, Any]:
    return {"items": kept(), "files_max": KEPT_FILES_MAX, "bytes_max": KEPT_BYTES_MAX}


@app.post("/api/media", stream_body=True, request_timeout=3600)
async def upload(req: PyreRequest) -> tuple[dict[str, list[str]], int]:
    """Take the files of a form: all of them, or none. They are never in memory as a whole."""
    # Said before anything is sent: a length is told by all but those who make the form meanwhile.
    told = int(req.header("content-length") or 0)
    await asyncio.to_thread(require_room, 1, max(1, told - FORM_BYTES))
    coming: list[tuple[Path, str]] = []
    with ExitStack() as stack:
        try:
            async for part in req.parts():
                # Fields; and where no file was chosen, browsers send one without a name.
                if not part.filename:
                    continue
                block = bytearray(await part.read(HEAD_BYTES))
                end = ending(block)
                if end is None:
                    raise HTTPError(415, f"only {SHOWN} are shown here")
                file, path = begin(stack)
                # A disk may be slow: the event loop has others to serve meanwhile.
                async for piece in part:
                    block += piece
                    if len(block) >= BLOCK_BYTES:
                        await asyncio.to_thread(append, file, block)
                        block = bytearray()
                if block:
                    await asyncio.to_thread(append, file, block)
                coming.append((path, end))
            if not coming:
                raise HTTPError(400, "there is no file in the form")
            return {"names": await asyncio.to_thread(publish, coming)}, 201
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise HTTPError(507, "the disk is full") from None
            raise


@app.delete("/api/media/{name}")
def delete(req: PyreRequest, name: str) -> None:
    # What is no name of ours could lead anywhere.
    if not NAME.fullmatch(name):
        raise HTTPError(404)
    try:
        (FOLDER / name).unlink()
    except FileNotFoundError:
        raise HTTPError(404) from None


@app.on_startup
def tidy() -> None:
    """Delete what a process has left that was killed: nobody holds a lock on it."""
    for path in FOLDER.glob(f"{COMING}*"):
        try:
            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue  # its upload goes on, or has just ended


# A name is never given twice, so what a browser has need not be asked for again.
app.static("/media", FOLDER, immutable=True)
app.static("/", PAGES)


if __name__ == "__main__":
    app.run()

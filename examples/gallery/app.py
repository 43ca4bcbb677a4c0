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

# By these many bytes the type of a file is told.
HEAD_BYTES = 64

# When it came and what cannot be guessed, so that a name is never used again.
NAME = re.compile(r"(\d{19})-[0-9a-f]{16}\.(jpg|png|gif|webp|avif|mp4|webm)")
FILMS = ("mp4", "webm")
SHOWN = "JPEG, PNG, GIF, WebP, AVIF, MP4 and WebM"

# Names that begin with a dot are not served.
COMING = ".coming-"
# Nobody has written to it for so long: whoever did was killed.
ABANDONED_S = 600

app = Pyre()
# The boundaries and heads of a form have to have room beside its files.
app.max_body_size = UPLOAD_BYTES_MAX + 64 * 1024
app.form_limits = FormLimits(max_parts=FORM_FILES_MAX, max_file_size=UPLOAD_BYTES_MAX)


def ending(head: bytes) -> str | None:
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
        if head[8:12] in (b"avif", b"avis"):
            return "avif"
        return "mp4" if head[8:12].startswith((b"iso", b"mp4", b"avc1", b"M4V", b"dash")) else None
    # EBML, of which Matroska is another kind.
    if head.startswith(b"\x1aE\xdf\xa3") and b"webm" in head:
        return "webm"
    return None


def kept() -> list[dict[str, Any]]:
    """Return what there is, newest first."""
    found = []
    with os.scandir(FOLDER) as entries:
        for entry in entries:
            if match := NAME.fullmatch(entry.name):
                try:
                    size = entry.stat().st_size
                except FileNotFoundError:
                    continue  # deleted just now
                kind = "film" if match[2] in FILMS else "picture"
                added_ms = int(match[1]) // 1_000_000
                found.append(
                    {"name": entry.name, "kind": kind, "bytes": size, "added_ms": added_ms}
                )
    return sorted(found, key=lambda item: item["name"], reverse=True)


def require_room(files: int, size: int) -> None:
    """Refuse what the bounds have no room for."""
    there = kept()
    if len(there) + files > KEPT_FILES_MAX:
        raise HTTPError(507, f"the gallery is full: it has {KEPT_FILES_MAX} files at most")
    if sum(item["bytes"] for item in there) + size > KEPT_BYTES_MAX:
        raise HTTPError(507, f"the gallery is full: it has {KEPT_BYTES_MAX} bytes at most")


@contextmanager
def alone() -> Iterator[None]:
    """Keep other workers and processes from adding something meanwhile."""
    with open(FOLDER / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(coming: list[tuple[Path, str]]) -> list[str]:
    """Give files that are whole the names they are served by: all of them, or none."""
    with alone():
        require_room(len(coming), sum(path.stat().st_size for path, _ in coming))
        names = []
        for path, end in coming:
            name = f"{time.time_ns():019}-{secrets.token_hex(8)}.{end}"
            path.rename(FOLDER / name)
            names.append(name)
        return names


@app.before_request
def refuse_other_sites(req: PyreRequest) -> None:
    """Let no page of another site upload in the name of who looks at it."""
    if req.method != "GET" and req.header("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise HTTPError(403, "only the gallery's own page may do that")


@app.get("/api/media")
def listing(req: PyreRequest) -> dict[str, Any]:
    return {"items": kept(), "files_max": KEPT_FILES_MAX, "bytes_max": KEPT_BYTES_MAX}


@app.post("/api/media", stream_body=True, request_timeout=3600)
async def upload(req: PyreRequest) -> tuple[dict[str, list[str]], int]:
    """Take the files of a form: all of them, or none. They are never in memory as a whole."""
    # Said before anything is sent, if there is no room for a single byte.
    await asyncio.to_thread(require_room, 1, 1)
    coming: list[tuple[Path, str]] = []
    with ExitStack() as stack:
        try:
            async for part in req.parts():
                # Fields; and where no file was chosen, browsers send one without a name.
                if not part.filename:
                    continue
                head = await part.read(HEAD_BYTES)
                end = ending(head)
                if end is None:
                    raise HTTPError(415, f"only {SHOWN} are shown here")
                path = FOLDER / f"{COMING}{secrets.token_hex(8)}"
                # Its buffer has a lock: an upload that is cancelled waits for a write that goes on.
                with open(path, "xb") as file:
                    stack.callback(path.unlink, missing_ok=True)
                    file.write(head)
                    # A disk may be slow: the event loop has others to serve meanwhile.
                    async for piece in part:
                        await asyncio.to_thread(file.write, piece)
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
    """Delete what a process has left that was killed; what is still written to is somebody's."""
    for path in FOLDER.glob(f"{COMING}*"):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()
        except FileNotFoundError:
            continue  # its upload has just ended


# A name is never given twice, so what a browser has need not be asked for again.
app.static("/media", FOLDER, immutable=True)
app.static("/", PAGES)


if __name__ == "__main__":
    app.run()

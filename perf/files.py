"""Measure what files cost: small and large ones, and those that a client has already, beside nginx.

nginx has what is best for each case: one worker, an open file cache, no access log, and no sendfile
but for large files. Its rounds and ours take turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from perf.harness import load, machine, series
from perf.harness.answers import Route
from perf.harness.contenders import Contender, Unavailable, pyre
from perf.harness.exchange import Client
from perf.harness.load import Load
from perf.harness.series import Series
from perf.harness.server import Server, running

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/plain txt; }}
    charset utf-8;
    open_file_cache max=1000 inactive=60s;
    open_file_cache_valid 1s;
    keepalive_requests 100000000;
    sendfile {sendfile};
    tcp_nopush {sendfile};
    server {{
        listen 127.0.0.1:PORT backlog=4096;
        root {files};
    }}
}}
"""
SIZES = {"4 KB": 4096, "60 KB": 60 * 1024, "1 MB": 1024 * 1024, "10 MB": 10 * 1024 * 1024}
KIND = "text/plain; charset=utf-8"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.files", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="rounds (6)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a round (2)")
    parser.add_argument("--only", default="small,known,large,many", help="which questions")
    parser.add_argument("--trial", action="store_true", help="only show that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.rounds, chosen.seconds = 1, 1
    return chosen


def nginx(folder: Path, files: Path, sendfile: str) -> Contender:
    """Return nginx as it is to serve these files.

    Raises:
        Unavailable: It is not installed.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise Unavailable("nginx is missing; on Debian and Ubuntu: apt-get install nginx-light")
    own = folder / f"nginx-{sendfile}"
    own.mkdir()
    template = own / "nginx.in"
    text = CONFIGURATION.format(folder=own, files=files, sendfile=sendfile)
    # Its workers are another user, who has to be let in.
    template.write_text(("user root;\n" if os.getuid() == 0 else "") + text)
    made = f"sed s/PORT/{{port}}/ {template} >{own}/nginx.conf"
    command = f"{made} && exec {program} -p {own} -e {own}/error.log -c {own}/nginx.conf"
    return Contender(f"nginx, sendfile {sendfile}", ("sh", "-c", command))


def make_files(folder: Path) -> Path:
    """Make the files, and a page for those who ask whether a server is there."""
    files = folder / "files"
    files.mkdir()
    (files / "index.html").write_text("<p>here")
    for name, size in SIZES.items():
        (files / f"{name.replace(' ', '')}.txt").write_bytes(b"0123456789abcde\n" * (size // 16))
    return files


def asked(name: str, fields: tuple[str, ...] = ()) -> Route:
    """Return the route of a file."""
    return Route(name, "GET", f"/{name.replace(' ', '')}.txt", KIND, fields=fields)


def tag(server: Server, name: str) -> str:
    """Return by what a server knows the version of a file."""
    server.go_on()
    try:
        with Client(server.port, timeout_s=10.0) as client:
            return client.ask("GET", asked(name).path).headers["etag"]
    finally:
        server.pause()


@contextmanager
def servers(sendfile: str) -> Iterator[list[Server]]:
    """Run both, each allowed to run in its own rounds only."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyre-files-")))
        files = make_files(folder)
        found = []
        for one in (nginx(folder, files, sendfile), pyre("files_app.py", {"FILES": str(files)})):
            found.append(stack.enter_context(running(one, cores={0})))
            found[-1].pause()
        yield found


def compared(
    title: str, cases: list[tuple[Server, Route]], kind: Load, chosen: argparse.Namespace
) -> None:
    """Measure, and print a table with ratios to the first server."""
    print(f"\n{title}, {kind.name}, one core\n")
    found = [Series(server.name, server, route, kind, 1) for server, route in cases]
    series.compare(found, chosen.rounds, chosen.seconds)
    print(series.table(found, [found[0]]), flush=True)


def small(chosen: argparse.Namespace) -> None:
    """Compare files that are sent from memory."""
    with servers("off") as both:
        for name in ("4 KB", "60 KB"):
            for kind in (Load(1, 64), Load(16, 64)):
                compared(name, [(one, asked(name)) for one in both], kind, chosen)


def known(chosen: argparse.Namespace) -> None:
    """Compare answers to those who have the file: 304."""
    with servers("off") as both:
        cases = [(one, asked("4 KB", (f"If-None-Match: {tag(one, '4 KB')}",))) for one in both]
        for kind in (Load(1, 64), Load(16, 64)):
            compared("304", cases, kind, chosen)


def large(chosen: argparse.Namespace) -> None:
    """Compare files that go from the file to the socket."""
    with servers("on") as both:
        for name in ("1 MB", "10 MB"):
            compared(name, [(one, asked(name)) for one in both], Load(1, 16), chosen)


def many(chosen: argparse.Namespace) -> None:
    """Compare how late answers are with a thousand connections."""
    with servers("off") as both:
        compared("4 KB", [(one, asked("4 KB")) for one in both], Load(1, 1000), chosen)


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    questions = {"small": small, "known": known, "large": large, "many": many}
    machine.show()
    try:
        for name in chosen.only.split(","):
            questions[name](chosen)
    except (Unavailable, load.NoLoad) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A real nginx, for tests that look at what it makes of something."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import SUCCESS_S, wait_until

# All that it writes goes into one folder.
AROUND = """
daemon off;
worker_processes 1;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
"""


def program() -> str:
    """Where it is; skips the test where it cannot be what it is about."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("no nginx is installed")
    if os.getuid() != 0:
        pytest.skip("only root can have nginx run its workers as another user")
    return found


@contextmanager
def running(folder: Path, http: str) -> Iterator[int]:
    """Run it with this in ``http``, where folder and port are to be filled in; yields the port.

    All that it writes goes into the folder; it listens on a socket of ours.
    """
    found = program()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        file = folder / "nginx.conf"
        configuration = AROUND + http + "}}\n"
        file.write_text(configuration.format(user=nobody(), folder=folder, port=port))
        process = subprocess.Popen(
            [found, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(file)],
            # The way in which it hands sockets over to itself; the port is ours all the time.
            env=os.environ | {"NGINX": f"{listener.fileno()};"},
            stdin=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )
    try:
        wait_until(lambda: process.poll() or workers_of(process.pid), "nginx has workers")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(SUCCESS_S)


def nobody() -> str:
    """A user without rights, and its group, which has another name here and there."""
    user = pwd.getpwnam("nobody")
    return f"{user.pw_name} {grp.getgrgid(user.pw_gid).gr_name}"


def workers_of(pid: int) -> list[int]:
    """The users that the children of a process run as, root not among them."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        status = Path(f"/proc/{child}/status").read_text()
        (users,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        found.append(int(users[1]))
    return [user for user in found if user != 0]

"""Where to listen: the ways to say it, and what they come to."""

from __future__ import annotations

from pyreframework.serving.settings.options import TABLE, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyreframework.serving.settings.options import Value

# Where an option came from; what weighs more goes first.
FLAG, ARGUMENT, PROPERTY, VARIABLE, ALIAS, DEFAULT = 5, 4, 3, 2, 1, 0
# The first descriptor of socket activation, as sd_listen_fds(3) has it.
ACTIVATED_FROM = 3
# What the address of a Unix-domain socket has room for, without the zero behind it.
SOCKET_PATH_BYTES_MAX = 107


def bind_address(entry: object, source: str) -> str:
    """Return an address to listen on in the form ``host:port`` or ``[ipv6]:port``."""
    form = f"{source}: {entry!r} is not of the form host:port, [ipv6]:port or unix:/path"
    if not isinstance(entry, str):
        raise UsageError(form)
    if entry.startswith("unix:") and len(entry) > len("unix:") and "\0" not in entry:
        return entry
    host, colon, port = entry.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{form}; put the IPv6 address in brackets")
    if not colon or not is_host(host) or not (port.isascii() and port.isdigit()):
        raise UsageError(form)
    if int(port) > 65535:
        raise UsageError(f"{source}: the port of {entry!r} must be from 0 to 65535")
    return join(host, int(port))


def is_host(text: str) -> bool:
    """Tell whether a text may name a host: not if the bytes behind it were none in UTF-8."""
    return bool(text) and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def as_bytes(bind: str) -> bytes:
    """Return an address as the engine takes it; of a path, the bytes that the system knows."""
    if bind.startswith("unix:"):
        from os import fsencode

        return fsencode(bind)
    return bind.encode("utf-8", "surrogateescape")


def addresses(
    values: Mapping[str, Value], ranks: Mapping[str, int], activated: int = 0
) -> list[str]:
    """Return where to listen. There are four ways to say it; the one that was said with most weight
    counts, and two of the same weight contradict each other.
    """
    ways = {
        "host and port": max(ranks["host"], ranks["port"]),
        **{name: ranks[name] for name in ("bind", "uds", "fd")},
    }
    weight = max(ways.values())
    said = [way for way, rank in ways.items() if rank == weight]
    if activated and weight <= ALIAS:
        return [f"fd:{ACTIVATED_FROM + index}" for index in range(activated)]
    if weight > DEFAULT and len(said) > 1:
        ways_given = " or ".join(as_given(way, weight, ranks) for way in said)
        to_run = " to run()" if weight == ARGUMENT else ""
        raise UsageError(f"give either {ways_given}{to_run}: each says where to listen")
    host, port, bind = values["host"], values["port"], values["bind"]
    assert isinstance(host, str)
    assert isinstance(port, int)
    match said[0]:
        case "bind":
            assert isinstance(bind, list)
            refuse_twice(bind)
            return [in_folder(entry, ranks["bind"]) for entry in bind]
        case "uds":
            return [in_folder(f"unix:{values['uds']}", ranks["uds"])]
        case "fd":
            return [f"fd:{values['fd']}"]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not is_host(host):
        raise UsageError(f"host: {host!r} is no name or address of a host")
    return [join(host, port)]


def as_given(way: str, weight: int, ranks: Mapping[str, int]) -> str:
    """Return a way to say where to listen as somebody has given it: flags, variables or arguments.

    Example:
        >>> as_given("host and port", VARIABLE, {"host": DEFAULT, "port": VARIABLE})
        'PYRE_PORT'
    """
    options = [TABLE[name] for name in way.split(" and ") if ranks[name] == weight]
    if weight == FLAG:
        return " with ".join(option.flag for option in options)
    if weight == VARIABLE:
        return " with ".join(option.variable for option in options)
    return " with ".join(option.name for option in options)


def in_folder(bind: str, rank: int) -> str:
    """Return an address with a path that stays the same if the program changes its folder.

    A flag or a variable means the folder in which the command was started, the program itself the
    one where it is now. A path that is too long with its folder stays as it is.
    """
    path = bind.removeprefix("unix:")
    if path == bind or path.startswith("/"):
        return bind
    import os

    from pyreframework.program.apps import started_in

    try:
        folder: str | None = os.getcwd()
        # By one name, as the sockets of the process before are found by their address.
        if started_in is not None and os.path.samefile(started_in, os.curdir):
            folder = started_in
    except OSError:
        folder = None
    if rank not in (ARGUMENT, PROPERTY):
        folder = started_in
    if folder is None:
        return bind
    absolute = os.path.normpath(os.path.join(folder, path))
    is_too_long = len(os.fsencode(absolute)) > SOCKET_PATH_BYTES_MAX
    return bind if is_too_long else f"unix:{absolute}"


def refuse_twice(binds: list[str]) -> None:
    """See that no address is given twice, in whatever spelling. Port 0 is another each time.

    Raises:
        UsageError: One is.

    Example:
        >>> refuse_twice(["[::1]:80", "[0:0::1]:80"])
        Traceback (most recent call last):
        pyreframework.serving.settings.options.UsageError: bind has the address [0:0::1]:80 twice
    """
    from ipaddress import ip_address
    from os.path import realpath

    seen: set[str] = set()
    for bind in binds:
        host, _, port = bind.rpartition(":")
        if bind.startswith("unix:"):
            plain = f"unix:{realpath(bind.removeprefix('unix:'))}"
        elif port == "0":
            continue
        else:
            try:
                plain = join(str(ip_address(host.strip("[]"))), int(port))
            except ValueError:
                plain = bind.lower()
        if plain in seen:
            raise UsageError(f"bind has the address {bind} twice")
        seen.add(plain)


def join(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def activated(environment: Mapping[str, str]) -> int:
    """Return how many listening sockets a service manager has given to this process.

    As systemd does it: ``LISTEN_PID`` says for which process they are, ``LISTEN_FDS`` how many.

    Example:
        >>> activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"})
        0
    """
    import os

    if environment.get("LISTEN_PID") != str(os.getpid()):
        return 0
    count = environment.get("LISTEN_FDS", "")
    return int(count) if count.isascii() and count.isdigit() else 0

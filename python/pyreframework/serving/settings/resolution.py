"""What the options of ``run()`` come to.

A flag goes before an argument, an argument before a variable, a variable before the default. A
value that does not fit stops the start and names itself; nothing is ever ignored. Read once, before
the first socket is opened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyreframework.serving.settings import cpus
from pyreframework.serving.settings.addresses import (
    ALIAS,
    ARGUMENT,
    DEFAULT,
    FLAG,
    PROPERTY,
    VARIABLE,
    addresses,
    as_bytes,
    bind_address,
)
from pyreframework.serving.settings.options import (
    NOT_YET,
    OF_THE_APP,
    OPTIONS,
    PREFIX,
    TABLE,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyreframework.serving.settings.options import Option, Value

MAIN_MODES_NOT = ("subinterp", "auto")

# Tuning of `hand_over`: no options, but tests set them before run().
# A handler that has kept a reactor at two looks this far apart loses it, in milliseconds.
TAKE_BACK_MS = 10
# Short calls in a row after which a route counts as short.
PROOF_CALLS = 64
# The most that may be asked of a route from which connections had to be taken back.
PROOF_CALLS_MAX = 1 << 20

# What the engine is told besides, unless the app says otherwise.
ABOUT_THE_APP: dict[str, object] = {
    "pages": [],
    "has_readiness_check": False,
    "gives_ids": False,
    "cors": [],
    "security_headers": [],
    "trusted_hosts": [],
    "https_redirect": [],
    "compression": [],
    "access_level": "info",
    "access_sample": 1,
    "access_always": 400,
    "access_to_program": False,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """All options, checked. Does not change while serving."""

    values: dict[str, Value]
    binds: list[str]
    # Options that somebody has given, in whatever way.
    given: frozenset[str] = frozenset()

    @property
    def on_main(self) -> bool:
        """Whether every handler runs on the main interpreter."""
        return str(self.values["mode"]).lower() not in MAIN_MODES_NOT

    def seconds(self, name: str) -> float:
        """Return the option ``name``, a time in seconds."""
        value = self.values[name]
        assert isinstance(value, float)
        return value

    def count(self, name: str) -> int:
        """Return the option ``name``, a whole number."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def for_engine(self, notify: int) -> dict[str, object]:
        """Return what the native server needs to know.

        Args:
            notify: A descriptor; a byte is written there when ``max_requests`` have come.
        """
        absent = (
            "host", "port", "bind", "uds", "fd", "mode", "reload", "max_requests_jitter", "verbose",
        )  # fmt: skip
        needed: dict[str, object] = {
            name: value for name, value in self.values.items() if name not in absent
        }
        needed["binds"] = [as_bytes(bind) for bind in self.binds]
        # Sockets that are handed over may have been changed by hand.
        needed["uds_mode_for_handed"] = "uds_mode" in self.given
        needed["notify"] = notify
        needed["take_back_ms"] = TAKE_BACK_MS
        needed["proof_calls"] = PROOF_CALLS
        needed["proof_calls_max"] = PROOF_CALLS_MAX
        if self.values["max_requests"]:
            from random import randint

            most = randint(0, self.count("max_requests_jitter"))  # noqa: S311 - spreads, no secret
            needed["max_requests"] = self.count("max_requests") + most
        return needed | ABOUT_THE_APP


def resolve(
    arguments: Mapping[str, object],
    environment: Mapping[str, str],
    properties: Mapping[str, object] | None = None,
    flags: Mapping[str, object] | None = None,
    activated: int = 0,
) -> Settings:
    """Work out every option from the arguments of ``run()``, the environment and the defaults.

    Args:
        arguments: What ``run()`` was given; None means not given.
        environment: Usually ``os.environ``.
        properties: What the app object itself was told (``debug``, ``max_body_size``); goes after
            an argument and before a variable.
        flags: What ``pyre run`` was given; goes before everything else.
        activated: How many sockets a service manager has opened for this process, from descriptor
            3 on; they are listened on unless an address was given.

    Raises:
        UsageError: A name is unknown, or a value does not fit; the text names it.

    Example:
        >>> resolve({"port": 0, "workers": 2}, {"PYRE_HOST": "::1"}).binds
        ['[::1]:0']
    """
    refuse_unknown(arguments, environment)
    values: dict[str, Value] = {}
    ranks: dict[str, int] = {}
    for option in OPTIONS:
        given = (flags or {}).get(option.name)
        if given is not None:
            value, rank = check(option, given, option.flag), FLAG
        else:
            value, rank = pick(option, arguments, properties or {}, environment)
        values[option.name], ranks[option.name] = value, rank
    if values["workers"] is None:
        values["workers"] = cpus.usable()
    workers = values["workers"]
    assert isinstance(workers, int)
    if values["gil_watchdog"] is None:
        values["gil_watchdog"] = 1.0 if values["metrics"] else 0.0
    if values["io_workers"] is None:
        values["io_workers"] = min(workers, cpus.usable())
    given_ones = frozenset(name for name, rank in ranks.items() if rank > DEFAULT)
    binds = addresses(values, ranks, activated)
    refuse_idle_mode(binds, ranks["uds_mode"])
    return Settings(values, binds, given_ones)


def refuse_idle_mode(binds: list[str], rank: int) -> None:
    """Raise for a mode of sockets that nobody makes here, unless a variable says it.

    Variables may be there for several programs. Sockets that were opened by others keep the mode
    they have, and may be Unix-domain sockets as well.
    """
    if rank < ARGUMENT or any(bind.startswith(("unix:", "fd:")) for bind in binds):
        return
    option = TABLE["uds_mode"]
    source = option.flag if rank == FLAG else f"run() option {option.name!r}"
    raise UsageError(
        f"{source} is for Unix-domain sockets, and there is none in {' and '.join(binds)}: "
        "give uds, or a bind of the form unix:/path"
    )


def refuse_unknown(arguments: Mapping[str, object], environment: Mapping[str, str]) -> None:
    """Raise for an argument that is no option, and for a variable of an option yet to come."""
    for name in arguments:
        if name in NOT_YET:
            raise UsageError(f"run() option {name!r} is not available in this version")
        if name not in TABLE:
            raise UsageError(f"run() has no option {name!r}{suggestion(name)}")
    for name in NOT_YET:
        variable = f"{PREFIX}{name.upper()}"
        if environment.get(variable, "0") not in ("", "0"):
            raise UsageError(f"{variable} is not available in this version: unset it")


def suggestion(name: str) -> str:
    """Return a question that offers the option nearest to a misspelt name, or nothing.

    Example:
        >>> suggestion("trusted_hosts")
        '; the app says it: Pyre(trusted_hosts=...)'
        >>> suggestion("prot")
        "; did you mean 'port'?"
    """
    if name in OF_THE_APP:
        return f"; the app says it: Pyre({name}=...)"
    from difflib import get_close_matches

    near = get_close_matches(name, TABLE, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def pick(
    option: Option,
    arguments: Mapping[str, object],
    properties: Mapping[str, object],
    environment: Mapping[str, str],
) -> tuple[Value, int]:
    """Return the value of one option and the rank of the place it came from."""
    given = arguments.get(option.name)
    if given is not None:
        return check(option, given, f"run() option {option.name!r}"), ARGUMENT
    given = properties.get(option.name)
    if given is not None:
        return check(option, given, f"app.{option.name}"), PROPERTY
    for variable in (option.variable, *option.aliases):
        text = environment.get(variable)
        if text is not None and text != "":
            rank = VARIABLE if variable == option.variable else ALIAS
            return check(option, read(option, text, variable), variable), rank
    return option.default, DEFAULT


def read(option: Option, text: str, variable: str) -> object:
    """Return the value that a variable's text stands for."""
    match option.kind:
        case "text":
            return text
        case "list":
            return [part.strip() for part in text.split(",")]
        case "switch":
            word = text.strip().lower()
            if word in ("1", "true", "yes", "on"):
                return True
            if word in ("0", "false", "no", "off"):
                return False
            raise UsageError(
                f"{variable} must be one of 1, 0, true, false, yes, no, on, off, not {text!r}"
            )
        case "count":
            digits = text.strip()
            if not (digits.isascii() and digits.removeprefix("-").isdigit()):
                raise UsageError(f"{variable} must be a whole number, not {text!r}")
            return int(digits)
        case "octal":
            digits = text.strip().lower().removeprefix("0o")
            if not digits or digits.strip("01234567"):
                raise UsageError(f"{variable} must be octal digits such as 660, not {text!r}")
            return int(digits, 8)
        case "seconds":
            try:
                return float(text)
            except ValueError:
                raise UsageError(f"{variable} must be a number of seconds, not {text!r}") from None


def check(option: Option, value: object, source: str) -> Value:
    """Return ``value`` in the type of its option, or raise with the name of its source."""
    match option.kind:
        case "text":
            if not isinstance(value, str) or not value or "\0" in value:
                raise UsageError(f"{source} must be a text that is not empty, not {value!r}")
            if option.choices and value.lower() not in option.choices:
                known = ", ".join(option.choices)
                raise UsageError(f"{source} must be one of {known}, not {value!r}")
            return value.lower() if option.choices else value
        case "switch":
            if not isinstance(value, bool):
                raise UsageError(f"{source} must be True or False, not {value!r}")
            return value
        case "list":
            entries = [value] if isinstance(value, str) else value
            if not isinstance(entries, (list, tuple)) or not entries:
                raise UsageError(f"{source} must be a text or a list of texts, not {value!r}")
            return [bind_address(entry, source) for entry in entries]
        case "count":
            if not isinstance(value, int) or isinstance(value, bool):
                raise UsageError(f"{source} must be a whole number, not {value!r}")
            return within(option, value, source)
        case "octal":
            if not isinstance(value, int) or isinstance(value, bool):
                raise UsageError(f"{source} must be a number such as 0o660, not {value!r}")
            return within(option, value, source)
        case "seconds":
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise UsageError(f"{source} must be a number of seconds, not {value!r}")
            return within(option, float(value), source)


def within[N: (int, float)](option: Option, value: N, source: str) -> N:
    """Return ``value`` if it lies within the bounds of its option."""
    least = -math.inf if option.least is None else option.least
    most = math.inf if option.most is None else option.most
    if not least <= value <= most:
        unit = f" {option.unit}" if option.unit else ""
        shown = f"{value!r}"
        if option.kind == "octal":
            # 660 where 0o660 is meant is the usual mistake.
            shown = f"{option.number(value)} ({value}, which is no octal number as it stands)"
        bounds = f"{option.number(least)} to {option.number(most)}"
        raise UsageError(f"{source} must be from {bounds}{unit}, not {shown}")
    return value

"""The table of options: defaults, bounds, precedence, and texts that name the culprit."""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyreframework import Pyre
from pyreframework.engine import AppTable, Server
from pyreframework.program.apps import started_in
from pyreframework.serving.settings import addresses, cpus, resolution, variables
from pyreframework.serving.settings.options import NOT_YET, OPTIONS, TABLE, Option, UsageError
from pyreframework.serving.settings.resolution import resolve


def bounded() -> list[Option]:
    return [option for option in OPTIONS if option.least is not None]


def test_run_takes_exactly_the_options_of_the_table() -> None:
    parameters = inspect.signature(Pyre.run).parameters
    assert [name for name in parameters if name not in ("self", "unknown")] != []
    assert set(parameters) - {"self", "unknown"} == set(TABLE)
    for name, parameter in parameters.items():
        if name not in ("self", "unknown"):
            assert parameter.default is None, name


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_row_is_whole(option: Option) -> None:
    assert option.help.endswith(".")
    assert option.variable == "PYRE_" + option.name.upper()
    if option.kind in ("count", "seconds", "octal"):
        assert option.least is not None and option.most is not None
        if option.default is not None:
            assert isinstance(option.default, float if option.kind == "seconds" else int)
            assert option.least <= option.default <= option.most


def test_defaults() -> None:
    found = resolve({}, {})
    assert found.binds == ["127.0.0.1:8000"]
    assert found.count("workers") == cpus.usable()
    assert found.count("max_body_size") == 10 * 1024 * 1024
    assert found.seconds("keep_alive_timeout") == 75.0
    assert found.seconds("head_timeout") == found.seconds("body_timeout") == 30.0
    assert not found.on_main


def test_the_engine_is_told_everything_it_needs() -> None:
    assert set(resolve({}, {}).for_engine(7)) == {
        "binds", "reuse_port", "backlog", "workers", "threads", "gil_threads", "io_workers", "pin",
        "head_timeout", "body_timeout", "keep_alive_timeout", "shutdown_timeout", "max_body_size",
        "max_head_bytes", "queue_depth", "request_timeout", "max_in_flight", "server_header",
        "debug", "log_level", "log_format", "access_log", "metrics", "pages", "has_readiness_check",
        "access_level", "access_sample", "access_always", "access_to_program", "gives_ids", "cors",
        "security_headers", "trusted_hosts", "https_redirect",
        "compression",
        "gil_watchdog", "max_requests", "notify", "hand_over", "take_back_ms", "proof_calls",
        "proof_calls_max", "uds_mode", "uds_mode_for_handed", "stream_idle_timeout", "ws_ping",
        "ws_threads", "max_message_size",
    }  # fmt: skip


def engine_with(changed: dict[str, object]) -> Server:
    app = AppTable()
    app.freeze()
    return Server(app, resolve({}, {}).for_engine(0) | changed, None)


@pytest.mark.parametrize("how", ["auto", "ring", "RING"])
def test_ways_to_hand_over(how: str) -> None:
    assert resolve({"hand_over": how}, {}).values["hand_over"] == how.lower()
    assert resolve({}, {"PYRE_HAND_OVER": how}).for_engine(0)["hand_over"] == how.lower()
    assert engine_with(resolve({"hand_over": how}, {}).for_engine(0))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("hand_over", "queue"), ("hand_over", 1),
        ("take_back_ms", 0), ("take_back_ms", -1), ("take_back_ms", 0.5),
        ("uds_mode", -1), ("uds_mode", 0o1000), ("uds_mode", "660"),
        ("proof_calls", -1), ("proof_calls", 2**32), ("proof_calls", "64"),
    ],
)  # fmt: skip
def test_the_engine_names_what_it_cannot_use(name: str, wrong: object) -> None:
    with pytest.raises(ValueError, match=f'"{name}" is missing or cannot be used'):
        engine_with({name: wrong})


def test_tuning_of_the_hand_over_can_be_set_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "TAKE_BACK_MS", 3)
    monkeypatch.setattr(resolution, "PROOF_CALLS", 5)
    monkeypatch.setattr(resolution, "PROOF_CALLS_MAX", 7)
    told = resolve({}, {}).for_engine(0)
    assert (told["take_back_ms"], told["proof_calls"], told["proof_calls_max"]) == (3, 5, 7)


def test_precedence() -> None:
    environment = {"PYRE_MAX_BODY_SIZE": "3"}
    assert resolve({}, environment).count("max_body_size") == 3
    assert resolve({}, environment, {"max_body_size": 2}).count("max_body_size") == 2
    found = resolve({"max_body_size": 1}, environment, {"max_body_size": 2})
    assert found.count("max_body_size") == 1
    assert resolve({"max_body_size": None}, {}).count("max_body_size") == 10 * 1024 * 1024


def test_flags_go_first() -> None:
    found = resolve({"port": 1}, {"PYRE_PORT": "2"}, flags={"port": 3})
    assert found.binds == ["127.0.0.1:3"]
    assert resolve({"port": 1}, {}, flags={"port": None}).binds == ["127.0.0.1:1"]
    assert resolve({"bind": "a:1"}, {}, flags={"uds": "s"}).binds == [f"unix:{started_in}/s"]
    assert resolve({"debug": True}, {}, {"debug": True}, {"debug": False}).values["debug"] is False
    with pytest.raises(UsageError, match=r"^give either --port or --uds: each says"):
        resolve({"host": "a"}, {"PYRE_FD": "3"}, flags={"port": 1, "uds": "s"})
    with pytest.raises(UsageError, match=r"^--keep-alive-timeout must be"):
        resolve({}, {}, flags={"keep_alive_timeout": 0.0})


def test_sockets_of_a_service_manager() -> None:
    assert resolve({}, {}, activated=2).binds == ["fd:3", "fd:4"]
    assert resolve({}, {"PORT": "5"}, activated=1).binds == ["fd:3"]
    assert resolve({}, {"PYRE_PORT": "5"}, activated=1).binds == ["127.0.0.1:5"]


@pytest.mark.parametrize(
    ("pid", "count", "found"),
    [(None, "2", 0), ("1", "2", 0), ("ours", "2", 2), ("ours", "x", 0), ("ours", None, 0)],
)
def test_sockets_are_for_one_process(pid: str | None, count: str | None, found: int) -> None:
    environment = {"LISTEN_PID": str(os.getpid()) if pid == "ours" else pid, "LISTEN_FDS": count}
    given = {name: value for name, value in environment.items() if value is not None}
    assert addresses.activated(given) == found


def test_aliases() -> None:
    assert resolve({}, {"PORT": "1", "WEB_CONCURRENCY": "3"}).binds == ["127.0.0.1:1"]
    assert resolve({}, {"WEB_CONCURRENCY": "3"}).count("workers") == 3
    assert resolve({}, {"PORT": "1", "PYRE_PORT": "2"}).binds == ["127.0.0.1:2"]
    assert resolve({}, {"PYRE_PORT": ""}).binds == ["127.0.0.1:8000"]
    with pytest.raises(UsageError, match="WEB_CONCURRENCY"):
        resolve({}, {"WEB_CONCURRENCY": "many"})


@pytest.mark.parametrize(
    ("arguments", "environment", "binds"),
    [
        ({"host": "::1", "port": 0}, {}, ["[::1]:0"]),
        ({"host": "[::]"}, {}, ["[::]:8000"]),
        ({"host": "localhost"}, {"PYRE_PORT": "5"}, ["localhost:5"]),
        ({"bind": "0.0.0.0:80"}, {}, ["0.0.0.0:80"]),
        ({"bind": ["a:1", "[::1]:2"]}, {}, ["a:1", "[::1]:2"]),
        ({"bind": ("a:1",)}, {"PYRE_PORT": "9"}, ["a:1"]),
        ({}, {"PYRE_BIND": "a:1, b:2"}, ["a:1", "b:2"]),
        ({}, {"PYRE_BIND": "a:1", "PORT": "9"}, ["a:1"]),
        ({"port": 7}, {"PYRE_BIND": "a:1"}, ["127.0.0.1:7"]),
        ({"bind": ["a:1", "unix:/s"]}, {}, ["a:1", "unix:/s"]),
        ({"uds": "/run/s"}, {"PYRE_PORT": "9"}, ["unix:/run/s"]),
        ({}, {"PYRE_UDS": "s", "PORT": "9"}, [f"unix:{started_in}/s"]),
        ({"fd": 0}, {"PYRE_UDS": "s"}, ["fd:0"]),
        ({"host": "h"}, {"PYRE_FD": "3"}, ["h:8000"]),
    ],
)
def test_addresses(arguments: dict[str, Any], environment: dict[str, str], binds: Any) -> None:
    assert resolve(arguments, environment).binds == binds


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        ({}, {"PYRE_HOST": "\udcff"}, "host: "),
        ({}, {"PYRE_BIND": "\udcff:1"}, "PYRE_BIND: "),
        ({"port": -1}, {}, "'port'"),
        ({"port": 65536}, {}, "'port'"),
        ({"port": True}, {}, "'port'"),
        ({"port": "80"}, {}, "'port'"),
        ({"workers": 0}, {}, "'workers'"),
        ({"workers": 1.0}, {}, "'workers'"),
        ({"head_timeout": float("nan")}, {}, "'head_timeout'"),
        ({"head_timeout": float("inf")}, {}, "'head_timeout'"),
        ({"head_timeout": 0}, {}, "'head_timeout'"),
        ({"head_timeout": "1"}, {}, "'head_timeout'"),
        ({"debug": 1}, {}, "'debug'"),
        ({"host": ""}, {}, "'host'"),
        ({"host": "a\0b"}, {}, "'host'"),
        ({"host": 5}, {}, "'host'"),
        ({"bind": []}, {}, "'bind'"),
        ({"bind": ["a"]}, {}, "'bind'"),
        ({"bind": ["a:b"]}, {}, "'bind'"),
        ({"bind": [":80"]}, {}, "'bind'"),
        ({"bind": ["::1:80"]}, {}, "brackets"),
        ({"bind": ["a:65536"]}, {}, "65535"),
        ({"bind": [5]}, {}, "'bind'"),
        ({"bind": 5}, {}, "'bind'"),
        ({"bind": "a:1", "port": 2}, {}, "bind"),
        ({"bind": "unix:"}, {}, "'bind'"),
        ({"bind": "a:1", "uds": "s"}, {}, "either bind or uds to run\\(\\): each says"),
        ({"port": 1, "fd": 3}, {}, "either port or fd to run\\(\\): "),
        ({"host": "a", "port": 1, "fd": 3}, {}, "either host with port or fd to run\\(\\): "),
        ({}, {"PYRE_PORT": "1", "PYRE_UDS": "a"}, "either PYRE_PORT or PYRE_UDS: each says"),
        ({"uds": ""}, {}, "'uds'"),
        ({"uds_mode": 660}, {}, "'uds_mode' must be from 0 to 0o777, not 0o1224 \\(660, "),
        ({"uds_mode": -1}, {}, "'uds_mode' must be from 0 to 0o777, not -0o1 "),
        ({"uds_mode": True}, {}, "'uds_mode' must be a number such as 0o660, not True"),
        ({"uds_mode": "660"}, {}, "'uds_mode' must be a number such as 0o660, not '660'"),
        ({"fd": -1}, {}, "'fd'"),
        ({"reload": "x"}, {}, "'reload'"),
        ({"hand_over": "queue"}, {}, "'hand_over' must be one of auto, ring, not 'queue'"),
        ({"hand_over": False}, {}, "'hand_over'"),
        ({"prot": 1}, {}, "'prot'.*'port'"),
        ({"tls_cert": "x"}, {}, "tls_cert"),
        ({}, {"PYRE_BIND": "a:1", "PYRE_HOST": "b"}, "either PYRE_HOST or PYRE_BIND: "),
        ({}, {"PYRE_RELOAD": "often"}, "PYRE_RELOAD"),
        ({}, {"PYRE_METRICS": "perhaps"}, "PYRE_METRICS"),
        ({}, {"PYRE_PORT": "8O"}, "PYRE_PORT"),
        ({}, {"PYRE_PORT": "\u0664"}, "PYRE_PORT"),
        ({}, {"PYRE_PORT": "1_0"}, "PYRE_PORT"),
        ({}, {"PYRE_PIN": "perhaps"}, "PYRE_PIN"),
        ({}, {"PYRE_UDS_MODE": "0o"}, "PYRE_UDS_MODE must be octal digits such as 660"),
        ({}, {"PYRE_UDS_MODE": "0x1b0"}, "PYRE_UDS_MODE must be octal digits"),
        ({}, {"PYRE_UDS_MODE": "0o0o7"}, "PYRE_UDS_MODE must be octal digits"),
        ({}, {"PYRE_UDS_MODE": "6_6"}, "PYRE_UDS_MODE must be octal digits"),
        ({}, {"PYRE_UDS_MODE": "\u0666"}, "PYRE_UDS_MODE must be octal digits"),
        ({}, {"PYRE_UDS_MODE": "1000"}, "PYRE_UDS_MODE must be from 0 to 0o777, not 0o1000"),
        ({}, {"PYRE_BODY_TIMEOUT": "soon"}, "PYRE_BODY_TIMEOUT"),
        ({}, {"PYRE_BODY_TIMEOUT": "nan"}, "PYRE_BODY_TIMEOUT"),
        ({}, {"PYRE_WORKERS": "0"}, "PYRE_WORKERS"),
        ({}, {"PYRE_HAND_OVER": "inline"}, "PYRE_HAND_OVER must be one of auto, ring"),
    ],
)
def test_what_does_not_fit_names_itself(
    arguments: dict[str, Any], environment: dict[str, str], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        resolve(arguments, environment)


@pytest.mark.parametrize("name", NOT_YET)
def test_options_to_come_are_refused_by_name(name: str) -> None:
    assert name not in TABLE
    with pytest.raises(UsageError, match=name):
        resolve({name: 1}, {})
    with pytest.raises(UsageError, match=name.upper()):
        resolve({}, {f"PYRE_{name.upper()}": "1"})
    assert resolve({}, {f"PYRE_{name.upper()}": "0"})


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, []),
        ({option.variable: "1" for option in OPTIONS}, []),
        ({alias: "1" for option in OPTIONS for alias in option.aliases}, []),
        # Refused elsewhere, if they are to have an effect.
        ({f"PYRE_{name.upper()}": "1" for name in NOT_YET}, []),
        ({"PYRE_WORKER": "4", "PYRE_HOSTT": "a"}, ["PYRE_HOSTT", "PYRE_WORKER"]),
        ({"PYRE_WORKER": ""}, []),
        ({"PYRE_": "1", "_PYRE_A": "1", "pyre_a": "1", "PYRE_a": "1", "PYREX_A": "1"}, []),
        ({"PYRE_2": "1"}, ["PYRE_2"]),
    ],
)
def test_variables_that_set_no_option(environment: dict[str, str], names: list[str]) -> None:
    assert variables.unknown(environment) == names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PYRE_WORKER", " (did you mean PYRE_WORKERS?)"),
        ("PYRE_HOSTT", " (did you mean PYRE_HOST?)"),
        ("PYRE_TRUSTED_HOSTS", " (the app says it: Pyre(trusted_hosts=...))"),
        ("PYRE_LOGG", " (did you mean PYRE_LOG?)"),
        ("PYRE_SHUTDOWN_TIMEOUTS", " (did you mean PYRE_SHUTDOWN_TIMEOUT?)"),
        # What all names begin with makes none of them alike.
        ("PYRE_DATABASE_URL", ""),
        ("PYRE_XY", ""),
    ],
)
def test_the_variable_that_is_meant(name: str, meant: str) -> None:
    assert variables.suggestion(name) == meant


@pytest.mark.parametrize("name", ["trusted_hosts", "lifespan", "log_config"])
def test_what_is_said_on_the_app(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve({name: []}, {})
    assert str(raised.value) == f"run() has no option {name!r}; the app says it: Pyre({name}=...)"


@pytest.mark.parametrize("word", ["1", "true", "YES", "on"])
def test_switches(word: str) -> None:
    assert resolve({}, {"PYRE_PIN": word}).values["pin"] is True
    assert resolve({"pin": False}, {"PYRE_PIN": word}).values["pin"] is False


@pytest.mark.parametrize("text", ["660", "0660", "0o660", "0O660", " 660 "])
def test_a_mode_is_octal_however_it_is_written(text: str) -> None:
    assert resolve({}, {"PYRE_UDS_MODE": text}).count("uds_mode") == 0o660
    given = {"uds": "s", "uds_mode": 0o600}
    assert resolve(given, {"PYRE_UDS_MODE": text}).count("uds_mode") == 0o600
    assert resolve({}, {}).count("uds_mode") == 0o666


def test_sockets_that_are_handed_over_get_a_mode_that_somebody_gives() -> None:
    assert not resolve({}, {}).for_engine(0)["uds_mode_for_handed"]
    for settings_given in (
        resolve({"uds": "s", "uds_mode": 0o666}, {}),
        resolve({}, {"PYRE_UDS_MODE": "666"}),
        resolve({}, {"PYRE_UDS": "s"}, flags={"uds_mode": 0o666}),
    ):
        assert settings_given.for_engine(0)["uds_mode_for_handed"]


def test_a_mode_without_a_unix_socket_is_refused() -> None:
    for arguments, flags, text in (
        (
            {"uds_mode": 0o600},
            {},
            r"run\(\) option 'uds_mode' is for Unix-domain sockets, and there is none in 127",
        ),
        (
            {"bind": ["a:1", "b:2"]},
            {"uds_mode": 0o600},
            "--uds-mode is .*, and there is none in a:1 and b:2",
        ),
        ({"uds": "s", "uds_mode": 0o600}, {"port": 0}, "run"),
    ):
        with pytest.raises(UsageError, match=text):
            resolve(arguments, {}, flags=flags)
    # A variable may be there for others.
    assert resolve({}, {"PYRE_UDS_MODE": "600"}).binds == ["127.0.0.1:8000"]
    for arguments in ({"uds": "s"}, {"bind": ["a:1", "unix:s"]}, {"fd": 3}):
        assert resolve(arguments | {"uds_mode": 0o600}, {}).count("uds_mode") == 0o600
    assert resolve({"uds_mode": 0o600}, {}, activated=1).binds == ["fd:3"]


@pytest.mark.parametrize("mode", ["auto", "subinterp", "Auto", "SUBINTERP"])
def test_modes_of_workers(mode: str) -> None:
    assert not resolve({"mode": mode}, {}).on_main
    assert not resolve({}, {"PYRE_MODE": mode}).on_main


@pytest.mark.parametrize("mode", ["default", "gil", "async", "anything"])
def test_modes_of_the_main_interpreter(mode: str) -> None:
    assert resolve({"mode": mode}, {}).on_main
    assert not resolve({"mode": "subinterp"}, {"PYRE_MODE": mode}).on_main


@given(st.sampled_from(bounded()), st.integers(-(2**40), 2**40))
def test_bounds(option: Option, number: int) -> None:
    assert option.least is not None and option.most is not None
    inside = option.least <= number <= option.most
    # A mode is for sockets that there have to be.
    others: dict[str, object] = {"uds": "s"} if option.name == "uds_mode" else {}
    for arguments, environment in (
        (others | {option.name: number}, {}),
        ({}, {option.variable: f"{number:o}" if option.kind == "octal" else str(number)}),
    ):
        try:
            value = resolve(arguments, environment).values[option.name]
        except UsageError as error:
            assert not inside
            assert option.name in str(error).lower()
        else:
            assert inside
            assert value == number


@given(st.text(max_size=20), st.sampled_from(OPTIONS))
def test_no_text_in_a_variable_breaks_it(text: str, option: Option) -> None:
    try:
        resolve({}, {option.variable: text})
    except UsageError as error:
        assert option.variable in str(error)


def test_io_threads_follow_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution.cpus, "usable", lambda: 4)
    assert resolve({"workers": 2}, {}).count("io_workers") == 2
    assert resolve({"workers": 16}, {}).count("io_workers") == 4
    assert resolve({"io_workers": 9}, {}).count("io_workers") == 9

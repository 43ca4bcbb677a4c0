"""The command line by itself: its help, its flags, and what it says of mistakes."""

from __future__ import annotations

import argparse
import re
from typing import Any

import pytest

from pyreframework import __version__, cli
from pyreframework.cli import commands, parsing
from pyreframework.serving.settings.options import OPTIONS, Option, UsageError


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code and both outputs of a command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def flags(*arguments: str) -> dict[str, object]:
    _, found = parsing.parsers()
    return parsing.flags_of(found["run"].parse_args([*arguments, "app.py"]))


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["version"], ["--version"]):
        code, out, _ = said(capsys, *arguments)
        assert code == 0
        assert re.fullmatch(rf"Pyre {re.escape(__version__)}, CPython 3\.\d+\.\S+, \w+ \w+\n", out)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--help")
    assert code == 0
    for name in commands.COMMANDS:
        assert re.search(rf"^    {name} +\w", out, re.MULTILINE)
    assert "examples:" in out


def test_nothing_at_all_is_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys)
    assert code == 2 and "commands:" in out


@pytest.mark.parametrize("command", ["run", "dev"])
@pytest.mark.parametrize("columns", ["80", "200", "60"])
def test_help_has_every_option(
    command: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = said(capsys, command, "--help")
    assert code == 0
    assert out.startswith(f"usage: pyre {command} [OPTION]... TARGET [-- ARGUMENT...]\n")
    assert "\x1b" not in out and "`PYRE_" not in out
    together = " ".join(out.split())
    for option in OPTIONS:
        assert re.search(rf"^  {option.flag}\b", out, re.MULTILINE), option.name
        assert option.variable in together
        if option.kind == "switch":
            assert f"--no-{option.flag[2:]}" in out
    options = out.partition("options:")[2].partition("targets:")[0]
    assert max(map(len, options.splitlines())) <= min(int(columns), parsing.WIDTH_MAX)


def test_help_tells_default_bounds_and_variable() -> None:
    def words(name: str) -> str:
        return parsing.help_of(next(option for option in OPTIONS if option.name == name))

    assert words("port").endswith("(0 to 65535; default 8000; PYRE_PORT or PORT)")
    assert words("keep_alive_timeout").endswith(
        "(0.001 to 86400 seconds; default 75; PYRE_KEEP_ALIVE_TIMEOUT)"
    )
    assert words("server_header").endswith("(default --server-header; PYRE_SERVER_HEADER)")
    assert words("pin").endswith("(default --no-pin; PYRE_PIN)")


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert parsing.has_colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not parsing.has_colours()


SAMPLES: dict[str, tuple[str, Any]] = {
    "text": ("word", "word"),
    "count": ("7", 7),
    "octal": ("640", 0o640),
    "seconds": ("1.5", 1.5),
    "list": ("a:1", ["a:1"]),
}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_a_flag(option: Option) -> None:
    if option.kind == "switch":
        assert flags(option.flag) == {option.name: True}
        assert flags(f"--no-{option.flag[2:]}") == {option.name: False}
        return
    text, value = SAMPLES[option.kind]
    if option.choices:
        text = value = option.choices[-1]
    if option.least is not None and option.kind == "count":
        value = max(int(option.least), 7)
        text = str(value)
    assert flags(option.flag, text) == {option.name: value}
    assert flags(f"{option.flag}={text}") == {option.name: value}


def test_no_flag_no_value() -> None:
    assert flags() == {}


def test_addresses_by_several_flags() -> None:
    assert flags("--bind", "a:1", "--bind", "[::1]:2,unix:/s") == {
        "bind": ["a:1", "[::1]:2", "unix:/s"]
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], "--port must be a whole number, not 'x'"),
        (["--port", "70000"], "--port must be from 0 to 65535, not 70000"),
        (["--port=-1"], "--port must be from 0 to 65535, not -1"),
        (["--head-timeout", "soon"], "--head-timeout must be a number of seconds, not 'soon'"),
        (["--bind", "here"], "--bind: 'here' is not of the form host:port"),
        (["--workers", "0"], "--workers must be from 1 to 512 interpreters, not 0"),
    ],
)
def test_a_value_that_does_not_fit_names_its_flag(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        flags(*arguments)
    assert str(raised.value).startswith(words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "app.py", "--prot", "1"], "there is no option --prot; did you mean --port?"),
        (
            ["run", "app.py", "--trusted-hosts", "a"],
            "there is no option --trusted-hosts; the app says it: Pyre(trusted_hosts=...) (",
        ),
        (["run", "app.py", "--zzzz"], "there is no option --zzzz ("),
        (["run", "app.py", "--keep-alive=1"], "did you mean --keep-alive-timeout?"),
        (["run", "app.py", "--zzz"], "there is no option --zzz (pyre run --help tells all)"),
        (["run", "app.py", "--reload-dir", "."], "--reload-dir says what to watch for --reload"),
        (["run", "app.py", "more"], "'more' is one argument too many"),
        (["run", "--port"], "--port"),
        (["run"], "required: TARGET"),
        (["serve", "app.py"], "'serve'"),
        (["routes", "app.py", "--port", "1"], "there is no option --port"),
        (["run", "a b"], "'a b' is neither a file nor the name of a module"),
    ],
)
def test_mistakes(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, *arguments)
    assert code == 2 and out == ""
    assert err.startswith("pyre: ") and words in err
    assert err.count("\n") == 1


def test_sections_name_options_once() -> None:
    named = [name for names in parsing.SECTIONS.values() for name in names]
    assert len(named) == len(set(named))


def test_dev_reloads_and_shows_tracebacks_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Namespace] = []

    def run(options: argparse.Namespace) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(commands, "run", run)
    for arguments, debug, reload in (
        ([], True, True),
        (["--no-debug"], False, True),
        (["--no-reload"], True, False),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["dev", "app.py", *arguments])
        assert ended.value.code == 0
        options = seen.pop()
        assert (options.debug, options.reload) == (debug, reload)

"""The text of an exception: what Python prints, with a bound."""

from __future__ import annotations

from traceback import format_exception

from pyreframework.logs import traces


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_it_is_what_python_prints() -> None:
    error = raised(ValueError("wrong"))
    error.__cause__ = raised(KeyError("apple"))
    assert traces.text_of(error) == "".join(format_exception(error)).rstrip("\n")
    assert "apple" in traces.text_of(error)


def test_a_note_for_each_level_of_nested_data_is_left_out() -> None:
    error = raised(RecursionError("too deep"))
    for level in range(100_000):
        error.add_note(f"when serializing list item {level}")
    lines = traces.text_of(error).split("\n")
    assert len(lines) == traces.FIRST_LINES + 1 + traces.LAST_LINES
    assert lines[0] == "Traceback (most recent call last):"
    assert "RecursionError: too deep" in lines
    assert lines[-1] == "when serializing list item 99999"
    whole = len("".join(format_exception(error)).rstrip("\n").split("\n"))
    left_out = whole - traces.FIRST_LINES - traces.LAST_LINES
    assert lines[traces.FIRST_LINES] == f"[{left_out} lines are left out here]"


def test_the_longest_text_that_fits_is_whole() -> None:
    error = ValueError("wrong")
    for number in range(traces.FIRST_LINES + traces.LAST_LINES - 1):
        error.add_note(str(number))
    assert "left out" not in traces.text_of(error)
    error.add_note("one more")
    assert "[1 lines are left out here]" in traces.text_of(error)

"""`UploadFile`, `FormLimits` and `parse_multipart` without a server."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from pyreframework import FormError, FormLimits, HTTPError, Pyre, UploadFile, parse_multipart
from pyreframework.collecting import parser_of
from pyreframework.spools import Window, opened


class Request:
    """What `parse_multipart` needs of an object that is no request of ours."""

    def __init__(self, kind: str, body: bytes) -> None:
        self.headers = {"content-type": kind}
        self.body = body


BODY = b'--x\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n\r\ndata\r\n--x--\r\n'


def spooled(*contents: bytes) -> list[UploadFile]:
    """Files that stand in one spool."""
    spool = opened(None, waits=False)
    windows = []
    for content in contents:
        windows.append(Window(spool, spool.size, len(content)))
        spool.append(content)
    return [UploadFile("a", "b", "c/d", window) for window in windows]


def test_parse_multipart_of_other_objects() -> None:
    request: Any = Request("multipart/form-data; boundary=x", BODY)
    file = parse_multipart(request)["f"]
    assert (file.name, file.filename, file.content_type) == ("f", "n", "text/plain")
    assert (file.data, file.text, file.size) == (b"data", "data", 4)
    for wrong in (Request("text/plain", BODY), Request("multipart/form-data; boundary=y", BODY)):
        given: Any = wrong
        with pytest.raises(ValueError, match="form"):
            parse_multipart(given)


def test_files_are_frozen() -> None:
    file = UploadFile("a", "b", "c/d", b"data")
    for name in ("name", "filename", "content_type", "size", "data", "text", "other"):
        with pytest.raises(AttributeError):
            setattr(file, name, "x")
    with pytest.raises(AttributeError):
        del file.name
    assert repr(file) == "<UploadFile 'a' filename='b' content_type='c/d' size=4>"


def test_a_file_that_is_no_text() -> None:
    with pytest.raises(FormError) as caught:
        _ = UploadFile("a", data=b"\xff").text
    assert isinstance(caught.value, HTTPError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.status == 400


def test_spooled_files_are_read_from_any_place(tmp_path: Path) -> None:
    first, empty, second = spooled(b"abc", b"", b"line 1\nline 2\n" * 100_000)
    assert (first.data, empty.data, second.size) == (b"abc", b"", 1_400_000)
    assert second.file is second.file
    assert second.file.readline() == b"line 1\n"
    assert second.file.seek(-7, os.SEEK_END) == second.size - 7
    assert second.file.tell() == second.size - 7
    assert second.file.read() == b"line 2\n"
    assert (second.read(), second.file.seek(0), second.read(6)) == (b"", 0, b"line 1")
    with pytest.raises(ValueError, match="there is no place"):
        second.file.seek(-5, os.SEEK_SET)
    for file in (first, empty, second):
        path = tmp_path / "saved"
        assert file.save(path) == file.size
        assert path.read_bytes() == file.data


def test_a_spool_is_closed_with_its_last_file() -> None:
    before = os.listdir("/proc/self/fd")
    first, second = spooled(b"a", b"b")
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    opened_file = second.file
    del first, second
    assert opened_file.read() == b"b"
    del opened_file
    assert os.listdir("/proc/self/fd") == before


def test_a_spool_where_files_need_names(tmp_path: Path) -> None:
    from pyreframework.engine import FormSpool

    spool = FormSpool(str(tmp_path), 0, True)
    spool.append(b"abc")
    assert (spool.size, spool.pending_size, list(tmp_path.iterdir())) == (3, 3, [])
    spool.flush()
    assert (spool.pending_size, os.pread(spool.fileno(), 9, 0)) == (0, b"abc")
    with pytest.raises(FileNotFoundError, match=f"a temporary file in {tmp_path}/no: "):
        FormSpool(str(tmp_path / "no"), 0, True)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "no", waits=False)


def test_a_disk_that_is_full() -> None:
    spool = opened(None, waits=False)
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        UploadFile("a", data=b"x").save("/dev/full")
    assert spool.size == 0


@pytest.mark.parametrize("wrong", [-1, 1.5, "5", True, None])
def test_limits_that_are_none(wrong: Any) -> None:
    with pytest.raises(ValueError, match="max_parts"):
        FormLimits(max_parts=wrong)
    with pytest.raises(TypeError, match="form_limits"):
        Pyre().form_limits = wrong


def test_limits_that_no_form_has_are_refused_at_once(tmp_path: Path) -> None:
    for limits in ({"max_parts": 10**30}, {"max_file_size": 2**63}):
        with pytest.raises(ValueError, match="must be a number up to"):
            FormLimits(**limits)
    assert FormLimits(max_parts=2**63 - 1, spool_dir=tmp_path).spool_dir == tmp_path
    with pytest.raises(ValueError, match="spool_dir must be a folder that is there"):
        FormLimits(spool_dir=tmp_path / "no")


def test_files_of_other_types_are_refused_at_once() -> None:
    make: Any = UploadFile
    for given in (("a", "b", "c", "text"), ("a", b"b"), ("a", "b", 1), (None,)):
        with pytest.raises(TypeError, match="must be"):
            make(*given)
    save: Any = UploadFile("a", data=b"x").save
    with pytest.raises(TypeError):
        save(1)


def test_files_can_be_neither_copied_nor_pickled() -> None:
    duplicates: list[Any] = [copy.copy, copy.deepcopy, pickle.dumps]
    for duplicate in duplicates:
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            duplicate(UploadFile("a", data=b"x"))


def test_a_file_in_memory_is_read_only_as_one_on_disk_is() -> None:
    for file in (UploadFile("a", data=b"abc"), *spooled(b"abc")):
        assert not file.file.writable()
        with pytest.raises(OSError, match="write"):
            file.file.write(b"x")
        assert (file.file.read(1), file.file.seek(0), file.file.read()) == (b"a", 0, b"abc")
        with pytest.raises(OSError, match="fileno"):
            file.file.fileno()


def test_limits_are_shown_and_frozen() -> None:
    limits = FormLimits(max_parts=5, max_file_size=7)
    assert "max_file_size=7" in repr(limits)
    assert "max_parts=5" in repr(limits)
    with pytest.raises(AttributeError):
        limits.max_parts = 6
    app = Pyre()
    assert app.form_limits.max_parts == 1000
    app.form_limits = limits
    assert app.form_limits is limits


@pytest.mark.parametrize("cut", [1, 30, 500])
def test_a_form_that_is_malformed_stays_so(cut: int) -> None:
    limits = FormLimits()
    parser = parser_of("multipart/form-data; boundary=x", limits)
    form = b"--x\r\nno header, and long enough to be cut in its middle\r\n\r\n" + BODY
    told = set()
    for at in range(0, len(form), cut):
        try:
            parser.feed(form[at : at + cut])
        except FormError as error:
            told.add(error.detail)
        else:
            assert not told, "nothing comes of it any more"
    with pytest.raises(FormError) as caught:
        parser.finish()
    assert told == {caught.value.detail}

"""What a program leaves to the end of Python happens in every process, also in those replaced."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from places import MODES
from restarting import Write, restart
from serving import serve

LEFT_TO_THE_END = """
    audit = open({audit!r}, "a")

    class Closes:
        def __del__(self):
            os.write(2, b"destructor in %d\\n" % os.getpid())

    thing = Closes()

    @app.get("/order/{name}", gil=True)
    def order(req, name: str):
        print(name, os.getpid(), file=audit)
        return f"{thing and os.getpid()}"
"""


@MODES
@pytest.mark.parametrize("arguments", ["", "reload=True"], ids=["restart", "reload"])
def test_files_are_written_and_destructors_run(
    write: Write, tmp_path: Path, arguments: str, mode: str | None
) -> None:
    """At the end of a process that has a supervisor, as at that of one that has none."""
    audit = tmp_path / "audit.csv"
    extra = LEFT_TO_THE_END.replace("{audit!r}", repr(str(audit)))
    with serve(write(arguments, extra), mode=mode, workers=1) as server:
        if not arguments:
            restart(server)
        pid = server.get("/order/plum").text
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert f"plum {pid}" in audit.read_text()
    assert f"destructor in {pid}" in server.output.text()

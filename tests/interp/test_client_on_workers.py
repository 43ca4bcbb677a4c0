"""`TestClient` with ``mode="subinterp"``: workers load the module that the app is a global of."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from serving import APPS

from pyreframework import Pyre, PyreRequest, StartError
from pyreframework.program import apps
from pyreframework.testing import TestClient

here = Pyre()


@here.get("/")
def where(req: PyreRequest) -> dict[str, str]:
    return {"module": __name__, "interpreter": "worker" if apps.in_worker() else "main"}


def test_an_app_of_this_module() -> None:
    with TestClient(here, mode="subinterp") as client:
        assert client.get("/").json() == {"module": __name__, "interpreter": "worker"}
    with TestClient(here) as client:
        assert client.get("/").json() == {"module": __name__, "interpreter": "main"}


def test_an_app_of_a_file_that_no_name_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test runners import files by names of their own."""
    file = tmp_path / "somewhere.py"
    file.write_text(
        "from pyreframework import Pyre\napp = Pyre()\napp.get('/', lambda req: __name__)\n"
    )
    spec = importlib.util.spec_from_file_location("made.up", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "made.up", module)
    spec.loader.exec_module(module)
    with TestClient(module.app, mode="subinterp", workers=1) as client:
        assert client.get("/").text == "__mp_main__"


def test_an_app_of_an_imported_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(APPS)
    tested = importlib.import_module("tested")
    with TestClient(tested.app, mode="subinterp", workers=1) as client:
        assert client.get("/").json()["module"] == "tested"
    with pytest.raises(StartError, match="LookupError: this worker does not want to start"):
        TestClient(tested.wrong, mode="subinterp").get("/")


def test_an_app_of_the_running_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(APPS / "tested.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "__mp_main__\n", "")


def test_a_program_that_tests_itself_in_workers_too(tmp_path: Path) -> None:
    """Under no guard, each worker would serve it again."""
    program = tmp_path / "program.py"
    program.write_text(
        "from pyreframework import Pyre\nfrom pyreframework.testing import TestClient\n"
        "app = Pyre()\nTestClient(app, mode='subinterp').get('/')\n"
    )
    ran = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "a TestClient cannot serve from a worker" in ran.stderr


def test_an_app_of_a_function() -> None:
    app = Pyre()
    with pytest.raises(ValueError, match="workers cannot load this app: make it a global"):
        TestClient(app, mode="subinterp").get("/")
    with TestClient(app) as client:
        assert client.get("/").status_code == 404

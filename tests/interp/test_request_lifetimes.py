"""Requests that outlive their handlers, and those that must not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from gate import Gate
from places import MODES
from serving import child_environment, serve


@MODES
def test_parameters_read_while_the_handler_returns(tmp_path: Path, mode: str | None) -> None:
    """Making a `UUID` runs Python code: the lane may take the request back in the middle of it."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import socket, threading, uuid
        from pyreframework import Pyre
        app = Pyre()
        seen, inside = [], threading.Event()
        original = uuid.UUID.__init__

        def slow(self, *arguments, **keywords):
            if port:
                with socket.create_connection(("127.0.0.1", port)) as gate:
                    gate.sendall(b"uuid\\n")
                    inside.set()
                    gate.recv(100)
            original(self, *arguments, **keywords)

        uuid.UUID.__init__ = slow
        port = 0

        @app.get("/{id:uuid}/{gate:int}")
        def handler(req):
            global port
            port = int(req.path.rpartition("/")[2])
            inside.clear()
            threading.Thread(target=lambda: seen.append(req.params)).start()
            inside.wait()
            return "returned"

        @app.get("/seen")
        def show(req):
            global port
            port = 0
            return [str(params["id"]) for params in seen]

        app.run()
        """)
    )
    id_ = "12345678-1234-1234-1234-123456789abc"
    with serve(program, mode=mode, workers=1, threads=2) as server, Gate() as gate:
        # More often than there are lanes: none may be lost.
        for number in range(5):
            assert server.get(f"/{id_}/{gate.port}").text == "returned"
            assert gate.entered() == "uuid"
            gate.release("uuid")
            while len(seen := server.get("/seen").json()) <= number:
                pass
            assert seen == [id_] * (number + 1)


@MODES
def test_parameters_of_a_request_are_its_own(tmp_path: Path, mode: str | None) -> None:
    """Whoever keeps the dict has it, and what is done to it no later request sees."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import weakref
        from pyreframework import Pyre
        app = Pyre()
        kept, ended = [], []

        class Key:
            def __hash__(self):
                return hash("id")

            def __eq__(self, other):
                raise RuntimeError("compared with a parameter")

        class Thing:
            pass

        @app.get("/{action}/{id}")
        def both(req):
            return req.params

        @app.get("/{id}")
        def one(req):
            found = dict(req.params)
            match req.query:
                case "keep":
                    kept.append(req.params)
                case "view":
                    kept.append(req.params.values())
                case "add":
                    req.params["other"] = "left"
                case "rename":
                    del req.params["id"]
                    req.params["other"] = "left"
                case "key":
                    req.params.clear()
                    req.params[Key()] = "left"
                case "value":
                    req.params["id"] = thing = Thing()
                    weakref.finalize(thing, ended.append, found["id"])
                case "clear":
                    req.params.clear()
            return found

        @app.post("/seen")
        def seen(req):
            return {"kept": [list(x.values() if isinstance(x, dict) else x) for x in kept],
                    "ended": ended}

        app.run()
        """)
    )
    actions = ["", "keep", "view", "add", "rename", "key", "value", "clear"]
    with serve(program, mode=mode, workers=1, threads=1) as server, server.connect() as peer:
        for turn in range(2):
            for action in actions:
                name = f"{action or 'nothing'}-{turn}"
                assert peer.get(f"/{name}?{action}").json() == {"id": name}
                assert peer.get("/behind").json() == {"id": "behind"}
                assert peer.get(f"/a/{name}").json() == {"action": "a", "id": name}
        assert peer.request("POST", "/seen").json() == {
            "kept": [["keep-0"], ["view-0"], ["keep-1"], ["view-1"]],
            "ended": ["value-0", "value-1"],
        }


@MODES
def test_malformed_bodies_leave_nothing_to_collect(tmp_path: Path, mode: str | None) -> None:
    """A request that its exception keeps would hold the body until the collector comes."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import gc
        from pyreframework import Pyre, PyreRequest
        app = Pyre()

        @app.post("/raise")
        def raising(req):
            return req.json()

        @app.post("/catch")
        def catching(req):
            try:
                return req.json()
            except ValueError:
                return "caught", 400

        @app.get("/requests")
        def requests(req):
            gc.disable()
            return sum(isinstance(thing, PyreRequest) for thing in gc.get_objects())

        app.run()
        """)
    )
    with serve(program, mode=mode, workers=1, threads=1, gil_threads=1) as server:
        assert server.get("/requests").json() == 1
        for path in ("/raise", "/catch"):
            for _ in range(20):
                assert server.post(path, b"[").status == 400
        assert server.get("/requests").json() == 1


def test_handlers_of_a_forgotten_app() -> None:
    """An app that only its server knows is not the collector's to take apart."""
    program = textwrap.dedent("""
        import gc, http.client
        from pyreframework.engine import AppTable, Server
        from pyreframework.serving.settings.resolution import resolve

        settings = resolve({"port": 0}, {}).for_engine(0)
        settings |= {"pages": [], "has_readiness_check": False}

        def make():
            app, box = AppTable(), "hello"
            def handler(req):
                return box + str(len(box))
            handler.cycle = handler, app
            app.add_route("GET", "/", handler, None, True, False, None, True)
            app.freeze()
            return Server(app, settings, None)

        server = make()
        gc.collect()
        url = server.bind([])[0]
        server.start_workers(str, True)
        server.start_main()
        server.accept()
        client = http.client.HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]), timeout=30)
        client.request("GET", "/")
        print(client.getresponse().read().decode())
        client.close()
        server.begin_drain()
        assert server.wait_drained(30.0) and server.stop(30.0)
    """)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=child_environment({}, {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (0, "hello5\n"), ended.stderr


def test_long_chain_of_responses() -> None:
    """Each is the last owner of the next; they end one after the other, not one in the other."""
    program = textwrap.dedent("""
        from pyreframework import PyreResponse
        class Counted:
            def __del__(self):
                print("ended")
        chain = Counted()
        for number in range(300_000):
            chain = PyreResponse(chain if number % 3 else [chain])
        del chain
    """)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=child_environment({}, {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (0, "ended\n"), ended.stderr


@MODES
@pytest.mark.parametrize("kind", ["async def", "def"])
def test_nothing_put_into_params_is_found_or_kept_later(
    tmp_path: Path, mode: str | None, kind: str
) -> None:
    """Keys equal to the name of a parameter, values that somebody waits to see freed, long ones."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import weakref
        from pyreframework import Pyre
        app = Pyre()
        freed = []
        LONG = 100_000_000

        class Name(str):
            pass

        class Thing:
            pass

        @app.get("/key/{name}")
        HANDLER key(req):
            name = Name("name")
            name.secret = req.params.pop("name")
            req.params[name] = "value"

        @app.get("/value/{name}")
        HANDLER value(req):
            thing = req.params["name"] = Thing()
            weakref.finalize(thing, freed.append, 1)

        @app.get("/long/{name}")
        HANDLER long(req):
            req.params["name"] = "v" * LONG

        @app.get("/long-key/{name}")
        HANDLER long_key(req):
            req.params.clear()
            req.params["k" * LONG] = 1

        @app.get("/look/{name}")
        HANDLER look(req):
            return [[type(name).__name__, name, value] for name, value in req.params.items()]

        @app.get("/freed")
        HANDLER how_many_are_freed():
            return len(freed)

        app.run()
        """).replace("HANDLER", kind)
    )
    with (
        serve(program, mode=mode, workers=1, threads=1, hand_over="ring") as server,
        server.connect() as peer,
    ):
        for number in range(1, 4):
            peer.get("/key/secret")
            assert peer.get(f"/look/{number}").json() == [["str", "name", str(number)]]
            peer.get("/value/secret")
            assert peer.get("/freed").json() == number
        before = server.resident_bytes()
        for way in ("long", "long-key"):
            assert peer.get(f"/{way}/secret").status == 204
            # Blocks of this size go back to the system as soon as they are free.
            assert server.resident_bytes() - before < 50_000_000, way

"""Requests that outlive their handlers, and those that must not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import unquote

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
            found = list(req.params.items())
            match req.query:
                case "swap":
                    req.params["action"] = req.params.pop("action")
                case "rename":
                    req.params["other"] = req.params.pop("id")
            return found

        @app.get("/{number:int}/of/{id}")
        def mixed(req):
            found = list(req.params.items())
            if req.query == "swap":
                req.params["number"] = req.params.pop("number")
            return found

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
                for query in ("swap", "rename", "swap", ""):
                    assert peer.get(f"/a/{name}?{query}").json() == [["action", "a"], ["id", name]]
                for query in ("swap", ""):
                    of = peer.get(f"/{turn}/of/{name}?{query}").json()
                    assert of == [["number", turn], ["id", name]]
        assert peer.request("POST", "/seen").json() == {
            "kept": [["keep-0"], ["view-0"], ["keep-1"], ["view-1"]],
            "ended": ["value-0", "value-1"],
        }


@MODES
@pytest.mark.parametrize("kind", ["async def", "def"])
def test_texts_of_parameters_that_are_kept_stay(
    tmp_path: Path, mode: str | None, kind: str
) -> None:
    """Whoever has the text of an earlier request, wherever, has the text of that request."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import sys
        from pyreframework import Pyre
        app = Pyre()
        kept, by_text, names, parts = [], {}, set(), []

        class Namespace:
            pass

        def keep(way, text):
            match way:
                case "list":
                    kept.append(text)
                case "key":
                    by_text[text] = len(by_text)
                case "name":
                    # Only the table of names has it then, which counts no references.
                    setattr(Namespace, text, len(names))
                case "intern":
                    names.add(hash(sys.intern(text)))
                case "attribute":
                    # Types remember what was asked for, and that it is not there.
                    assert not hasattr(Namespace, text)
                case "iterator":
                    parts.append(iter(text))

        def look(way, text):
            return {
                "text": text,
                "length": len(text),
                "hash": hash(text) == hash(text.encode().decode()),
                "known": text in by_text or text in vars(Namespace),
            }

        @app.get("/argument/{way}/{text}")
        HANDLER argument(way: str, text: str):
            found = look(way, text)
            keep(way, text)
            return found

        @app.get("/params/{way}/{text}")
        HANDLER params(req):
            found = look(**req.params)
            keep(**req.params)
            return found

        @app.get("/item/{number:int}/{text}")
        HANDLER item(req):
            return {"number": req.params["number"], "text": req.params["text"]}

        @app.get("/both/{text}")
        HANDLER both(req, text):
            kept.append(text)
            return [text, req.params]

        @app.get("/seen")
        HANDLER seen(req):
            texts = [x for x in vars(Namespace) if not x.startswith("__")]
            return {"kept": kept, "keys": list(by_text), "found": [by_text[x] for x in by_text],
                    "texts": texts, "parts": ["".join(part) for part in parts]}

        app.run()
        """).replace("HANDLER", kind)
    )
    expected: dict[str, list[str]] = {"list": [], "key": [], "name": [], "iterator": []}
    # Longer and shorter than the one before, and what no slate takes.
    texts = ["a", "abc", "abcdefgh", "ab", "x" * 20, "y" * 300, "caf%C3%A9", "abcd", "%25", "q"]
    with serve(program, mode=mode, workers=1, threads=1) as server, server.connect() as peer:
        for start in ("argument", "params"):
            for way in ("", "list", "key", "name", "intern", "attribute", "iterator"):
                for number, text in enumerate(texts):
                    for turn in range(2):
                        raw = f"{start[0]}{way}{turn}{text}"
                        meant = unquote(raw)
                        assert peer.get(f"/{start}/{way or 'not'}/{raw}").json() == {
                            "text": meant,
                            "length": len(meant),
                            "hash": True,
                            "known": False,
                        }
                        expected.get(way, []).append(meant)
                    assert peer.get(f"/item/{number}/{text}").json() == {
                        "number": number,
                        "text": unquote(text),
                    }
        for text in texts:
            meant = unquote(text)
            assert peer.get(f"/both/{text}").json() == [meant, {"text": meant}]
            expected["list"].append(meant)
        seen = peer.get("/seen").json()
        assert seen["kept"] == expected["list"]
        assert seen["keys"] == expected["key"]
        assert seen["found"] == list(range(len(expected["key"])))
        assert sorted(seen["texts"]) == sorted(expected["name"])
        assert seen["parts"] == expected["iterator"]


@MODES
def test_parameters_of_a_request_that_waits_are_not_those_of_the_next(
    tmp_path: Path, mode: str | None
) -> None:
    """Others come and go on the lane of an `async def` handler, and on other lanes, meanwhile."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import asyncio
        import socket
        from pyreframework import Pyre
        app = Pyre()

        @app.get("/async/{port:int}/{text}")
        async def by_loop(req, text):
            req.params
            port = req.params["port"]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{text}\\n".encode())
            await reader.read(100)
            writer.close()
            return {"argument": text, **req.params}

        @app.get("/def/{port:int}/{text}")
        def by_thread(req, text):
            port = req.params["port"]
            with socket.create_connection(("127.0.0.1", port)) as gate:
                gate.sendall(f"{text}\\n".encode())
                gate.recv(100)
            return {"argument": text, **req.params}

        @app.get("/params/{text}")
        def params(req):
            return req.params

        @app.get("/argument/{text}")
        async def argument(text):
            return {"text": text}

        app.run()
        """)
    )
    with (
        serve(program, mode=mode, workers=1, threads=2) as server,
        Gate() as gate,
        server.connect() as peer,
        server.connect() as first,
        server.connect() as second,
    ):
        for turn in range(3):
            waiting = {"async": first, "def": second}
            for kind, connection in waiting.items():
                connection.send(
                    f"GET /{kind}/{gate.port}/{kind}{turn} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                )
                assert gate.entered() == f"{kind}{turn}"
            for number in range(20):
                assert peer.get(f"/params/t{number}").json() == {"text": f"t{number}"}
                assert peer.get(f"/argument/u{number}").json() == {"text": f"u{number}"}
            for kind, connection in waiting.items():
                gate.release(f"{kind}{turn}")
                assert connection.reply().json() == {
                    "argument": f"{kind}{turn}",
                    "port": gate.port,
                    "text": f"{kind}{turn}",
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
            app.add_route("GET", "/", handler, None, True, False, None, True, False)
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

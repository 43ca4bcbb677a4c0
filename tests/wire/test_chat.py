"""The example of a chat, as WebSocket clients, httpx and a browser have it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from browser import Browser, browser, text_of
from places import in_both_modes
from serving import SUCCESS_S, Server, is_supervisor, serve, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

EXAMPLE = Path(__file__).parents[2] / "examples" / "chat" / "app.py"

numbers = count()

JOINED, SAID, LEFT = "joined", "said", "left"


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(EXAMPLE, mode=request.param) as server:
        yield server


@pytest.fixture
def room() -> str:
    """A room in which nobody of another test can still be leaving."""
    return f"room {next(numbers)}"


@contextmanager
def enter(server: Server, room: str, name: str) -> Iterator[ClientConnection]:
    """Come to a room, and see that."""
    url = f"ws://{server.host}:{server.port}/rooms/{quote(room, '')}?name={quote(name)}"
    with connect(url, open_timeout=SUCCESS_S, close_timeout=SUCCESS_S) as client:
        assert event(client) == (JOINED, name)
        yield client


def event(client: ClientConnection) -> tuple[str, ...]:
    """What happens next in the room of a client."""
    return shown(json.loads(client.recv(SUCCESS_S)))


def shown(message: dict[str, str]) -> tuple[str, ...]:
    return tuple(message[key] for key in ("kind", "name", "text") if key in message)


def say(client: ClientConnection, text: object, id: object = "1") -> None:
    client.send(json.dumps({"text": text, "id": id}))


def test_everybody_in_a_room_sees_the_same(server: Server, room: str) -> None:
    """More people than workers, so that they are connected to different ones."""
    names = [f"n {number}" for number in range(6)]
    with ExitStack() as stack:
        clients = []
        for number, name in enumerate(names):
            clients.append(stack.enter_context(enter(server, room, name)))
            for client in clients[:number]:
                assert event(client) == (JOINED, name)
        elsewhere = stack.enter_context(enter(server, "elsewhere", "other"))
        for client, name in zip(clients, names, strict=True):
            say(client, f" I am {name} caf\xe9 ")
            # The next one speaks when everybody has heard this one.
            assert {event(client) for client in clients} == {(SAID, name, f"I am {name} caf\xe9")}
        # All at once: the order is the same for everybody, whoever speaks and listens where.
        texts = [str(number) for number in range(10)]
        for text in texts:
            for client in clients:
                say(client, text)
        heard = [[event(client) for _ in clients for _ in texts] for client in clients]
        assert heard == [heard[0]] * len(clients)
        for name in names:
            assert [text for _, speaker, text in heard[0] if speaker == name] == texts
        say(elsewhere, "alone")
        assert event(elsewhere) == (SAID, "other", "alone")
        clients[0].close()
        for client in clients[1:]:
            assert event(client) == (LEFT, "n 0")
        # One that goes without a word.
        clients[1].socket.close()
        for client in clients[2:]:
            assert event(client) == (LEFT, "n 1")


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[" * 16_000,
        "1",
        "{}",
        b"\xff",
        '{"text": "a"}',
        '{"text": "", "id": "1"}',
        '{"text": " ", "id": "1"}',
        '{"text": 1, "id": "1"}',
        json.dumps({"text": "x" * 501, "id": "1"}),
    ],
)
def test_what_is_no_message_closes(server: Server, room: str, message: str | bytes) -> None:
    with enter(server, room, "stays") as stays, enter(server, room, "wrong") as wrong:
        wrong.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            wrong.recv(SUCCESS_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert event(stays) == (JOINED, "wrong")
        assert event(stays) == (LEFT, "wrong")


@pytest.mark.parametrize(
    "path", ["/rooms/red", "/rooms/red?name=", "/rooms/red?name=" + "x" * 31, "/rooms/%20?name=a"]
)
def test_who_cannot_come_in(server: Server, path: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://{server.host}:{server.port}{path}"),
    ):
        pass
    assert refused.value.response.status_code == 400
    assert httpx.post(f"{server.url}{path}", content="a").status_code == 400


def data_of(lines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        if line.startswith("data: "):
            yield shown(json.loads(line.removeprefix("data: ")))


def test_a_room_without_a_page(server: Server, room: str) -> None:
    url = f"{server.url}/rooms/{room}"
    with httpx.stream("GET", f"{url}/events", timeout=SUCCESS_S) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        happens = data_of(response.iter_lines())
        with enter(server, room, "ada") as ada:
            assert next(happens) == (JOINED, "ada")
            answer = httpx.post(f"{url}?name=curl", content=" hello ")
            assert answer.status_code == 204
            assert event(ada) == next(happens) == (SAID, "curl", "hello")
            say(ada, "hello yourself")
            assert event(ada) == next(happens) == (SAID, "ada", "hello yourself")
        assert next(happens) == (LEFT, "ada")
    assert httpx.post(f"{url}?name=curl", content="").status_code == 400
    assert httpx.get(f"{server.url}/rooms/%20/events").status_code == 400


# In a browser.


OWN_JOINED = """
Array.from(document.querySelectorAll("li.joined"))
    .filter((item) => item.textContent === `${name} has joined`).length
"""


class Tab:
    """A page of the chat."""

    def __init__(self, chromium: Browser, server: Server, name: str, room: str) -> None:
        self.chromium = chromium
        self.name = name
        self.page = chromium.open(f"{server.url}/?name={name}#{room}")
        self.wait_for_connection(0)

    def look(self, expression: str) -> object:
        return self.chromium.look(self.page, expression)

    def come_again(self) -> None:
        """Lose the connection, and wait for the next one."""
        # In one step: of the connection before nothing more is shown from here on.
        before = self.look(f"socket.close(); {OWN_JOINED}")
        assert isinstance(before, int)
        self.wait_for_connection(before)

    def wait_for_connection(self, before: int) -> None:
        """Wait until it has had more connections; each shows that it has come, and so listens."""

        def is_there() -> bool:
            count = self.look(OWN_JOINED)
            return isinstance(count, int) and count > before

        wait_until(is_there, f"{self.name} has come more than {before} times", 2 * SUCCESS_S)

    def say(self, text: str, before: str = "") -> None:
        """Write a text and send it, as a reader does."""
        typed = f'document.getElementById("text").value = {json.dumps(text)}'
        self.look(f'{before}; {typed}; document.getElementById("form").requestSubmit()')

    def lines(self, kind: str) -> list[str]:
        found = self.look(
            f"Array.from(document.querySelectorAll('li.{kind}'), (item) => item.textContent)"
        )
        # None while there is no page.
        return found if isinstance(found, list) else []

    def wait_for(self, kind: str, lines: list[str]) -> None:
        wait_until(
            lambda: self.lines(kind) == lines,
            f"{self.name} sees {lines}, not {self.lines(kind)}",
            2 * SUCCESS_S,
        )


def test_two_tabs_talk_and_go_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    with serve(EXAMPLE) as server, browser(tmp_path) as chromium:
        ada = Tab(chromium, server, "ada", "red room")
        bob = Tab(chromium, server, "bob", "red room")
        ada.wait_for(JOINED, ["ada has joined", "bob has joined"])
        ada.say("hello <b>bob</b>")
        expected = ["ada: hello <b>bob</b>"]
        bob.wait_for(SAID, expected)
        bob.say("hello ada")
        expected.append("bob: hello ada")
        ada.wait_for(SAID, expected)
        server.signal(signal.SIGHUP)
        for tab in (ada, bob):
            tab.wait_for_connection(1)
        # One may have come to the process before once more, in its last moment.
        wait_until(lambda: is_supervisor(server.pid), "the process before serves nobody any more")
        for tab in (ada, bob):
            tab.come_again()
        bob.say("we are back")
        expected.append("bob: we are back")
        ada.wait_for(SAID, expected)
        # What is said while there is no connection waits for the next one, and comes once.
        ada.say("said without a connection", before="socket.close()")
        expected.append("ada: said without a connection")
        bob.wait_for(SAID, expected)
        ada.wait_for(SAID, expected)
        assert ada.lines("unsent") == []
        # One that breaks the rules of the chat is told why, and does not come again.
        bob.look('socket.send("no message")')
        wait_until(
            lambda: str(bob.look(text_of("state"))).startswith("closed: "), "the page says why"
        )

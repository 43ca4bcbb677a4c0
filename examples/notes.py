"""Notes in SQLite: a JSON interface with errors, and a database made once before serving.

Workers share no Python objects, but all of them see the same file. Several handlers of one worker
may run at the same time, so each thread has a connection of its own.
"""

import os
import sqlite3
import tempfile
import threading
from typing import Any

from pyreframework import HTTPError, Pyre, PyreRequest, PyreResponse

FILE = os.environ.get("NOTES_FILE", os.path.join(tempfile.gettempdir(), "pyre-notes.sqlite"))

app = Pyre()
local = threading.local()


def database() -> sqlite3.Connection:
    """Return this thread's connection."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(FILE, autocommit=True)
    connection: sqlite3.Connection = local.connection
    return connection


@app.on_startup
def make_table() -> None:
    database().execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")


@app.get("/notes")
def all_notes() -> list[dict[str, Any]]:
    rows = database().execute("SELECT id, text FROM notes ORDER BY id")
    return [{"id": id, "text": text} for id, text in rows]


@app.post("/notes")
def add_note(req: PyreRequest) -> PyreResponse:
    note = req.json()
    if not isinstance(note, dict) or not isinstance(note.get("text"), str):
        raise HTTPError(422, "a note has a text")
    row = database().execute("INSERT INTO notes (text) VALUES (?)", [note["text"]])
    headers = {"Location": f"/notes/{row.lastrowid}"}
    return PyreResponse({"id": row.lastrowid}, status_code=201, headers=headers)


@app.get("/notes/{id}")
def one_note(id: int) -> dict[str, Any]:
    row = database().execute("SELECT text FROM notes WHERE id = ?", [id]).fetchone()
    if row is None:
        raise HTTPError(404, f"there is no note {id}")
    return {"id": id, "text": row[0]}


@app.delete("/notes/{id}")
def delete_note(id: int) -> None:
    database().execute("DELETE FROM notes WHERE id = ?", [id])


if __name__ == "__main__":
    app.run()

"""Coroutines as handlers: what asyncio offers, used inside of them; `awaiting/` has the routes."""

from awaiting import cancelling, contexts, library, requests, results, tasks
from awaiting.common import app

# Each has registered its routes by now.
PARTS = (results, library, contexts, cancelling, tasks, requests)

app.run()

"""How what users write is called: from a signature to the plan for a call, and coroutines.

- ``signatures``: what a callable takes, read from its code object
- ``injection``: from a signature to the plan by which the engine calls a handler
- ``absent``: what handlers meet of a module that does not load in their worker
- ``event_loop``: the asyncio loop of an interpreter
- ``lanes``: the threads that run handlers, as `threading` shows them
- ``deliveries``: answers that generators make
- ``generators``: the threads that run generators which are not ``async def``
- ``streams``: what sending a piece gives back, and who waits for room
- ``bodies``: requests whose body is read in pieces, and who waits for more
- ``apart``: hooks that may wait for a body although an event loop runs their request
- ``faults``: whether what a handler raises is its own fault, or its client's
- ``sockets``: handlers of WebSockets, and who waits for messages
- ``background``: what a request has left to be done after its answer
- ``debug_page``: what a client sees in debug mode when a handler raised

Sees ``logs`` and the engine.
"""

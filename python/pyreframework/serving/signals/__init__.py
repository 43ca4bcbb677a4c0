"""What happens to this process while it serves: signals, and forks.

- ``hold``: SIGHUP while the program is still being imported
- ``stop``: where ``run()`` waits for signals and calls of ``stop()``
- ``endings``: how long the end may take, and how a process is ended
- ``handled``: which signals are handled here, for the supervisor
- ``forks``: what becomes of a process that is forked from this one

Sees ``program``, ``handlers``, ``logs`` and the engine.
"""

"""``run()``: from the first setting to the last hook.

- ``server``: the order: start, serve, drain, stop
- ``settings/``: what the options come to
- ``signals/``: stop signals, SIGHUP, and processes that are forked
- ``processes/``: how one process takes over from another
- ``log``: the log from before the first hook until after the last
- ``progress``: what is said while workers start
- ``readiness``: asks the user's readiness check
- ``banner``: what is printed when serving begins
- ``shortage``: what is said if the system gives too little

Sees the rooms inside of it, ``program``, ``handlers``, ``logs`` and the engine. Only the main
interpreter imports it.
"""

"""``run()``: from the first setting to the last hook.

- ``run``: the settings, and who is to serve by them
- ``server``: one app being served: start, serve, drain, stop
- ``replaceable``: the same, when another process can take over
- ``app``: what of an app is seen in this room, for types alone
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

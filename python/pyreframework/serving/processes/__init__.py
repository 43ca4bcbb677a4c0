"""How one process takes over from another without refusing a connection.

- ``command``: what starts this program again
- ``environment``: what this program was started with, which the next process gets
- ``child``: a process that is to serve: started, and seen from outside
- ``succession``: starts the process that is to take over, and turns this one into a supervisor
- ``channel``: the pair of sockets between a process that serves and its supervisor
- ``control``: the end that serves
- ``supervisor``: the other end: the process that stays while others take turns at serving
- ``watch``: tells it that files of the program have changed
- ``supervise``: the program of the supervisor

Sees ``settings`` and ``signals`` beside it, ``program``, ``handlers``, ``logs`` and the engine.
"""

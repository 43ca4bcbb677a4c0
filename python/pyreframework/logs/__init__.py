"""What an interpreter says: standard streams, and records of `logging`.

In the order in which a message travels:

- ``records``: what goes to `logging`, and how it leaves an interpreter; in every worker
- ``context``: the request that is being handled, for records of it
- ``traces``: the text of an exception, with a bound on its lines
- ``strays``: tracebacks of threads, and warnings, as records where the log is JSON
- ``bridge``: from `logging` of one interpreter to the writer of the process
- ``streams``: standard output and standard error, and what is printed to them; in every worker
- ``console``: what Pyre itself says

Sees the engine, and no other room.
"""

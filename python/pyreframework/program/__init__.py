"""The user's program in an interpreter: named, loaded, run again in each worker, and examined.

How it gets there:

- ``apps``: the apps of an interpreter, and what of them is seen in this room
- ``target``: what the command line names, and how the main interpreter loads it
- ``loading``: describes it for workers, and loads it there
- ``changes``: which files it was made of, and whether one has changed
- ``laziness``: this package's own imports stay eager
- ``frames``: ``sys._current_frames`` while there are workers
- ``outline``: what decides the answers of an app, compared between interpreters

What a worker does about modules that CPython refuses there:

- ``imports``: watches over imports; what is refused becomes a stand-in
- ``execution``: runs the program's modules beyond statements that need what is refused
- ``standins``: what the program gets in place of a module
- ``losses``: what libraries lose that catch a refusal
- ``sources``: answers from the source of the program
- ``flow``: where plain values out of stand-ins go
- ``reach``: which stand-ins a handler reaches
- ``facts``: what the names of a program hold, in texts that another interpreter compares
- ``differences``: which of them hold something else for a stand-in
- ``handed``: what hooks of the start have changed for one, and leave running
- ``moves``: which routes therefore run on the main interpreter

Sees ``handlers``, ``logs`` and the engine. Workers import it, so what only some of them need is
imported late.
"""

"""The user's program in an interpreter: named, loaded, run again in each worker, and examined.

How it gets there:

- ``apps``: the apps of an interpreter, and what of them is seen in this room
- ``target``: what the command line names
- ``launch``: loads that on the main interpreter
- ``description``: describes it for workers
- ``rerun``: runs it again in a worker
- ``loading``: loads it in a worker, as the engine calls for it, and ends it
- ``changes``: which files it was made of, and whether one has changed
- ``unasked``: what modules, classes and objects hold, read without asking them
- ``ownership``: whose a module is: the program's, ours, Python's, a library's
- ``laziness``: this package's own imports stay eager
- ``frames``: ``sys._current_frames`` while there are workers
- ``outline``: what decides the answers of an app, compared between interpreters

What a worker does about modules that CPython refuses there, as it comes to it:

- ``imports``: watches over imports; has the state of all the others
- ``refusals``: tells a refusal from other errors, and says what to do
- ``missing``: which modules an import misses, and whether the program catches that
- ``substitutes``: what an import gives instead
- ``standins``: what the program gets in place of a module
- ``loop_setters``: what sets an event loop takes one, and does nothing
- ``losses``: what libraries lose that catch a refusal
- ``sources``: answers from the source of the program
- ``execution``: goes on behind statements that need what is refused
- ``facts``: what the names of a program hold, in texts that another interpreter compares
- ``digest``: what one value holds
- ``differences``: which of them hold something else for a stand-in
- ``scans``: reads the hooks of the start, and what they call
- ``touched``: what these change for a stand-in
- ``handed``: what they leave running, and what is shared with that
- ``moves``: which routes therefore run on the main interpreter
- ``reach``: which stand-ins a handler reaches
- ``deferred``: what imports inside of functions give, and which are refused
- ``lacks``: what a handler uses of what libraries have lost
- ``anatomy``: what is inside of code and objects
- ``taints``: plain values out of stand-ins, and who asked for them
- ``effects``: what calls and assignments do to what is not the program's own
- ``acting``: whether a plain value would go into what acts
- ``ahead``: leaves statements out before anything of them is done
- ``statements``: those at the top level of the program's modules
- ``flow``: where plain values out of stand-ins go
- ``expressions``, ``quiet``: what the program's code stands for, and what it leaves behind
- ``advice``: what to say where a stand-in may be why the start fails
- ``examination``: what ``pyre doctor`` asks of an interpreter

Sees ``handlers``, ``logs`` and the engine. Workers import it, so what only some of them need is
imported late.
"""

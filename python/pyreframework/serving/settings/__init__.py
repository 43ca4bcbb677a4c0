"""The options of ``run()``: what there is, and what they come to.

- ``resolution``: the table of options, and how flags, arguments and variables are read by it
- ``cpus``: how many CPUs this process may use

Sees ``program``, ``handlers``, ``logs`` and the engine.
"""

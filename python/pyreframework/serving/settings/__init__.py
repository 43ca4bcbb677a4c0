"""The options of ``run()``: what there is, and what they come to.

- ``options``: the table
- ``resolution``: how flags, arguments and variables are read by it
- ``variables``: those that are named as options, and are none
- ``addresses``: where to listen
- ``cpus``: how many CPUs this process may use

Sees ``program``, ``handlers``, ``logs`` and the engine.
"""

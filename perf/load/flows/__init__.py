"""Clients of bodies that flow: they know every piece, and may leave at any byte.

`wire` is a connection, `drawn` what is asked on it; `answers`, `talk` and `frames` read what comes;
`client` has many of them.
"""

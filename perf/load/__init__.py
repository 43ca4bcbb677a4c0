"""Load generators: wrk's script, and a precise one for few requests."""

"""JSON for the rivals that bring none: the standard library's, or orjson with PERF_JSON=orjson."""

import os

if os.environ.get("PERF_JSON") == "orjson":
    from orjson import dumps, loads
else:
    import json

    loads = json.loads
    _encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

    def dumps(value) -> bytes:
        """Encode a value as compact UTF-8."""
        return _encode(value).encode()


__all__ = ["dumps", "loads"]

"""The program of a supervisor, started as a file by a process that turns into one.

    python -P supervise.py NOTES -- COMMAND...
    python -P supervise.py try NOTES

NOTES is the descriptor of a file in memory with all it has to know; COMMAND starts a process that
serves. The package is looked for where the program had found it. The second only says whether the
first would do, and has a part of the notes itself.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Read the notes, then supervise until the last process has ended."""
    only_tries = sys.argv[1] == "try"
    if only_tries:
        state = json.loads(sys.argv[2])
    else:
        with open(int(sys.argv[1]), encoding="utf-8") as notes:
            state = json.load(notes)
    sys.path[:] = state["path"]
    from pyreframework.engine import set_log_defaults
    from pyreframework.logs import console, streams
    from pyreframework.serving.processes.succession import NOTES
    from pyreframework.serving.processes.supervisor import Supervisor

    if state.get("notes") != NOTES:
        raise SystemExit("its files are of another version")
    if only_tries:
        console.tell("ready")
        return
    streams.take_over()
    # Its messages stand between the lines of those that serve.
    set_log_defaults(state["log_format"] == "json", 0)
    supervisor = Supervisor(sys.argv[3:], state)
    code = supervisor.run()
    supervisor.close()
    raise SystemExit(code)


if __name__ == "__main__":
    main()

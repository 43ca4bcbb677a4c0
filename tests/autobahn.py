"""Have the fuzzing client of the Autobahn test suite talk to a server, and read what it says.

`scripts/autobahn` runs this. Each case has to be OK: what is "non-strict" fails as well. Cases that
only inform are named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from serving import serve

TIMEOUT_S = 3600
KINDS = ("async", "def")


def main(cases: list[str]) -> int:
    """Run the cases against both kinds of handlers; 1 if one of them is not OK."""
    program = os.environ.get("WSTEST", "wstest")
    failed = 0
    with serve("sockets", workers=1) as server, tempfile.TemporaryDirectory() as folder:
        agents = [
            {"agent": kind, "url": f"ws://127.0.0.1:{server.port}/{kind}/echo"} for kind in KINDS
        ]
        specification = {
            "outdir": f"{folder}/reports",
            "servers": agents,
            "cases": cases or ["*"],
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        file = Path(folder, "fuzz.json")
        file.write_text(json.dumps(specification))
        subprocess.run(
            [program, "-m", "fuzzingclient", "-s", str(file)],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
        )
        results = json.loads(Path(folder, "reports", "index.json").read_text())
    for agent, found in sorted(results.items()):
        counts: dict[str, int] = {}
        for case, result in found.items():
            verdicts = {result["behavior"], result["behaviorClose"]}
            verdict = min(verdicts - {"OK"}, default="OK")
            counts[verdict] = counts.get(verdict, 0) + 1
            if verdict != "OK":
                print(f"{agent} {case}: {verdict}, closed with {result['remoteCloseCode']}")
            failed += verdict not in ("OK", "INFORMATIONAL")
        print(f"{agent}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Objects whose destructors tell that they have run, and a table that takes memory."""

import os
from typing import Any

from pyreframework import Pyre

app = Pyre()


class Noisy:
    def __init__(self, name: str) -> None:
        self.name = name
        # At the end of an interpreter globals may be gone.
        self.write = os.write

    def __del__(self) -> None:
        self.write(1, f"{self.name} is gone\n".encode())


class Node:
    pass


noisy = Noisy("an object of the module")
node: Any = Node()
node.itself, node.noisy = node, Noisy("a part of a cycle")
in_main = __name__ == "__main__"
table = {} if in_main else {number: [str(number)] for number in range(150_000)}


@app.get("/")
def hello(req: Any, said: str = "hello") -> str:
    return said


if in_main:
    del noisy, node.noisy
    app.run()

"""Decorated handlers: every decorator of the table around every handler that it can have."""

import functools

from pyreframework import Pyre

app = Pyre()
paths, refused, expected = [], {}, {}


def add(path, handler, answer=None):
    try:
        app.get(path, handler)
    except (TypeError, ValueError) as error:
        refused[path] = f"{type(error).__name__}: {error}"
        return
    paths.append(path.replace("{id:int}", "5").replace("{id}", "5"))
    if answer is not None:
        expected[paths[-1]] = answer


def bare(f):
    def inner(*args, **kwargs):
        return f(*args, **kwargs)

    return inner


def wraps(f):
    return functools.wraps(f)(bare(f))


def bare_req(f):
    def inner(req, *args, **kwargs):
        return f(req, *args, **kwargs)

    return inner


def wraps_req(f):
    return functools.wraps(f)(bare_req(f))


def bare_names(f):
    def inner(req, **kwargs):
        return f(req, **kwargs)

    return inner


def wraps_names(f):
    return functools.wraps(f)(bare_names(f))


def wraps_places(f):
    @functools.wraps(f)
    def inner(*args):
        return f(*args)

    return inner


def wraps_renamed(f):
    @functools.wraps(f)
    def inner(first, *args, **kwargs):
        return f(first, *args, **kwargs)

    return inner


def awaits(f):
    @functools.wraps(f)
    async def inner(*args, **kwargs):
        made = f(*args, **kwargs)
        return await made if hasattr(made, "send") else made

    return inner


class Called:
    def __init__(self, f):
        functools.update_wrapper(self, f)
        self.f = f

    def __call__(self, *args, **kwargs):
        return self.f(*args, **kwargs)


class CalledBare:
    def __init__(self, f):
        self.f = f

    def __call__(self, req, **kwargs):
        return self.f(req, **kwargs)


def twice(f):
    return wraps(wraps_req(f))


def partly(f):
    return functools.partial(wraps(f))


PLAIN = {
    decorator.__name__: decorator
    for decorator in (
        bare, wraps, bare_req, wraps_req, bare_names, wraps_names, wraps_places, wraps_renamed,
        awaits, Called, CalledBare, twice, partly,
    )
}  # fmt: skip
BARE = {"bare", "bare_req", "bare_names", "CalledBare"}


def shown(id, user=None):
    return [type(id).__name__, str(id), user]


def handlers():
    def both(req, id):
        return shown(id)

    def typed(req, id: int):
        return shown(id)

    def keyword(req, *, id):
        return shown(id)

    def default(req, id="none", more=1):
        return shown(id, more)

    async def later(req, id):
        return shown(id)

    class Handlers:
        def method(self, req, id: int):
            return shown(id)

    yield both, ["str", "5", None]
    yield typed, ["int", "5", None]
    yield keyword, ["str", "5", None]
    yield default, ["str", "5", 1]
    yield later, ["str", "5", None]
    yield Handlers().method, ["int", "5", None]


for name, decorator in PLAIN.items():
    for handler, wanted in handlers():
        # Without functools.wraps nobody tells what the function inside wants.
        answer = ["str", *wanted[1:]] if name in BARE else wanted
        if name == "wraps_places" and handler.__name__ == "keyword":
            answer = None
        add(f"/{name}/{handler.__name__}/{{id}}", decorator(handler), answer)
    add(f"/{name}/pattern/{{id:int}}", decorator(lambda req, id: shown(id)), ["int", "5", None])
    add(f"/{name}/request", decorator(lambda req: "request"), "request")

for name in ("wraps", "wraps_places", "awaits", "Called", "partly"):
    add(f"/{name}/id/{{id}}", PLAIN[name](lambda id: shown(id)), ["str", "5", None])
    add(f"/{name}/nothing", PLAIN[name](lambda: "nothing"), "nothing")
    add(f"/{name}/order/{{id}}", PLAIN[name](lambda id, req: shown(id)), ["str", "5", None])
add("/wraps_renamed/id/{id}", wraps_renamed(lambda id: shown(id)), ["str", "5", None])


def consumes(f):
    @functools.wraps(f)
    def inner(req, *args, **kwargs):
        return f(*args, **kwargs)

    return inner


add("/consumes/id/{id}", consumes(lambda id: shown(id)), ["str", "5", None])
add("/consumes/nothing", consumes(lambda: "nothing"), "nothing")


def injects_second(f):
    def inner(req, *args, **kwargs):
        return f(req, "ada", *args, **kwargs)

    return inner


def injects_first(f):
    def inner(*args, **kwargs):
        return f("ada", *args, **kwargs)

    return inner


def injects_instead(f):
    def inner(req, *args, **kwargs):
        return f("ada", *args, **kwargs)

    return inner


def injects_by_name(f):
    def inner(*args, **kwargs):
        return f(*args, user="ada", **kwargs)

    return inner


def injects_into(f):
    def inner(req, **kwargs):
        kwargs["user"] = "ada"
        return f(req, **kwargs)

    return inner


INJECTING = [
    (injects_second, lambda req, user, id: shown(id, user)),
    (injects_first, lambda user, req, id: shown(id, user)),
    (injects_instead, lambda user, id: shown(id, user)),
    (injects_by_name, lambda req, user, id: shown(id, user)),
    (injects_by_name, lambda req, id, user: shown(id, user)),
    (injects_by_name, lambda req, id, *, user: shown(id, user)),
    (injects_into, lambda req, id, user: shown(id, user)),
    (injects_into, lambda req, user, id: shown(id, user)),
]
for number, (decorator, handler) in enumerate(INJECTING):
    name = f"{decorator.__name__}/{number}"
    answer = ["str", "5", "ada"]
    add(f"/{name}/bare/{{id}}", decorator(handler), answer)
    add(f"/{name}/wraps/{{id}}", functools.wraps(handler)(decorator(handler)), answer)
    add(f"/{name}/outside/{{id}}", wraps(functools.wraps(handler)(decorator(handler))), answer)


def typed_injection(req, user, id: int):
    return shown(id, user)


add(
    "/typed-injection/{id}",
    functools.wraps(typed_injection)(injects_second(typed_injection)),
    ["int", "5", "ada"],
)
add("/refused/own", lambda req, nobody: 1)
add("/refused/wrapper", functools.wraps(typed_injection)(lambda req, nobody, **kwargs: 1))
add("/refused/keyword/{id}", lambda req, id, *, nobody: 1)


@app.get("/table")
def table():
    return {"paths": paths, "refused": refused, "expected": expected}


if __name__ == "__main__":
    app.run()

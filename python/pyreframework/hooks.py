"""Hooks of an app: around requests, around serving, and around the life of each worker.

Hooks around requests go to the engine as they are registered; the others are kept here. All are
usable as ``@app.x``, ``@app.x()`` and ``app.x(f)``. Imported in every worker.
"""

from __future__ import annotations

from pyreframework.errors import HTTPError, answer
from pyreframework.handlers.absent import stood_in
from pyreframework.handlers.event_loop import Loop
from pyreframework.handlers.injection import plan_for, require_arguments, require_callable
from pyreframework.handlers.signatures import is_async, name_of
from pyreframework.logs import records
from pyreframework.program import apps
from pyreframework.program.outline import name_of_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from pyreframework.engine import AppTable
    from pyreframework.routing import Decorator

    type AnyCall = Callable[..., Any]
    type Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


# What hooks around requests are called with.
ARGUMENTS = {"before_request": ("req",), "after_request": ("req", "resp")}


class Hooks:
    """The part of `Pyre` that registers and runs hooks."""

    native: AppTable

    def __init__(self) -> None:
        self.loop = Loop()
        self._lifespan: Lifespan | None = None
        self._entered: AbstractAsyncContextManager[object] | None = None
        self._life: dict[str, list[AnyCall]] = {
            "on_startup": [],
            "on_shutdown": [],
            "on_worker_start": [],
            "on_worker_stop": [],
        }
        # Hooks of the end that have not run yet, once it has begun.
        self._ending: dict[str, Iterator[AnyCall]] = {}
        # What runs at the end, or did so last, in words.
        self.last_hook: str | None = None
        self._caught: dict[type[BaseException], AnyCall] = {}
        self._around: list[tuple[str, AnyCall]] = []
        self._fallback: AnyCall | None = None
        # Called when something of the program has ended that may have forked, with what it raised;
        # does not return in the child.
        self.end_fork: Callable[[str, BaseException | None], None] = go_on
        # What runs in every interpreter, in the order of registration: kind, for what, function.
        self.registered: list[tuple[str, str, AnyCall]] = []

    def before_request[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
        """Register ``hook(req)`` to run before every handler, in order of registration.

        A hook that returns anything but None has given the answer: later hooks and the handler are
        skipped. One that raises gives 500, or what an exception handler makes of it.

        Raises:
            TypeError: ``hook`` cannot be called like this.

        Example:
            >>> app = Pyre()
            >>> @app.before_request
            ... def check(req):
            ...     if "authorization" not in req.headers:
            ...         raise HTTPError(401)
        """
        return self._request_hook("before_request", hook)

    def after_request[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
        """Register ``hook(req, resp)`` to run after every handler, errors included.

        What it returns replaces the answer, unless it is None.

        Raises:
            TypeError: ``hook`` cannot be called like this.
        """
        return self._request_hook("after_request", hook)

    def fallback[Handler: AnyCall = Decorator](self, handler: Handler | None = None) -> Handler:
        """Register ``handler(req)`` for requests that no route matches, instead of 404.

        Raises:
            TypeError: ``handler`` cannot be called.
        """
        return self._request_hook("fallback", handler)

    def on_startup[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
        """Register ``hook()`` to run once, on the main interpreter, before serving.

        It may be an ``async def`` function.

        If it raises, the program ends with exit code 3 and the traceback.
        """
        return self._life_hook("on_startup", hook)

    def on_shutdown[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
        """Register ``hook()`` to run once, on the main interpreter, after serving."""
        return self._life_hook("on_shutdown", hook)

    def on_worker_start[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
        """Register ``hook()`` to run once in each interpreter that runs handlers, before any.

        That is every worker, and the main interpreter if it runs any routes. If it raises, the
        program ends with exit code 3 and the traceback.
        """
        return self._life_hook("on_worker_start", hook)

    def on_worker_stop[Hook: AnyCall = Decorator](self, hook: Hook | None = None) -> Hook:
        """Register ``hook()`` to run once in each interpreter that ran handlers, after the last."""
        return self._life_hook("on_worker_stop", hook)

    def exception_handler[Handler: AnyCall = Decorator](
        self, kind: type[BaseException], handler: Handler | None = None
    ) -> Handler:
        """Register ``handler(req, exc)`` to answer for exceptions of a type and its subtypes.

        The handler of the nearest type is taken; a later one for the same type replaces the former.

        Raises:
            TypeError: ``kind`` is not an exception type, or ``handler`` cannot be called like this.

        Example:
            >>> app = Pyre()
            >>> @app.exception_handler(KeyError)
            ... def missing(req, exc):
            ...     return {"missing": exc.args[0]}, 404
        """
        # An exception of a module that does not load in a worker cannot be raised there.
        absent = stood_in(kind) is not None
        if not absent and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"exception_handler needs a type of exception, not {kind!r}")

        def register[H: AnyCall](handler: H) -> H:
            require_callable(handler, "exception_handler")
            require_arguments(handler, ("req", "exc"), "an exception_handler")
            self.registered.append(("exception_handler", name_of_type(kind), handler))
            if not absent:
                self._note_async(handler)
                self.native.add_exception_handler(kind, handler)
                self._caught[kind] = handler
            return handler

        # Where no handler is given nothing else decides what `Handler` is, so it is a `Decorator`.
        return register if handler is None else register(handler)  # type: ignore[return-value]

    def request_hooks(self) -> list[tuple[str, AnyCall]]:
        """Return every hook that can be part of any request, with its kind."""
        caught = [("exception_handler", handler) for handler in self._caught.values()]
        return self._around + caught

    def singles(self) -> list[tuple[str, AnyCall | None]]:
        """Return what there is one of at most, with its kind."""
        return [("fallback", self._fallback), ("lifespan", self._lifespan)]

    def start_hooks(self) -> list[AnyCall]:
        """Return what runs as a worker starts: the ``on_worker_start`` hooks and the lifespan."""
        lifespan = [] if self._lifespan is None else [self._lifespan]
        return [*self._life["on_worker_start"], *lifespan]

    def begin(self) -> None:
        """Run the ``on_startup`` hooks; the first that raises ends the start."""
        self._ending.pop("on_shutdown", None)
        self._run("on_startup")

    def end(self) -> None:
        """Run the ``on_shutdown`` hooks; one that raises is reported."""
        self._run_all("on_shutdown")

    def begin_worker(self) -> None:
        """Run the ``on_worker_start`` hooks of this interpreter and enter the lifespan.

        The first that raises ends the start, unless this is a worker and it was for a module that
        does not load there.
        """
        self._ending.pop("on_worker_stop", None)
        for hook in self._life["on_worker_start"]:
            try:
                self._complete(hook)
            except Exception as error:
                if not apps.starts_without(hook, error):
                    raise
        if self._lifespan is not None:
            lifespan = self._lifespan
            try:
                context = self._complete(lambda: lifespan(self))
                self._complete(context.__aenter__)
            except Exception as error:
                if not apps.starts_without(self._lifespan, error):
                    raise
            else:
                self._entered = context

    def end_worker(self) -> None:
        """Leave the lifespan and run the ``on_worker_stop`` hooks; one that raises is reported."""
        if self._entered is not None:
            context, self._entered = self._entered, None
            self.last_hook = "the lifespan"
            try:
                self._complete(lambda: context.__aexit__(None, None, None))
            except BaseException as error:  # noqa: BLE001 - the hooks must still run
                records.hook_failed("lifespan", error)
        self._run_all("on_worker_stop")

    def _request_hook[Hook: AnyCall = Decorator](self, kind: str, hook: Hook | None) -> Hook:
        def register[H: AnyCall](hook: H) -> H:
            require_callable(hook, kind)
            if kind == "fallback":
                self.native.set_fallback(*plan_for(hook, (), kind), is_async(hook))
                self._fallback = hook
                return hook
            article = "an" if kind.startswith("a") else "a"
            require_arguments(hook, ARGUMENTS[kind], f"{article} {kind} hook")
            if kind == "before_request":
                self.native.add_before(hook)
            else:
                self.native.add_after(hook)
            self._around.append((kind, hook))
            self.registered.append((f"{kind} hook", "", hook))
            self._note_async(hook)
            return hook

        return register if hook is None else register(hook)  # type: ignore[return-value]

    def _life_hook[Hook: AnyCall = Decorator](self, kind: str, hook: Hook | None) -> Hook:
        def register[H: AnyCall](hook: H) -> H:
            require_callable(hook, kind)
            require_arguments(hook, (), f"an {kind} hook")
            if kind in ("on_worker_start", "on_worker_stop"):
                self.registered.append((f"{kind} hook", "", hook))
                if is_async(hook):
                    self.native.need_loop(False)
            self._life[kind].append(hook)
            return hook

        return register if hook is None else register(hook)  # type: ignore[return-value]

    def is_own(self, handler: AnyCall) -> bool:
        """Tell whether this is our own handler of exceptions, which never asks for a body."""
        return handler is answer

    def _note_async(self, hook: AnyCall) -> None:
        if is_async(hook):
            self.native.need_loop(True)

    def _run(self, kind: str) -> None:
        for hook in self._life[kind]:
            self._complete(hook)

    def _run_all(self, kind: str) -> None:
        """Run hooks of the end, those that have not run yet: a signal handler may raise between."""
        hooks = self._ending.setdefault(kind, iter(self._life[kind]))
        for hook in hooks:
            self.last_hook = f"the {kind} hook {name_of(hook)}"
            try:
                self._complete(hook)
            except BaseException as error:  # noqa: BLE001 - the next hook must still run
                records.hook_failed(kind, error)

    def _complete(self, hook: Callable[[], Any]) -> Any:
        """Return what a hook returns, or what its coroutine comes to."""
        error: BaseException | None = None
        try:
            return self.loop.complete(hook())
        except BaseException as raised:
            error = raised
            if apps.in_worker():
                from pyreframework.program import refusals

                refusals.explain_call(raised)
            raise
        finally:
            self.end_fork("a hook", error)

    def _catch_http_errors(self) -> None:
        if HTTPError not in self._caught:
            self.native.add_exception_handler(HTTPError, answer)
            self._caught[HTTPError] = answer


def go_on(what: str, error: BaseException | None = None) -> None:
    """Do nothing: workers cannot fork, and where nothing is served a fork is the program's own."""

"""What calls and assignments of the program do to what is not the program's own.

A plain value out of a stand-in is wrong, so nothing may be done with it to the process, to files
and descriptors, or to the settings of a library. Known are those who do nothing of the kind; of all
others it is taken that they do.

Imported in a worker when a stand-in has to give a plain value.
"""

from __future__ import annotations

import _ast
import builtins
from types import FunctionType, MethodType, ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import ownership, sources
from pyreframework.program.anatomy import Bound, codes, is_own
from pyreframework.program.apps import Enrolled
from pyreframework.program.expressions import STREAMS, resolve, root_name, shows
from pyreframework.program.unasked import (
    dict_of,
    in_class,
    is_a,
    kind_of,
    module_of,
    name_of,
    text_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

# What is done: nothing that stays; something to the whole process, so that the main interpreter has
# done it already; something to what each interpreter has for itself; or it cannot be told what.
NOTHING, PROCESS, INTERPRETER, UNKNOWN = "nothing", "process", "interpreter", "unknown"

# Builtins that only return something, or show it.
QUIET_BUILTINS = frozenset((
    "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr",
    "classmethod", "complex", "dict", "dir", "divmod", "enumerate", "filter", "float", "format",
    "frozenset", "getattr", "globals", "hasattr", "hash", "hex", "id", "int", "isinstance",
    "issubclass", "iter", "len", "list", "locals", "map", "max", "memoryview", "min", "next",
    "object", "oct", "ord", "pow", "print", "property", "range", "repr", "reversed", "round", "set",
    "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "vars", "zip",
))  # fmt: skip
# Modules of the standard library whose functions only return something.
QUIET_MODULES = frozenset((
    "abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "cmath", "collections",
    "colorsys", "configparser", "contextlib", "contextvars", "copy", "csv", "dataclasses",
    "datetime", "decimal", "difflib", "enum", "errno", "fnmatch", "fractions", "functools",
    "genericpath", "hashlib", "heapq", "hmac", "html", "http", "inspect", "ipaddress", "itertools",
    "json", "keyword", "math", "mimetypes", "ntpath", "numbers", "operator", "platform",
    "posixpath", "pprint", "re", "secrets", "shlex", "stat", "statistics", "string", "struct",
    "textwrap", "time", "token", "tomllib", "traceback", "types", "typing", "typing_extensions",
    "unicodedata", "urllib", "uuid", "zlib", "zoneinfo",
))  # fmt: skip
# Modules whose classes make objects that do nothing yet.
OBJECT_MODULES = frozenset((
    "argparse", "asyncio", "concurrent", "io", "pathlib", "queue", "random", "threading", "weakref",
))  # fmt: skip
# Modules that act on the process, on files, or on others by way of these.
PROCESS_MODULES = frozenset((
    "_io", "bz2", "ctypes", "dbm", "fcntl", "fileinput", "glob", "gzip", "io", "lzma", "marshal",
    "mmap", "multiprocessing", "os", "pathlib", "pickle", "posix", "pty", "resource", "shelve",
    "shutil", "signal", "subprocess", "syslog", "tarfile", "tempfile", "termios", "tty", "zipfile",
))  # fmt: skip
# What does something else than the rest of its module. The event loop is the server's own.
EXCEPTIONS = {
    "asyncio.set_event_loop": NOTHING,
    "asyncio.set_event_loop_policy": NOTHING,
    "asyncio.events": NOTHING,
    "collections.abc": NOTHING,
    "csv.field_size_limit": INTERPRETER,
    "csv.register_dialect": INTERPRETER,
    "csv.writer": NOTHING,
    "decimal.setcontext": INTERPRETER,
    "json.dump": PROCESS,
    "mimetypes.add_type": INTERPRETER,
    "pickle.loads": NOTHING,
    "pickle.dumps": NOTHING,
    "re.purge": INTERPRETER,
    "sys.exit": NOTHING,
    "sys.getsizeof": NOTHING,
    "sys.intern": NOTHING,
    "time.tzset": PROCESS,
    "traceback.print_exc": NOTHING,
    "urllib.request": UNKNOWN,
    "http.client": UNKNOWN,
    "http.server": UNKNOWN,
    "warnings.warn": NOTHING,
    "logging.getLogger": NOTHING,
    "logging.getLevelName": NOTHING,
    "io.StringIO": NOTHING,
    "io.BytesIO": NOTHING,
    "_io.StringIO": NOTHING,
    "_io.BytesIO": NOTHING,
    "tempfile.gettempdir": NOTHING,
    "locale.setlocale": PROCESS,
    "os.fspath": NOTHING,
    "os.fsencode": NOTHING,
    "os.fsdecode": NOTHING,
    "os.getenv": NOTHING,
    "os.cpu_count": NOTHING,
    "posix.fspath": NOTHING,
}
# Methods that only read, of whatever they are.
READERS = frozenset((
    "copy", "exists", "get", "is_dir", "is_file", "items", "joinpath", "keys", "values",
    "with_suffix",
))  # fmt: skip
# The classes that Python has built in and whose objects are the program's own.
PLAIN = (
    str, bytes, bytearray, int, float, complex, bool, list, tuple, dict, set, frozenset,
    type(None), range, slice,
)  # fmt: skip
# How a file is opened so that it is changed.
WRITING = frozenset("wax+")
REMOVING = frozenset((
    "copy", "copy2", "copyfile", "move", "remove", "rename", "replace", "rmdir", "rmtree", "touch",
    "truncate", "unlink", "write_bytes", "write_text",
))  # fmt: skip
DEFINITIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef)
DEPTH_MAX = 6

# What functions of the program have been found to do.
known: dict[CodeType, str] = {}


def effect(call: _ast.Call, space: dict[str, Any], depth: int = 0) -> str:
    """Return what a call does to what is not the program's own."""
    func = call.func
    if shows(call, space):
        return NOTHING
    callee = resolve(func, space)
    if callee is print:
        return PROCESS  # Into a file: it would show nothing.
    if not isinstance(func, _ast.Attribute):
        return of_callee(callee, depth)
    owner = resolve(func.value, space)
    if stood_in(owner) is not None or is_a(owner, Enrolled):
        return NOTHING
    if is_a(owner, ModuleType):
        name = text_of(dict_of(owner).get("__name__"))
        if callee is not None and ownership.is_program(dict_of(owner)):
            return of_callee(callee, depth)
        return of_module(f"{name}.{func.attr}", is_a(callee, type))
    if owner is None or isinstance(func.value, (_ast.Call, _ast.Subscript)):
        return of_method(func, space)
    function = callee.function if is_a(callee, Bound) else callee
    function = function.__func__ if is_a(function, MethodType) else function
    if is_a(function, FunctionType):
        held = function.__globals__
        if ownership.is_program(held) or ownership.is_ours(held):
            return of_callee(function, depth)
    library = module_at(func.value, space)
    if library is not None:
        is_stream = isinstance(func.value, _ast.Attribute) and func.value.attr in STREAMS
        if library == "sys" and is_stream:
            return NOTHING
        if func.attr in READERS:
            return NOTHING
        if is_a(owner, type):
            return of_module(f"{library}.{func.attr}", False)
        return PROCESS if is_of(library, PROCESS_MODULES) else INTERPRETER
    if any(kind_of(owner) is one for one in PLAIN):
        return NOTHING
    return of_object(kind_of(owner), func.attr)


def of_callee(callee: Any, depth: int) -> str:
    """Return what it does to call a function, a class or an object."""
    if callee is None:
        return UNKNOWN
    if stood_in(callee) is not None or is_a(callee, Enrolled):
        return NOTHING
    if is_a(callee, Bound):
        return of_function(callee.function, depth)
    if is_a(callee, MethodType):
        return of_callee(callee.__func__, depth)
    if is_a(callee, FunctionType):
        if ownership.is_ours(callee.__globals__):
            return NOTHING
        if ownership.is_program(callee.__globals__):
            return of_function(callee, depth)
        return of_module(f"{text_of(callee.__globals__.get('__name__'))}.{callee.__name__}", False)
    if is_a(callee, type):
        if any(callee is one for one in PLAIN) or issubclass(callee, BaseException):
            return NOTHING
        if module_of(callee) == "builtins":
            return NOTHING
        if is_own(callee):
            names = ("__new__", "__init__", "__post_init__")
            found = [in_class(callee, name) for name in names]
            return worst(of_function(one, depth) for one in found if is_a(one, FunctionType))
        return of_module(f"{module_of(callee)}.{name_of(callee)}", True)
    if is_own(type(callee)):
        method = in_class(type(callee), "__call__")
        return of_function(method, depth) if is_a(method, FunctionType) else UNKNOWN
    name = text_of(getattr(callee, "__name__", None)) if type(callee) is type(len) else ""
    if not name:
        return UNKNOWN
    if vars(builtins).get(name) is callee:
        if name == "open":
            return PROCESS
        return NOTHING if name in QUIET_BUILTINS else UNKNOWN
    return of_module(f"{text_of(callee.__module__)}.{name}", False)


def of_module(name: str, is_class: bool) -> str:
    """Return what is done by what a library has under a name, with that of its module before."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        found = EXCEPTIONS.get(".".join(parts[:count]))
        if found is not None:
            return found
    top = parts[0]
    own = top.lstrip("_")
    if top == ownership.PACKAGE or own in QUIET_MODULES or top in QUIET_MODULES:
        return NOTHING
    if is_class and own in OBJECT_MODULES and parts[-1] not in ("FileIO", "open"):
        return NOTHING
    if is_of(name, PROCESS_MODULES):
        return PROCESS
    return INTERPRETER if ownership.is_standard(top) else UNKNOWN


def of_object(kind: type, name: str) -> str:
    """Return what a method of an object of a library does."""
    if name in READERS:
        return NOTHING
    if is_of(module_of(kind), PROCESS_MODULES) or name == "write":
        return PROCESS
    if module_of(kind).partition(".")[0].lstrip("_") in QUIET_MODULES:
        return NOTHING
    if name_of(kind) == "_Environ" and module_of(kind) == "os":
        return PROCESS
    return INTERPRETER if module_of(kind).partition(".")[0] == "logging" else UNKNOWN


def of_method(func: _ast.Attribute, space: dict[str, Any]) -> str:
    """Return what a method of something does that an expression makes."""
    made = func.value
    if isinstance(made, (_ast.Constant, _ast.JoinedStr, _ast.List, _ast.Dict, _ast.Tuple)):
        return NOTHING
    if isinstance(made, _ast.Call):
        kind = resolve(made.func, space)
        if is_a(kind, type):
            return NOTHING if any(kind is one for one in PLAIN) else of_object(kind, func.attr)
        if kind is open:
            return PROCESS
        if isinstance(made.func, _ast.Attribute) and func.attr in READERS | vars(str).keys():
            # `str(value).strip().lower()`, `Path(a).joinpath(b)`
            return of_method(made.func, space)
        library = module_at(made.func, space)
        if library is not None:
            if func.attr in READERS:
                return NOTHING
            return PROCESS if is_of(library, PROCESS_MODULES) else INTERPRETER
    return UNKNOWN


def of_function(function: Any, depth: int) -> str:
    """Return what a function of the program does to what is not the program's own."""
    code = function.__code__
    if code in known:
        return known[code]
    node = sources.definition(code) if depth <= DEPTH_MAX else None
    if node is None:
        # A method that a library has written: `__init__` of a data class.
        return NOTHING if code.co_filename.startswith("<") else UNKNOWN
    known[code] = NOTHING  # While it is looked at, as it may call itself.
    space = space_of(function)
    known[code] = worst(
        done for statement in node.body for done, _ in effects(statement, space, depth + 1)
    )
    return known[code]


def space_of(function: Any) -> dict[str, Any]:
    """Return what the names in a function stand for that are not its own."""
    code, held = function.__code__, function.__globals__
    local = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    names = {name for one in codes(code) for name in one.co_names} - local
    return {name: held[name] for name in names if name in held}


def effects(
    node: _ast.AST, space: dict[str, Any], depth: int = 0
) -> Iterator[tuple[str, _ast.AST]]:
    """Yield the calls and assignments in a statement that do something, and what they do."""
    for one in sources.inside(node):
        if isinstance(one, _ast.Call):
            done = effect(one, space, depth)
        elif isinstance(one, (_ast.Attribute, _ast.Subscript)) and isinstance(one.ctx, _ast.Store):
            done = of_store(one, space)
        else:
            continue
        if done != NOTHING:
            yield done, one


def of_store(target: _ast.Attribute | _ast.Subscript, space: dict[str, Any]) -> str:
    """Return what it does to give something an attribute or an item."""
    owner = resolve(target.value, space)
    if stood_in(owner) is not None or is_a(owner, Enrolled):
        return NOTHING
    if is_a(owner, ModuleType):
        if ownership.is_program(dict_of(owner)):
            return NOTHING
        name = text_of(dict_of(owner).get("__name__"))
        return PROCESS if name == "os" else INTERPRETER
    library = module_at(target.value, space)
    if library is not None:
        # `os.environ["NAME"]`, `sys.modules["name"]`
        return PROCESS if is_of(library, PROCESS_MODULES) else INTERPRETER
    if owner is None:
        called = target.value.func if isinstance(target.value, _ast.Call) else None
        library = module_at(called, space)
        return NOTHING if library is None else INTERPRETER
    if name_of(kind_of(owner)) == "_Environ" and module_of(kind_of(owner)) == "os":
        return PROCESS
    return NOTHING


def module_at(node: _ast.AST | None, space: dict[str, Any]) -> str | None:
    """Return the library that an expression begins with, None if it begins with anything else."""
    while isinstance(node, (_ast.Subscript, _ast.Attribute, _ast.Call)):
        node = node.func if isinstance(node, _ast.Call) else node.value
    found = space.get(root_name(node)) if node is not None else None
    if is_a(found, (type, FunctionType)):
        name = module_of(found) if is_a(found, type) else found.__globals__.get("__name__")  # type: ignore[union-attr, arg-type]
        return text_of(name) if ownership.is_standard(text_of(name)) else None
    if stood_in(found) is not None or not is_a(found, ModuleType):
        return None
    held = dict_of(found)
    if ownership.is_program(held) or ownership.is_ours(held):
        return None
    return text_of(held.get("__name__"))


def is_of(name: str, modules: frozenset[str]) -> bool:
    """Tell whether a name begins with that of one of some modules."""
    return name.partition(".")[0] in modules


def worst(found: Iterator[str]) -> str:
    """Return what is done in all, by what is known best."""
    done = set(found)
    return next((one for one in (INTERPRETER, PROCESS, UNKNOWN) if one in done), NOTHING)


def overwrites(call: _ast.Call, space: dict[str, Any]) -> bool:
    """Tell whether a call takes away what a file has held."""
    name = sources.last_name(call.func)
    if name in REMOVING:
        return effect(call, space) == PROCESS
    if name not in ("open", "fdopen", "NamedTemporaryFile"):
        return False
    modes = [one.value for one in call.keywords if one.arg == "mode"]
    index = 1 if isinstance(call.func, _ast.Name) or root_name(call.func) in ("io", "os") else 0
    modes += call.args[index : index + 1]
    if not modes:
        return False
    value = modes[0].value if isinstance(modes[0], _ast.Constant) else "w"
    return type(value) is not str or not WRITING.isdisjoint(value)

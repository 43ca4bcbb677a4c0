# Sourced after steps.bash: which CPythons Pyre is tested with, and how one is found.

# The whole suite passes on the newest of each (scripts/test-pythons); in the order of preference.
tested_pythons=(3.15 3.14 3.13)

# usable_python <command>: prints the real path of a CPython that Pyre can use. Fails with 2 if only
# its venv module is missing, as on Debian, and with 3 if it has no GIL.
usable_python() {
    "$1" -c '
import os, sys, sysconfig
if sys.implementation.name != "cpython" or sys.version_info < (3, 13):
    sys.exit(1)
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(2)
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
' 2>/dev/null
}

# places_of_python <version>: prints where a CPython 3.x may be, one a line.
places_of_python() {
    printf '%s\n' \
        "python$1" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1"[.a-z]*/bin/"python$1" \
        "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}"/cpython-"$1".*/bin/"python$1" \
        {/usr/local,/usr,/opt/homebrew}/bin/"python$1" \
        /opt/python*"$1"*/bin/python3 /opt/python/*"$1"*/bin/python3 /opt/*/bin/"python$1"
}

# find_python <version...>: prints the first usable CPython of these versions. A shim on PATH may be
# there and not work, so each place is tried. Fails as usable_python does, for the last one found.
find_python() {
    local version place status answer=1
    for version in "$@"; do
        while IFS= read -r place; do
            status=0
            usable_python "$place" || status=$?
            if ((status == 0)); then return; fi
            if ((status == 2 || status == 3)); then
                answer=$status
                unusable_python=$place
            fi
        done < <(places_of_python "$version")
    done
    return "$answer"
}

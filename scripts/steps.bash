# Sourced by the scripts that run several checks: a headline and the time for each, a summary last.

steps_failed=()
steps_passed=0
steps_began=$SECONDS

# step <headline> <command...>: runs the command; a failure is kept for the summary.
step() {
    local headline=$1 began=$SECONDS
    shift
    printf '\n== %s\n' "$headline"
    if "$@"; then
        steps_passed=$((steps_passed + 1))
        printf -- '-- %s: ok, %d s\n' "$headline" $((SECONDS - began))
    else
        steps_failed+=("$headline")
        printf -- '-- %s: FAILED, %d s\n' "$headline" $((SECONDS - began))
    fi
}

# summary: prints what passed and failed, and fails if anything did.
summary() {
    printf '\n%s: %d passed, %d failed, %d s\n' \
        "${0##*/}" "$steps_passed" "${#steps_failed[@]}" $((SECONDS - steps_began))
    if ((${#steps_failed[@]} > 0)); then
        printf '  failed: %s\n' "${steps_failed[@]}"
        return 1
    fi
}

# say <text>, die <text>: one sentence for the person at the terminal.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# shellcheck shell=bash
# Sourced by the scripts of this folder: progress lines, errors, packages.
#
# Everything said here goes to standard error, so that a script's standard output holds its result only.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Counts the seconds of a step on the terminal until it is killed, or its script is.
count_seconds() {
    local text=$1 seconds=0 script=$$
    while sleep 1 && kill -0 "$script" 2>/dev/null; do
        seconds=$((seconds + 1))
        printf '\r%s… %d s' "$text" "$seconds" >&2
    done
}

# step TEXT COMMAND...: runs COMMAND (a function may do) under a progress line. What it prints is shown only when it
# fails. Not for use where bash ignores "set -e": left of || or &&, or in a condition.
step() {
    local text=$1 started=$SECONDS status=0 log counter=
    shift
    log=$(mktemp)
    printf '%s…' "$text" >&2
    if [ -t 2 ]; then
        count_seconds "$text" &
        counter=$!
    else
        echo >&2
    fi
    # In the foreground, so that Ctrl-C reaches the command.
    set +e
    (
        set -e
        "$@"
    ) >"$log" 2>&1
    status=$?
    set -e
    if [ -n "$counter" ]; then
        kill "$counter" 2>/dev/null || :
        wait "$counter" 2>/dev/null || :
        printf '\r' >&2
    fi
    if [ "$status" -eq 0 ]; then
        printf '%s: %d s\n' "$text" $((SECONDS - started)) >&2
        rm -f "$log"
        return 0
    fi
    printf '%s: failed after %d s\n' "$text" $((SECONDS - started)) >&2
    tail -n 60 "$log" >&2
    rm -f "$log"
    return "$status"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || fail "needs root for: $*"
        sudo "$@"
    fi
}

is_installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# need_packages PACKAGE...: installs those that are missing. Asks nothing of the network when none is.
need_packages() {
    local package missing=()
    command -v dpkg-query >/dev/null ||
        fail "this is no Debian system; it needs what these packages hold: $*"
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    step "reading the package lists" as_root apt-get update -q
    step "installing ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# The compiler, and the headers of the libraries that are linked in.
need_swift() {
    need_packages zlib1g-dev libzstd-dev libbabeltrace2-dev
    command -v swift >/dev/null ||
        fail "no swift in PATH; Swift 6.2 or newer is needed: https://www.swift.org/install/linux/"
}

# shellcheck shell=bash
# Sourced by lab: the host under test is this machine, with its own KVM. The same functions as in nested.sh; the guests
# are started by the same scripts and from the same image.
#
# shellcheck disable=SC2154 # here is the folder of lab, which sources this

# What guests need of the kernel; and the right to make bridges, vsock addresses and trace instances.
host_start() {
    [ "$(id -u)" -eq 0 ] || fail "the lab needs root where the host under test is this machine"
    modprobe -a vhost_vsock tun bridge
    mkdir -p "$LAB_RUN/bin"
}

host_is_up() { [ "$(cat "$LAB_RUN/mode" 2>/dev/null)" = direct ]; }

host_stop() { host_run "guest-down $(seq -s ' ' "$LAB_GUESTS_MAX")"; }

# host_run [-i | -t] COMMAND...: standard input and the terminal are the caller's anyway.
host_run() {
    case $1 in -?) shift ;; esac
    PATH="$LAB_RUN/bin:$here/inside:$LAB_CACHE/bin:$PATH" \
        timeout --foreground -k 5 "$LAB_TIMEOUT" sh -c "cd \"\$LAB_RUN\" && $*"
}

host_console() { dmesg | tail -n 20; }

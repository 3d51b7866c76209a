# shellcheck shell=bash
# Sourced by lab: the host under test is a machine emulated by QEMU's TCG, which emulates AMD's SVM with nested paging
# too. Linux's kvm_amd loads in it and runs real KVM guests, on a machine without hardware virtualization.
#
# This file and direct.sh define the same functions: host_start, host_is_up, host_stop, host_run, host_console.

# Not just any process: pids are used again.
host_is_up() {
    local pid
    [ -e "$LAB_RUN/host.pid" ] || return 1
    pid=$(cat "$LAB_RUN/host.pid")
    grep -qs -F "$LAB_RUN/host.pid" "/proc/$pid/cmdline"
}

# Prints the first free port of this machine's loopback from 17001.
choose_port() {
    local port
    for port in {17001..17099}; do
        if ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
    fail "no free port from 17001 to 17099"
}

shared_folder() {
    echo "local,id=$1,mount_tag=$1,path=$2,security_model=none,multidevs=remap,readonly=on"
}

# EPYC,+svm: warnings about features that TCG lacks are dropped. q35: its HPET and PM timer calibrate the TSC, which TCG
# passes through. tsc=reliable: under emulation the kernel would watch the TSC against the HPET, see jitter and leave
# it; KVM would then give guests no stable clock. restrict=on: no way out to the network.
start_emulator() {
    local port
    port=$(choose_port)
    qemu-system-x86_64 -name tandem-lab-host -machine q35 -accel tcg,thread=multi -cpu EPYC,+svm \
        -smp "$LAB_HOST_CPUS" -m "$LAB_HOST_MEMORY" -nodefaults -no-user-config -display none -no-reboot \
        -serial "file:$LAB_RUN/host.console.log" \
        -kernel "$LAB_CACHE/kernel-$LAB_HOST_KERNEL-amd64/vmlinux" -initrd "$LAB_CACHE/host-$LAB_HOST_KERNEL.img" \
        -append "console=ttyS0 panic=-1 quiet tsc=reliable mitigations=off" \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-10.0.2.15:7000" \
        -device virtio-net-pci,netdev=net \
        -virtfs "$(shared_folder usr /usr)" -virtfs "$(shared_folder cache "$LAB_CACHE")" \
        -pidfile "$LAB_RUN/host.pid" -daemonize
    echo "$port" >"$LAB_RUN/host.port"
}

# Boots in 7 s on two free cores; the limit is for cores that others use too.
wait_for_host() {
    local deadline=$((SECONDS + 150))
    until LAB_TIMEOUT=10 host_run true 2>/dev/null; do
        if ! host_is_up || ((SECONDS > deadline)); then
            return 1
        fi
        sleep 0.2
    done
}

host_start() {
    local try
    for try in 1 2; do
        start_emulator
        if wait_for_host; then
            return 0
        fi
        echo "the host did not come up (try $try)"
        host_console
        host_stop
    done
    return 1
}

host_stop() {
    local pid tries=0
    host_is_up || return 0
    pid=$(cat "$LAB_RUN/host.pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        ((++tries == 50)) && kill -KILL "$pid"
        sleep 0.1
    done
    rm -f "$LAB_RUN/host.pid" "$LAB_RUN/host.port"
}

# host_run [-i | -t] COMMAND...
host_run() {
    local option=()
    case $1 in -?)
        option=("$1")
        shift
        ;;
    esac
    [ -e "$LAB_RUN/host.port" ] || fail "the lab is down; first: lab up"
    timeout --foreground -k 5 "$LAB_TIMEOUT" \
        "$LAB_CACHE/bin/rexec" run "${option[@]}" "tcp:127.0.0.1:$(cat "$LAB_RUN/host.port")" "$@"
}

host_console() { tail -n 20 "$LAB_RUN/host.console.log"; }

# shellcheck shell=bash disable=SC2034 # used by the scripts that source this
# Sourced by the lab's scripts: its settings. The environment wins.

# What is built once and kept: kernels, images, rexec. Safe to delete.
: "${LAB_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/tandem-lab}"
# What one running lab needs: pid files, sockets, console logs. Another folder is another lab.
: "${LAB_RUN:=${XDG_RUNTIME_DIR:-/tmp}/tandem-lab-$(id -u)}"
# nested: the host under test is emulated. direct: it is this machine. Empty: direct where this machine can.
: "${LAB_MODE:=}"
# No call to the host or a guest takes longer, in seconds; 0 means no limit. A crashed machine does not close its
# connections, so that a call without a limit would wait for ever.
: "${LAB_TIMEOUT:=300}"

# One word for each guest, the last one for the others too: "1 2" gives guest 1 one vCPU and the others two.
: "${LAB_VCPUS:=1}"             # 1 or 2
: "${LAB_GUEST_KERNEL:=stable}" # stable: Debian's own kernel. backports: the newer one that Debian keeps beside it
: "${LAB_HOST_KERNEL:=stable}"  # of the emulated host
: "${LAB_PIN:=}"             # CPU of the host for all vCPUs of all guests; empty: wherever the scheduler puts them
: "${LAB_GUEST_MEMORY:=256M}"
: "${LAB_HOST_MEMORY:=3G}"   # of the emulated host; taken as it is used
: "${LAB_HOST_CPUS:=2}"

LAB_GUESTS_MAX=4

# nth N LIST: prints its Nth word, or the last.
nth() {
    local words
    read -ra words <<<"$2"
    echo "${words[$(($1 <= ${#words[@]} ? $1 : ${#words[@]})) - 1]}"
}

# For the scripts in inside/, where the host under test is this machine.
export LAB_CACHE LAB_RUN

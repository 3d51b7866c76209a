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

: "${LAB_VCPUS:=1}"          # of each guest, 1 or 2
: "${LAB_PIN:=}"             # CPU of the host for all vCPUs of all guests; empty: wherever the scheduler puts them
: "${LAB_GUEST_MEMORY:=256M}"
: "${LAB_HOST_MEMORY:=3G}"   # of the emulated host; taken as it is used
: "${LAB_HOST_CPUS:=2}"

LAB_GUESTS_MAX=4
# Debian's kernel flavours. The emulated host needs 9p, which the cloud flavour lacks; guests boot faster with cloud.
LAB_HOST_FLAVOUR=amd64
LAB_GUEST_FLAVOUR=cloud-amd64

# For the scripts in inside/, where the host under test is this machine.
export LAB_CACHE LAB_RUN

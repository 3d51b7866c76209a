# shellcheck shell=bash
# Sourced by demo and lab/check: how Tandem's programs are built, brought into a lab and started. Every command line of
# theirs that those scripts use stands here, once.
#
# shellcheck disable=SC2154 # repository: the folder of Package.swift, set by who sources this

lab() { "$repository/Deploy/lab/lab" "$@"; }

# Sets `programs`, a folder with tandem and tandem-agent. The Swift runtime is linked in, so that the lab's host needs
# nothing but the C library. TANDEM_PROGRAMS names a folder to use as it is.
build_programs() {
    programs=${TANDEM_PROGRAMS:-}
    [ -z "$programs" ] || return 0
    need_swift
    step "building tandem (release)" build_product tandem
    step "building tandem-agent (release)" build_product tandem-agent
    programs=$(swift build --package-path "$repository" -c release --static-swift-stdlib --show-bin-path)
}

build_product() {
    swift build --package-path "$repository" -c release --static-swift-stdlib --product "$1"
}

# push_programs GUESTS: without their symbols, a third of what would have to be moved.
push_programs() {
    local n name folder
    folder=$(mktemp -d)
    for name in tandem tandem-agent; do
        strip -o "$folder/$name" "$programs/$name" 2>/dev/null || cp "$programs/$name" "$folder/$name"
    done
    lab push-host "$folder/tandem" bin/tandem
    for ((n = 1; n <= $1; n++)); do lab push-guest "$n" "$folder/tandem-agent" bin/tandem-agent; done
    rm -r "$folder"
}

# start_agents GUESTS ENDPOINT...
start_agents() {
    local n guests=$1
    shift
    for ((n = 1; n <= guests; n++)); do lab guest "$n" "tandem-agent $* >agent.log 2>&1 &"; done
}

# guest_options GUESTS vsock|tcp: prints the -A options for the agents at their default port.
guest_options() {
    local n guests=$1 transport=$2
    for ((n = 1; n <= guests; n++)); do
        case $transport in
        vsock) printf -- '-A g%d@%d ' "$n" $((n + 2)) ;;
        tcp) printf -- '-A g%d@tcp:10.77.0.%d ' "$n" $((n + 10)) ;;
        esac
    done
    # The lab's bridge is no network that others are on.
    [ "$transport" = vsock ] || printf -- '--insecure'
}

# In an emulated guest every wake-up of the agent costs milliseconds, and a guest that waits for its CPU answers late.
emulation_options() {
    [ "$(cat "$LAB_RUN/mode")" = direct ] || echo "--flush 100 --max-lag 2000"
}

# start_recording SECONDS OPTION...: returns when every source is live. Then: lab host recording VERB.
start_recording() {
    if ! lab host "recording start $* $(emulation_options)"; then
        show_logs
        fail "the recording did not start"
    fi
}

# For a failure: what the programs said last.
show_logs() {
    local n
    echo "--- tandem record" >&2
    lab host recording log >&2 || :
    for n in 1 2; do
        echo "--- tandem-agent in g$n" >&2
        lab guest "$n" 'tail -n 10 agent.log' >&2 || :
    done
}

# shellcheck shell=bash
# Sourced by demo and lab/fixtures: how Tandem's programs are started in a lab. Every command line of theirs that those
# scripts use stands here, once.
#
# shellcheck disable=SC2154 # repository: the folder of Package.swift, set by who sources this

lab() { "$repository/Deploy/lab/lab" "$@"; }

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

# start_recording SECONDS OPTION...: returns when every source is live. Then: lab host recording VERB.
start_recording() {
    if ! lab host "recording start $*"; then
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

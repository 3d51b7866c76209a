#!/usr/bin/env python3
"""judge.py busy|idle BEFORE AFTER - is what Tandem says between two snapshots what the lab did?
judge.py analyzed|now|lag SNAPSHOT - how far the analysis has come, what time it was, and the difference in nanoseconds

The snapshots are what `tandem top --once --format json` prints (Sources/TraceModel/Snapshot.swift). Their numbers are
totals, so the time between them is their difference.

  busy  every vCPU computed, two on one CPU: each is ready for 40 to 60 % of the time (half, and the emulation's
        unrest), and the guest named most is the other one
  idle  nothing ran: halted for at least 80 %, preempted for less than 5 %

Prints a line per vCPU; exits with 1 when one is not as it should be.
"""
import json
import sys

READY = ("preempted", "waking")


def read(path):
    with open(path) as file:
        return json.load(file)


def vcpus(path):
    """{(guest, vcpu): vCPU} of a snapshot, machines of the lab only."""
    return {
        (guest["name"], vcpu["vcpu"]): vcpu
        for guest in read(path)["guests"] if guest["name"] in ("g1", "g2")
        for vcpu in guest["vcpus"]
    }


def shares(before, after):
    """Share of each state of the time between the snapshots."""
    spent = {state: after["time_ns"][state] - before["time_ns"].get(state, 0) for state in after["time_ns"]}
    total = sum(spent.values())
    return {state: time / total for state, time in spent.items()} if total > 0 else {}


def main_culprit(before, after):
    """The machine, or else the task, that took most of the time between the snapshots."""
    def times(vcpu):
        result = {}
        for culprit in vcpu["culprits"]:
            name = culprit.get("guest") or culprit["name"]
            result[name] = result.get(name, 0) + culprit["time_ns"]
        return result

    earlier, later = times(before), times(after)
    return max(later, key=lambda name: later[name] - earlier.get(name, 0), default="nobody")


def faults(kind, guest, share, culprit):
    """What is not as it should be, as sentences."""
    ready = sum(share.get(state, 0) for state in READY)
    if not share:
        yield "no time has passed for it"
    elif kind == "busy":
        other = "g2" if guest == "g1" else "g1"
        if not 0.4 <= ready <= 0.6:
            yield f"ready for {ready:.0%} of the time instead of 40 to 60 %"
        if culprit != other:
            yield f"names {culprit} instead of {other}"
    else:
        if share.get("halted", 0) < 0.8:
            yield f"halted for {share.get('halted', 0):.0%} instead of 80 % or more"
        if share.get("preempted", 0) >= 0.05:
            yield f"preempted for {share['preempted']:.0%} instead of less than 5 %"


def time(what, path):
    """On the host's trace clock."""
    snapshot = read(path)
    end, lag = snapshot["window"]["end_ns"], snapshot["health"]["lag_ns"]
    return {"analyzed": end, "now": end + lag, "lag": lag}[what]


def judge(kind, before_path, after_path):
    before, after = vcpus(before_path), vcpus(after_path)
    failed = False
    for guest in ("g1", "g2"):
        if not any(name == guest for name, _ in after):
            print(f"{kind}: {guest} is not there: FAULT")
            failed = True
    for (guest, number), now in sorted(after.items()):
        then = before.get((guest, number), {"time_ns": {}, "culprits": []})
        share, culprit = shares(then, now), main_culprit(then, now)
        text = ", ".join(f"{state} {part:.1%}" for state, part in sorted(share.items()) if part >= 0.0005)
        found = list(faults(kind, guest, share, culprit))
        failed = failed or bool(found)
        print(f"{kind}: {guest} vCPU {number}: {text}; mostly waited for {culprit}: "
              + ("; ".join(found) + ": FAULT" if found else "ok"))
    sys.exit(1 if failed else 0)


if len(sys.argv) == 4 and sys.argv[1] in ("busy", "idle"):
    judge(*sys.argv[1:])
elif len(sys.argv) == 3 and sys.argv[1] in ("analyzed", "now", "lag"):
    print(time(*sys.argv[1:]))
else:
    sys.exit(__doc__)

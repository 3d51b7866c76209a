import TraceModel

/// The figures of one vCPU as they are at one instant: its totals and the open interval.
extension VCPU {
    func openTime(until now: Int64) -> Int64 { phase == .live ? max(0, now - since) : 0 }

    func times(until now: Int64) -> StateTimes {
        var result = StateTimes()
        for state in VCPUState.allCases { result[state] = times[Int(state.rawValue)] }
        result[state] += openTime(until: now)
        return result
    }

    func exits(until now: Int64) -> ExitTable {
        var table = exits
        switch state {
        case .hypervisor, .userspace, .polling: table.add(openTime(until: now), to: currentExit)
        case .running, .preempted, .waking, .halted, .blocked, .onCPU, .unknown: break
        }
        return table
    }

    func culprits(until now: Int64, occupant: Occupant) -> CulpritTable {
        guard state.isReady, now > settled else { return culprits }
        var table = culprits
        table.add(now - settled, of: occupant, interval: readyInterval)
        return table
    }

    func worstPreemption(until now: Int64) -> (length: Int64, start: Int64) {
        let open = openTime(until: now)
        return state == .preempted && open > worstPreemption ? (open, since) : (worstPreemption, worstPreemptionAt)
    }

    /// Runnable without a CPU, the open interval included.
    func readyTime(until now: Int64) -> Int64 {
        times[Int(VCPUState.preempted.rawValue)] + times[Int(VCPUState.waking.rawValue)]
            + (state.isReady ? openTime(until: now) : 0)
    }

    /// What the present guest task got so far.
    func presentTask(until now: Int64) -> Overlay? {
        guard followsTasks else { return nil }
        return phase == .live ? overlay.closed(in: state, at: now, exit: exits.exit(of: currentExit)) : overlay
    }
}

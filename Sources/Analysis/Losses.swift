import TraceModel

/// What is not known any more when events of a host CPU are missing.
extension Analyzer {
    /// Events of `cpu` were lost after the last one it gave, at t₀.
    ///
    /// The missing events can have been anything that happens on that CPU: a switch to or from any thread that is not on
    /// another CPU, the wake-up of any sleeper (it is recorded where the waker runs), the migration of any waiting thread.
    /// So every vCPU that is not known to be on another CPU becomes unknown from t₀ on, and stays so until an event of
    /// its own tells again. The same holds for the CPU's current thread. Intervals that other CPUs' events have closed since
    /// t₀ stay as they are booked; but who had this CPU then, nobody knows, and the blame for having waited for it meanwhile
    /// is taken back from whom it was given to.
    ///
    /// A gap at the end of a batch is open: what other CPUs tell until the next event of this one falls inside of it,
    /// and is doubted once more when that event comes (`endLoss`).
    ///
    /// Without `sched_switch` a position is only a guess, except in guest mode: then the exit is recorded right there.
    mutating func lose(cpu: Int, isOpen: Bool) {
        let time = cpus[cpu].lastEvent
        for slot in vcpus.indices where vcpus[slot].phase == .live {
            let position = vcpus[slot].cpu
            let isCertain = host.knowledge.scheduling || vcpus[slot].state == .running
            if position != VCPU.nowhere, position != Int32(cpu), isCertain { continue }
            stopWaiting(slot, at: time)
            vcpus[slot].lost(at: time)
        }
        let believed = cpus[cpu].occupant.culprit
        for doubt in cpus[cpu].takeDoubts() where vcpus[Int(doubt.slot)].serial == doubt.serial {
            vcpus[Int(doubt.slot)].takeBack(doubt.nanoseconds, from: believed)
        }
        cpus[cpu].lost(isOpen: isOpen)
    }

    /// The CPU has an event again.
    mutating func endLoss(cpu: Int) {
        if cpus[cpu].isInGap { lose(cpu: cpu, isOpen: false) }
    }
}

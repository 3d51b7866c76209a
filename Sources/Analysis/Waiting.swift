import TraceModel

/// Ready vCPUs wait for a host CPU, and the time they wait is shared out over the threads that have that CPU meanwhile.
///
/// Every CPU knows who waits for it. Each switch of that CPU closes one slice per waiting vCPU, with the thread that
/// leaves as the culprit; the end of the wait closes the last. Slices follow one another without a gap, so that the
/// culprits' times add up to the ready time exactly.
extension Analyzer {
    mutating func startWaiting(_ slot: Int, for cpu: Int32) {
        guard cpu != VCPU.nowhere, see(cpu: Int(cpu)) else { return }
        vcpus[slot].waitCPU = cpu
        vcpus[slot].waitPosition = cpus[Int(cpu)].waiting.count
        cpus[Int(cpu)].waiting.append(Int32(slot))
    }

    /// Closes the last slice at `time`; the state is the caller's matter. No-op for a vCPU that is not ready.
    mutating func stopWaiting(_ slot: Int, at time: Int64) {
        guard vcpus[slot].state.isReady else { return }
        let cpu = Int(vcpus[slot].waitCPU)
        let before = vcpus[slot].settled
        vcpus[slot].shared(until: time, with: cpu < 0 ? .unknown : cpus[cpu].occupant.culprit)
        guard cpu >= 0 else { return }
        cpus[cpu].doubt(Int32(slot), serial: vcpus[slot].serial, from: before, until: time)
        let position = vcpus[slot].waitPosition
        let last = cpus[cpu].waiting.removeLast()
        if Int(last) != slot {
            cpus[cpu].waiting[position] = last
            vcpus[Int(last)].waitPosition = position
        }
        vcpus[slot].waitCPU = VCPU.nowhere
    }

    /// The load balancer or a wake-up put the waiting thread on another CPU's queue.
    mutating func moveWait(_ slot: Int, to cpu: Int32, at time: Int64) {
        guard vcpus[slot].waitCPU != cpu else { return }
        stopWaiting(slot, at: time)
        startWaiting(slot, for: cpu)
    }

    /// The thread on `cpu` leaves: it had the CPU for which the others waited.
    mutating func shareOut(_ cpu: Int, until time: Int64) {
        for index in cpus[cpu].waiting.indices {
            vcpus[Int(cpus[cpu].waiting[index])].shared(until: time, with: cpus[cpu].occupant.culprit)
        }
    }

    /// Who has the CPU for which a vCPU waits.
    func culprit(ofQueue waitCPU: Int32) -> Occupant {
        waitCPU == VCPU.nowhere ? .unknown : cpus[Int(waitCPU)].occupant.culprit
    }
}

import TraceModel

/// The host's events that tell more of a halt than the exit that began it.
extension Analyzer {
    /// Where the scheduler's events show when a halt ends, this one has nothing to add.
    mutating func haltEnded(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let waited = host.wakeupWaited?.value(in: records, of: header) else { return false }
        guard !host.knowledge.scheduling, let slot = vcpu(header, kvmID: nil, on: cpu, at: time) else { return true }
        vcpus[slot].haltEnded(waited: waited != 0, on: Int32(cpu), at: time)
        return true
    }

    /// L2's exit goes to L1: the vCPU enters L1 next, whatever the exit was.
    ///
    /// KVM writes `kvm_exit` for the guest of its guest as for its guest. Where the hypervisor inside wants to see HLT, the
    /// vCPU does not halt; where it does not, KVM halts the vCPU for L2, and whatever is injected later ended that.
    mutating func nestedExitInjected(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let fields = host.nestedExit, let reason = fields.reason.value(in: records, of: header) else {
            return false
        }
        guard let slot = vcpu(header, kvmID: nil, on: cpu, at: time), vcpus[slot].knowsGuestMode else { return true }
        let isa = fields.isa?.value(in: records, of: header) ?? Int64(ExitCode.ISA.none.rawValue)
        let exit = ExitCode(exitReason: UInt32(truncatingIfNeeded: reason), isa: UInt64(bitPattern: isa))
        if exit.isHalt {
            vcpus[slot].haltRefused(on: Int32(cpu), at: time)
        } else {
            vcpus[slot].haltInterrupted(on: Int32(cpu), at: time)
        }
        return true
    }

    /// arm64: which of WFI and WFE, that share an exception class, was trapped.
    mutating func waitTrapped(
        _ header: EventHeader, _ records: borrowing RawSpan, _ cpu: Int, _ time: Int64
    ) -> Bool {
        guard let isWFE = host.waitIsWFE?.value(in: records, of: header) else { return false }
        guard isWFE != 0, let slot = vcpu(header, kvmID: nil, on: cpu, at: time), vcpus[slot].knowsGuestMode else {
            return true
        }
        vcpus[slot].haltRefused(on: Int32(cpu), at: time)
        return true
    }
}

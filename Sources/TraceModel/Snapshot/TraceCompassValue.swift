/// A vCPU's state in the numbers of Trace Compass's virtual machine analysis, for those who compare.
///
/// Its base value is what the guest's scheduler said last: 0 nothing yet, 1 the idle task, 2 another task. Two flags lie
/// over it: 128 from `kvm_exit` to `kvm_entry` (VMM), 256 while the thread is off its host CPU (PREEMPT), for whatever
/// reason: Trace Compass does not tell a sleep from a preemption.
extension Snapshot.VCPU {
    package var traceCompassValue: Int {
        let base = guestTID.map { $0 == 0 ? 1 : 2 } ?? 0
        let isOffCPU =
            switch state.state {
            case .preempted, .waking, .halted, .blocked: true
            case .running, .hypervisor, .userspace, .polling, .onCPU, .unknown: false
            }
        return base + (exitReason == nil ? 0 : 128) + (isOffCPU ? 256 : 0)
    }
}

/// One stretch of time that one vCPU spent in one state, of a list of them (`Analyzer.listIntervals`).
///
/// Culprits follow each other within one ready interval; each has an interval of its own here. The intervals of a vCPU
/// follow each other without gap or overlap, and their lengths add up to its state times.
package struct StateInterval: Codable, Hashable, Sendable {
    /// Name of the virtual machine.
    package var guest: String
    package var vcpu: Int?
    package var hostTID: Int32?
    package var state: Snapshot.VCPUStateLabel
    /// On the host's trace clock.
    package var startNanoseconds: Int64
    /// The time analyzed so far when the state lasts.
    package var endNanoseconds: Int64
    /// The exit reason in hypervisor, userspace, polling, halted and blocked; the culprit when ready; why, when unknown.
    package var detail: String?
    /// Host CPU on which it was, or waited.
    package var hostCPU: Int?
    /// The guest task current on it when the stretch began, by the guest's own events: the one that was robbed, when the
    /// vCPU did not run.
    package var guestTask: String?
    package var guestTID: Int32?

    package init(
        guest: String, vcpu: Int?, hostTID: Int32?, state: VCPUState, startNanoseconds: Int64, endNanoseconds: Int64,
        detail: String? = nil, hostCPU: Int? = nil, guestTask: String? = nil, guestTID: Int32? = nil
    ) {
        self.guest = guest
        self.vcpu = vcpu
        self.hostTID = hostTID
        self.state = Snapshot.VCPUStateLabel(state)
        self.startNanoseconds = startNanoseconds
        self.endNanoseconds = endNanoseconds
        self.detail = detail
        self.hostCPU = hostCPU
        self.guestTask = guestTask
        self.guestTID = guestTID
    }

    enum CodingKeys: String, CodingKey {
        case guest, vcpu, state, detail
        case hostTID = "host_tid"
        case startNanoseconds = "start_ns"
        case endNanoseconds = "end_ns"
        case hostCPU = "host_cpu"
        case guestTask = "guest_task"
        case guestTID = "guest_tid"
    }
}

package import Capture
package import TraceModel
package import Transport
package import Wire

/// What a live session traces.
package struct SessionOptions: Sendable {
    package struct Guest: Sendable {
        package var name: String
        package var endpoint: Endpoint
        package var clock: TraceClock?
        package var bufferKiB: Int?
        package var events: [SessionRequest.Event] = []
        /// The VMM process, when the user says it; otherwise it is found out.
        package var vmmPID: Int32?

        package init(name: String, endpoint: Endpoint) {
            self.name = name
            self.endpoint = endpoint
        }
    }

    /// An LTTng session that is followed instead of a tracer of ours, `net://HOST/host/TARGET/SESSION`.
    package struct LTTngGuest: Hashable, Sendable {
        package var name: String
        package var url: String

        package init(name: String, url: String) {
            self.name = name
            self.url = url
        }
    }

    /// The host's LTTng session; nil to trace this host.
    package var lttngHost: String?
    package var lttngGuests: [LTTngGuest] = []
    /// Nil: whichever gives the best map of the guests' clocks.
    package var hostClock: TraceClock?
    /// What another process has read of KVM's clock settings; nil to read them here.
    package var kvmClock: [KVMClockReading]?
    package var hostBufferKiB = SessionOptions.defaultBufferKiB
    package var hostEvents: [SessionRequest.Event] = []
    package var guests: [Guest] = []
    package var flushMilliseconds = 20
    package var maximumLagNanoseconds = Limits.mergeLagNanoseconds
    package var isInsecure = false
    /// How long guests are waited for at the end: while they are silent, and in all.
    package var drainSilenceMilliseconds = Limits.drainSilenceMilliseconds
    package var drainMilliseconds = Limits.drainMilliseconds

    package init() {}

    /// Per CPU: at 1 M events/s of 59 bytes on one CPU, 70 ms of events.
    package static let defaultBufferKiB = 4096

    /// What the analyzer needs of the host. Optional ones are left out when this kernel does not have them.
    package static let defaultHostEvents: [(pattern: String, isOptional: Bool)] = [
        ("sched:sched_switch", false), ("sched:sched_waking", false), ("sched:sched_wakeup", true),
        ("sched:sched_migrate_task", true),
        ("sched:sched_process_exit", true), ("kvm:kvm_entry", true), ("kvm:kvm_exit", true),
        ("kvm:kvm_userspace_exit", true), ("kvm:kvm_vcpu_wakeup", true), ("kvm:kvm_write_tsc_offset", true),
        ("kvm:kvm_halt_poll_ns", true), ("kvm:kvm_apic_accept_irq", true), ("kvm:kvm_apicv_accept_irq", true),
        ("kvm:kvm_nested_vmexit_inject", true), ("kvm:kvm_wfx_arm64", true), ("kvm:kvm_update_master_clock", true),
    ]

    package static let defaultGuestEvents = [
        SessionRequest.Event(pattern: "sched"), SessionRequest.Event(pattern: "irq"),
    ]
}

/// Why a session cannot begin: nothing has been recorded.
package struct SessionError: Error, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

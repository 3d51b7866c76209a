/// The state of everything at one instant, as values: what every view renders, and exactly what `--format json` prints.
///
/// All counters and times are totals since the start of the window; rates are differences of two snapshots. Field names
/// are stable: they may be added to, never renamed. `schema` changes only when a reader would have to.
package struct Snapshot: Codable, Hashable, Sendable {
    package var schema = 1
    package var window: Window
    package var health: Health
    package var sources: [Source]
    package var host: Host
    package var guests: [Guest]

    package init(
        window: Window, health: Health = Health(), sources: [Source] = [], host: Host = Host(), guests: [Guest] = []
    ) {
        self.window = window
        self.health = health
        self.sources = sources
        self.host = host
        self.guests = guests
    }

    /// The analyzed stretch of host trace-clock time.
    package struct Window: Codable, Hashable, Sendable {
        package var startNanoseconds: Int64
        package var endNanoseconds: Int64

        package init(startNanoseconds: Int64, endNanoseconds: Int64) {
            self.startNanoseconds = startNanoseconds
            self.endNanoseconds = endNanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case startNanoseconds = "start_ns"
            case endNanoseconds = "end_ns"
        }
    }

    /// What may not scroll away.
    package struct Health: Codable, Hashable, Sendable {
        /// How far the analyzed time lies behind the host's trace clock.
        package var lagNanoseconds: Int64 = 0
        package var eventsLost: UInt64 = 0
        /// Losses whose size the kernel did not tell: then `eventsLost` is a lower bound.
        package var lossesOfUnknownSize: UInt64 = 0
        package var anomalies: [AnomalyCount] = []
        /// Plain sentences on what this session cannot know and why ("no kvm events: …").
        package var limits: [String] = []
        /// What the layers say about each other; every check that is at work, violated or not.
        package var checks: [Check] = []

        package init() {}

        enum CodingKeys: String, CodingKey {
            case lagNanoseconds = "lag_ns"
            case eventsLost = "events_lost"
            case lossesOfUnknownSize = "losses_of_unknown_size"
            case anomalies, limits, checks
        }
    }

    package struct AnomalyCount: Codable, Hashable, Sendable {
        package var name: String
        package var count: UInt64

        package init(name: String, count: UInt64) {
            self.name = name
            self.count = count
        }
    }

    /// A rule that events of two layers, or of successive times, must keep; it is checked on every event.
    package struct Check: Codable, Hashable, Sendable {
        package enum Name: String, Codable, Hashable, Sendable, CaseIterable {
            /// `kvm_entry` and `kvm_exit` of one thread alternate.
            case entryExitAlternation = "entry_exit_alternation"
            /// A host CPU switches from the task that it switched to before.
            case hostSwitchChain = "host_switch_chain"
            /// So does each CPU of a guest.
            case guestSwitchChain = "guest_switch_chain"
            /// A guest writes events only while its vCPU is in guest mode.
            case guestEventContainment = "guest_event_containment"
            /// A vCPU that halts has its idle task current; excused when a paravirtual spinlock's kick ended the halt.
            case runningWhileHalted = "running_while_halted"
            /// What a guest does comes before the exit by which its host sees it: `CausalPair`.
            case causeBeforeEffect = "cause_before_effect"
        }

        package var name: Name
        package var checked: UInt64
        package var violations: UInt64
        /// Would be violations, were there not a known harmless cause.
        package var excused: UInt64

        package init(name: Name, checked: UInt64, violations: UInt64, excused: UInt64 = 0) {
            self.name = name
            self.checked = checked
            self.violations = violations
            self.excused = excused
        }
    }
}

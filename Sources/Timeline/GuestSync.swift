package import TraceModel

/// A guest's clock on the host's, from what their traces prove about each other.
///
/// The first event of a vCPU after `kvm_entry` came after it, the last one before `kvm_exit` came before that: opposite
/// messages, as exact as the time between (a *zero-probe*: nothing was added to either machine; `EventFollower`). The vmsync modules'
/// hypercalls are such messages too, and so are TCP segments. All of them go into the Timeline's clock map as any probe
/// does, and what comes out is its map made afterwards: each instant bounded from both sides.
package enum GuestSync {
    /// Proved of one stretch of the guest: not before, not after.
    package struct Message: Sendable {
        package let entry: UInt64
        package let first: UInt64
        package let last: UInt64
        package let exit: UInt64

        package init(entry: UInt64, first: UInt64, last: UInt64, exit: UInt64) {
            self.entry = entry
            self.first = first
            self.last = last
            self.exit = exit
        }

        package var probe: ClockProbe {
            ClockProbe(
                hostSent: HostTime(nanoseconds: Int64(clamping: entry)), guestReceived: TraceTicks(first),
                guestSent: TraceTicks(last), hostReceived: HostTime(nanoseconds: Int64(clamping: exit)))
        }
    }

    /// What is proved of a guest's clock.
    package struct Evidence: Sendable {
        package var messages: [Message] = []
        /// Stretches of the guest's time in which its events could not be followed: its clock was set anew, or entries and exits
        /// are missing.
        package var lost: [ClosedRange<UInt64>] = []

        package init(messages: [Message] = []) { self.messages = messages }

        package static func + (first: Evidence, second: Evidence) -> Evidence {
            var sum = first
            sum.messages += second.messages
            sum.lost += second.lost
            return sum
        }
    }

    /// What the windows of guest mode prove of one CPU's events, whose times ascend.
    package static func evidence(
        _ match: ThreadMatch, _ times: [UInt64], _ thread: ClockSurvey.VCPUThread
    ) -> Evidence {
        FollowedClock.evidence(match, times, thread)
    }

    /// Nil when the messages do not bound the clock from both sides.
    package static func clock(
        _ evidence: Evidence, of clock: TraceClock = .mono, tolerance: ClockTolerance? = nil, method: String
    ) -> GivenClock? {
        var map = ClockMap(clock: clock, tolerance: tolerance)
        map.keepJournal()
        for message in evidence.messages.sorted(by: { $0.first < $1.first }) {
            // What contradicts the others begins a new epoch there, as in any session.
            _ = map.add(message.probe)
        }
        guard var given = map.resynced else { return nil }
        given.method = method
        for range in evidence.lost { given.lose(range, of: clock) }
        return given
    }
}

extension GivenClock {
    /// Nothing is known of the clock in this stretch.
    fileprivate mutating func lose(_ range: ClosedRange<UInt64>, of clock: TraceClock) {
        guard let line = GivenLine(self, tolerance: .standard(for: clock)) else { return }
        let ends = range.lowerBound < range.upperBound ? [range.lowerBound, range.upperBound] : [range.lowerBound]
        knots.removeAll { range.contains($0.ticks.rawValue) }
        let place = knots.partitionPoint { $0.ticks.rawValue < range.lowerBound }
        let unknown = ends.map { ticks in
            Knot(
                ticks: TraceTicks(ticks), host: line.hostTime(TraceTicks(ticks)).time,
                boundNanoseconds: Knot.unknownBoundNanoseconds)
        }
        knots.insert(contentsOf: unknown, at: place)
    }
}

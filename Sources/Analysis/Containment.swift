/// Finds the events of one vCPU that lie outside of guest mode by more than the clock's error allows.
///
/// A guest can write an event only while its vCPU is in guest mode, so every other one proves that its time was mapped
/// wrongly. The true time lies within ± the bound: an event shortly after an exit may belong before it, and one shortly
/// before an entry may belong after it. The second kind waits here until an entry comes in time, or cannot any more.
/// Events that wait together are judged by the first of them.
///
/// What is proved counts from the next entry on: when host events turn out to be missing, it may have been an entry, and
/// nothing was proved.
struct Containment: Sendable, Codable {
    private var leftAt = Int64.min
    private var waiting: UInt64 = 0
    private var waitingSince: Int64 = 0
    private var waitingBound: Int64 = 0
    private var proved: UInt64 = 0

    /// The vCPU left guest mode.
    mutating func leftGuest(at time: Int64) { leftAt = time }

    /// The vCPU entered guest mode: events that wait, and could belong after this, are excused.
    mutating func entered(at time: Int64) {
        judge(at: time)
        waiting = 0
    }

    /// How many were proved to lie outside since the last time this was asked.
    mutating func takeProved() -> UInt64 {
        defer { proved = 0 }
        return proved
    }

    /// An event outside of guest mode.
    mutating func outside(at time: Int64, boundNanoseconds: Int64) {
        judge(at: time)
        if leftAt == .min || time &- leftAt > boundNanoseconds {
            if waiting == 0 {
                waitingSince = time
                waitingBound = boundNanoseconds
            }
            waiting &+= 1
        }
    }

    /// An event inside of guest mode.
    mutating func inside(at time: Int64) { judge(at: time) }

    /// Host events are missing, and nobody knows when the vCPU entered.
    mutating func forget() {
        waiting = 0
        proved = 0
        leftAt = .min
    }

    private mutating func judge(at time: Int64) {
        guard waiting > 0, time &- waitingSince > waitingBound else { return }
        proved &+= waiting
        waiting = 0
    }

}

import TraceModel

/// How often each rule between the layers was looked at, broken, and broken with an excuse.
struct Checks: Sendable, Codable {
    typealias Name = Snapshot.Check.Name

    private var checked: [6 of UInt64] = .init(repeating: 0)
    private var violations: [6 of UInt64] = .init(repeating: 0)
    private var excused: [6 of UInt64] = .init(repeating: 0)

    mutating func passed(_ name: Name) { checked[name.place] &+= 1 }

    mutating func violated(_ name: Name, _ count: UInt64 = 1) { violations[name.place] &+= count }

    mutating func excused(_ name: Name) { excused[name.place] &+= 1 }

    /// Those that were at work.
    var rows: [Snapshot.Check] {
        Name.allCases.filter { checked[$0.place] > 0 }.map {
            Snapshot.Check(
                name: $0, checked: checked[$0.place], violations: violations[$0.place], excused: excused[$0.place])
        }
    }
}

extension Snapshot.Check.Name {
    fileprivate var place: Int {
        switch self {
        case .entryExitAlternation: 0
        case .hostSwitchChain: 1
        case .guestSwitchChain: 2
        case .guestEventContainment: 3
        case .runningWhileHalted: 4
        case .causeBeforeEffect: 5
        }
    }
}

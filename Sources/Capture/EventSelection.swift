/// An event of a kernel by its two names.
package struct EventName: Hashable, Sendable, CustomStringConvertible {
    package var system: String
    package var name: String

    package init(system: String, name: String) {
        self.system = system
        self.name = name
    }

    package var description: String { "\(system):\(name)" }

    /// The lines of `available_events`; one that is no `system:name` is passed over.
    package static func list(parsing text: String) -> [EventName] {
        text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return parts.count == 2 ? EventName(system: String(parts[0]), name: String(parts[1])) : nil
        }
    }
}

/// Which events somebody asks for, in trace-cmd's words, and how they are found among those that a kernel has.
///
/// `sched` is every event of that system and every event of that name in any system; `sched:sched_switch` or
/// `sched/sched_switch` is one; both halves may hold `*`, `?` and `[a-z]`; `all` is everything (trace-cmd-record(1),
/// `-e`). Resolving is pure, so that a request is refused as a whole, with everything that is wrong with it, before
/// anything is enabled.
package struct EventPattern: Hashable, Sendable {
    package var text: String
    /// An expression over the event's fields, as its `filter` file takes it; nil or empty: every occurrence.
    package var filter: String?

    package init(_ text: String, filter: String? = nil) {
        self.text = text
        self.filter = filter
    }
}

/// One event to enable.
package struct SelectedEvent: Hashable, Sendable {
    package var event: EventName
    package var filter: String?

    package init(_ event: EventName, filter: String? = nil) {
        self.event = event
        self.filter = filter
    }
}

/// Patterns that match nothing, each with names that it may have meant.
package struct EventSelectionError: Error, Hashable, Sendable, CustomStringConvertible {
    package struct Miss: Hashable, Sendable {
        package var pattern: String
        package var similar: [String]

        package init(pattern: String, similar: [String]) {
            self.pattern = pattern
            self.similar = similar
        }
    }

    package var misses: [Miss]

    package init(misses: [Miss]) { self.misses = misses }

    package var description: String {
        misses.map { miss in
            let start = "no event '\(miss.pattern)'"
            return miss.similar.isEmpty ? start : "\(start); similar: \(miss.similar.joined(separator: ", "))"
        }.joined(separator: "\n")
    }
}

package enum EventSelection {
    /// The events that `patterns` select, each once, in the order of `available`. Where several patterns select one
    /// event, the last of them decides about its filter, so that a later pattern refines an earlier, wider one.
    package static func resolve(
        _ patterns: [EventPattern], available: [EventName]
    ) throws(EventSelectionError) -> [SelectedEvent] {
        var filters = [String??](repeating: nil, count: available.count)
        var misses: [EventSelectionError.Miss] = []
        for pattern in patterns {
            let matcher = Matcher(pattern.text)
            let filter = pattern.filter.flatMap { $0.isEmpty ? nil : $0 }
            var isMissed = true
            for (index, event) in available.enumerated() where matcher.matches(event) {
                filters[index] = .some(filter)
                isMissed = false
            }
            if isMissed {
                misses.append(.init(pattern: pattern.text, similar: similar(to: pattern.text, in: available)))
            }
        }
        if !misses.isEmpty { throw EventSelectionError(misses: misses) }
        return zip(available, filters).compactMap { event, filter in filter.map { SelectedEvent(event, filter: $0) } }
    }

    /// A pattern taken apart once.
    private struct Matcher {
        let system: Glob
        let name: Glob
        /// One word stands for a system or an event.
        let isEither: Bool

        init(_ text: String) {
            let parts = text.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 == ":" || $0 == "/" }
            isEither = parts.count == 1 && text != "all"
            system = Glob(parts.count == 1 && text == "all" ? "*" : String(parts[0]))
            name = Glob(parts.count == 2 ? String(parts[1]) : isEither ? text : "*")
        }

        func matches(_ event: EventName) -> Bool {
            let isSystem = system.matches(event.system)
            return isEither ? isSystem || name.matches(event.name) : isSystem && name.matches(event.name)
        }
    }

    private static let mostSimilar = 3

    /// The nearest names by edit distance, at most a quarter of the letters away: whole names for `a:b`, otherwise systems
    /// and bare event names too. An exact name in another system comes first, being the likeliest of all mistakes.
    private static func similar(to text: String, in available: [EventName]) -> [String] {
        let pattern = text.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ":") : $0 }
        // What is longer than any name is a mistake of another kind, and the distance takes time by its length.
        guard pattern.count <= 128 else { return [] }
        let isWhole = pattern.contains(UInt8(ascii: ":"))
        let bareName = Array(pattern.drop { $0 != UInt8(ascii: ":") }.dropFirst())
        var found: [(distance: Int, name: String)] = []
        var systems: Set<String> = []
        for event in available {
            let name = Array(event.name.utf8)
            if isWhole {
                let distance = name == bareName ? 0 : EditDistance.between(pattern, Array(event.description.utf8))
                found.append((distance, event.description))
            } else {
                found.append((EditDistance.between(pattern, name), event.description))
                if systems.insert(event.system).inserted {
                    found.append((EditDistance.between(pattern, Array(event.system.utf8)), event.system))
                }
            }
        }
        let near = found.filter { $0.distance <= max(1, pattern.count / 4) }
        return near.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(mostSimilar).map(\.name)
    }
}

import TraceModel

/// What a guest sent and the pipeline has not placed yet.
///
/// A guest's event is placed when the host's own events up to its time are known, not before: only then is it certain
/// with which TSC offset it was stamped, and its vCPU's entries and exits have had their say in the map. The merge
/// waits for the host in any case, so that this delays nothing: of a batch that reaches beyond the host's watermark, the
/// events before it go at once.
///
/// Nor before the host has told all that it did until they arrived: the placed time is only as good as the clock that gave
/// it, and by one that has been set back meanwhile an event of the future looks like one of the past. The second
/// watermark of the host behind an arrival was taken after it, as its tracer takes one after the other.
struct GuestIntake: Codable {
    enum Item: Codable {
        case batch(EventBatch, Arrival)
        case watermark(TraceTicks, Arrival)
    }

    struct Arrival: Equatable, Codable {
        /// The host's present then, as far as it was known.
        var time: HostTime
        /// How many watermarks the host had given.
        var round: Int

        func isSettled(in round: Int) -> Bool { round >= self.round + 2 }
    }

    private var items: [Item] = []
    private var probes: [ClockProbe] = []
    private var heldEvents = 0
    /// Of one source; its share of what the merge may hold.
    private static let mostEvents = Limits.mergeEvents / 4

    mutating func hold(_ batch: EventBatch, _ arrival: Arrival) {
        heldEvents += batch.headers.count
        items.append(.batch(batch, arrival))
    }

    /// A later promise says all that the one before it did, once it counts.
    mutating func hold(_ watermark: TraceTicks, _ arrival: Arrival) {
        if case .watermark(_, let last) = items.last, last.round == arrival.round { items.removeLast() }
        items.append(.watermark(watermark, arrival))
    }

    /// A probe waits as events do: whether the clock was changed before it, only the host's events tell.
    mutating func hold(_ probe: ClockProbe) { probes.append(probe) }

    mutating func takeProbes(receivedBefore limit: HostTime) -> [ClockProbe] {
        let ready = probes.filter { $0.hostReceived <= limit }
        probes.removeAll { $0.hostReceived <= limit }
        return ready
    }

    var isEmpty: Bool { items.isEmpty && probes.isEmpty }
    var isOverfull: Bool { heldEvents > Self.mostEvents }

    /// Takes everything out; what must wait on is held again, in the same order.
    mutating func takeAll() -> [Item] {
        defer {
            items = []
            heldEvents = 0
        }
        return items
    }
}

extension EventBatch {
    /// Events `range`, and the losses between them. The records are shared, not copied.
    func part(_ range: Range<Int>) -> EventBatch {
        guard range != headers.indices else { return self }
        var part = EventBatch(cpu: cpu)
        part.headers = Array(headers[range])
        part.records = records
        let isLast = range.upperBound == headers.count
        part.losses = losses.compactMap { loss in
            guard loss.index >= range.lowerBound, loss.index < range.upperBound || isLast else { return nil }
            return LossMark(index: loss.index - range.lowerBound, place: loss.place, count: loss.count)
        }
        return part
    }
}

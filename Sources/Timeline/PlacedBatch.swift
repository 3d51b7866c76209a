/// A batch on the one time line of the host, and how it gets there.
package import TraceModel

package struct PlacedBatch: Sendable, Codable {
    package let source: SourceID
    package var batch: EventBatch
    /// One per event, never decreasing, also across the batches of one CPU in one epoch.
    package var times: [HostTime]
    /// No event's true time is farther from its placed one.
    package var boundNanoseconds: Int64
    /// `ClockMap.epoch` at the placing. The first batch of a new epoch may lie before the last one of the old.
    package var epoch: Int

    package init(source: SourceID, batch: EventBatch, times: [HostTime], boundNanoseconds: Int64, epoch: Int) {
        precondition(times.count == batch.headers.count, "one time per event")
        self.source = source
        self.batch = batch
        self.times = times
        self.boundNanoseconds = boundNanoseconds
        self.epoch = epoch
    }

    private enum Key: CodingKey { case source, batch, times, boundNanoseconds, epoch }

    /// Times as plain numbers: thousands wait for the merge when a checkpoint is made.
    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Key.self)
        try fields.encode(source, forKey: .source)
        try fields.encode(batch, forKey: .batch)
        try fields.encode(times.map(\.nanoseconds), forKey: .times)
        try fields.encode(boundNanoseconds, forKey: .boundNanoseconds)
        try fields.encode(epoch, forKey: .epoch)
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Key.self)
        source = try fields.decode(SourceID.self, forKey: .source)
        batch = try fields.decode(EventBatch.self, forKey: .batch)
        times = try fields.decode([Int64].self, forKey: .times).map { HostTime(nanoseconds: $0) }
        boundNanoseconds = try fields.decode(Int64.self, forKey: .boundNanoseconds)
        epoch = try fields.decode(Int.self, forKey: .epoch)
        guard times.count == batch.headers.count else {
            throw DecodingError.dataCorruptedError(
                forKey: .times, in: fields, debugDescription: "a placed batch has another number of times than events")
        }
    }
}

extension ClockMap {
    /// Gives every event of a batch its host time; nil when the clock is not known yet (`Anomaly.clockUnmapped`) or the
    /// CPU's number is impossible.
    ///
    /// The map improves with every probe, so the line may move back under a CPU's feet by as much as its bound. An event
    /// is then raised to the time of the one before it (or to the watermark given out before it), and the bound grows by
    /// the largest such raise.
    package mutating func place(_ batch: consuming EventBatch, from source: SourceID) -> PlacedBatch? {
        guard (0..<Limits.cpus).contains(batch.cpu) else { return nil }
        if floors.count <= batch.cpu {
            floors.append(contentsOf: repeatElement(.min, count: batch.cpu + 1 - floors.count))
        }
        var rising = RisingTimes(floor: floors[batch.cpu])
        let times: [HostTime]
        var bound: Int64 = 0
        if isIdentity {
            let scale = self.scale
            times = batch.headers.map { rising.next(HostTime(identityOf: $0.ticks, scale)) }
        } else if let line = givenLine(for: batch.cpu) {
            times = batch.headers.map { rising.next(line.hostTime($0.ticks), &bound) }
        } else if kvm.indices.contains(batch.cpu), var line = kvm[batch.cpu] {
            times = place(batch.headers, on: &line, &rising, &bound)
            kvm[batch.cpu] = line
        } else if let line {
            if let promised, let first = batch.headers.first, first.ticks >= promised.ticks {
                rising.floor = max(rising.floor, promised.time.nanoseconds)
            }
            (times, bound) = place(batch.headers, cpu: batch.cpu, on: line, &rising)
        } else {
            return nil
        }
        if let last = batch.headers.last {
            floors[batch.cpu] = rising.floor
            latest = max(latest ?? last.ticks, last.ticks)
        }
        return PlacedBatch(
            source: source, batch: batch, times: times,
            boundNanoseconds: HostTime(nanoseconds: bound).advanced(by: rising.largestRaise).nanoseconds, epoch: epoch)
    }

    /// The host time before which no event will be placed any more, given that the source sends none before `ticks`.
    ///
    /// Never goes back within an epoch, and holds although the line may move: later events are raised to it.
    package mutating func watermark(_ ticks: TraceTicks) -> HostTime? {
        guard let placed = hostTime(ticks) else { return nil }
        if let line { passage?.passWatermark(ticks, new: line.placed(ticks), present: present) }
        if let promised, placed.time <= promised.time { return promised.time }
        promised = Promise(ticks: ticks, time: placed.time)
        return placed.time
    }

    private func place(
        _ headers: [EventHeader], on line: inout KVMLine, _ rising: inout RisingTimes, _ bound: inout Int64
    ) -> [HostTime] {
        let stepBack = line.isChanging ? headers.lastStepBack : 0
        return headers.indices.map {
            rising.next(line.next(headers[$0].ticks, isBeforeStepBack: $0 < stepBack), &bound)
        }
    }

    /// Like `watermark`, of a time on the host's clock: what is still to be placed is known to lie behind it.
    package mutating func promise(_ time: HostTime) -> HostTime {
        let kept = max(promised?.time ?? time, time)
        promised = Promise(ticks: promised?.ticks ?? TraceTicks(0), time: kept)
        return kept
    }

    /// How many events of a batch lie before `limit`; nil while the clock is not known, or in doubt.
    package func count(of batch: EventBatch, before limit: HostTime) -> Int? {
        guard doubtful == nil, let first = batch.headers.first, hostTime(first.ticks, cpu: batch.cpu) != nil else {
            return nil
        }
        func isBefore(_ header: EventHeader) -> Bool {
            hostTime(header.ticks, cpu: batch.cpu).map { $0.time < limit } ?? true
        }
        guard !mayGoBack(batch.cpu) else { return batch.headers.prefix(while: isBefore).count }
        return batch.headers.partitionPoint(isBefore)
    }

    /// Readings of a CPU need not rise: some may be of the clock before.
    private func mayGoBack(_ cpu: Int) -> Bool {
        if kvm.indices.contains(cpu), let line = kvm[cpu] { return line.isChanging }
        return passage.map { !$0.isOver(cpu) } ?? false
    }

    /// The time of every event, and the largest bound.
    private mutating func place(
        _ headers: [EventHeader], cpu: Int, on line: ClockLine, _ rising: inout RisingTimes
    ) -> ([HostTime], bound: Int64) {
        guard let first = headers.first else { return ([], 0) }
        if mayGoBack(cpu) {
            let stepBack = headers.lastStepBack
            var bound: Int64 = 0
            let times = headers.indices.map { index in
                let ticks = headers[index].ticks
                let new = line.placed(ticks)
                let placed =
                    passage?.next(ticks, cpu: cpu, isBeforeStepBack: index < stepBack, new: new, present: present)
                    ?? new
                return rising.next(placed, &bound)
            }
            return (times, bound)
        }
        // Raw values, because the generic `min` and `max` call another module for every comparison.
        var earliest = first.ticks.rawValue
        var latest = earliest
        let times = headers.map { header in
            let ticks = header.ticks.rawValue
            if ticks < earliest { earliest = ticks }
            if ticks > latest { latest = ticks }
            return rising.next(line.hostTime(header.ticks))
        }
        let bounds = (line.boundNanoseconds(TraceTicks(earliest)), line.boundNanoseconds(TraceTicks(latest)))
        return (times, Int64(saturating: max(bounds.0, bounds.1)))
    }
}

extension [EventHeader] {
    /// The last event whose reading is smaller than the one before it; 0 when there is none.
    fileprivate var lastStepBack: Int { indices.dropFirst().last { self[$0].ticks < self[$0 - 1].ticks } ?? 0 }
}

/// Keeps times from going back, and remembers how far the worst of them had to be raised for it.
private struct RisingTimes {
    var floor: Int64
    private(set) var largestRaise: Int64 = 0

    init(floor: Int64) { self.floor = floor }

    @inline(__always)
    mutating func next(_ time: HostTime) -> HostTime {
        if time.nanoseconds < floor {
            largestRaise = max(largestRaise, HostTime(nanoseconds: floor) - time)
        } else {
            floor = time.nanoseconds
        }
        return HostTime(nanoseconds: floor)
    }

    mutating func next(_ placed: (time: HostTime, boundNanoseconds: Int64), _ bound: inout Int64) -> HostTime {
        bound = max(bound, placed.boundNanoseconds)
        return next(placed.time)
    }
}

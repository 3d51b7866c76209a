import SessionLog
import Timeline
package import TraceModel

/// What the host's kernel did to the clocks of a machine.
struct ClockChange: Codable {
    enum Kind: Codable {
        case offset(KVMEvents.OffsetChange)
        case masterClock(tid: Int32)
    }

    var time: HostTime
    var kind: Kind
}

/// Guests' clocks: what the host's own events tell of them, and when a guest's events are placed.
extension CollectorPipeline {
    // MARK: Host

    mutating func followClocks(_ batch: EventBatch, of host: Int) {
        let events = sources[host].kvmEvents
        for change in events.offsetChanges(in: batch) where change.previous != change.next {
            if let time = sources[host].clock.hostTime(change.ticks)?.time {
                clockChanges.append(ClockChange(time: time, kind: .offset(change)))
            }
        }
        for update in events.masterClockUpdates(in: batch) {
            if let time = sources[host].clock.hostTime(update.ticks)?.time {
                clockChanges.append(ClockChange(time: time, kind: .masterClock(tid: update.tid)))
            }
        }
        guard guestMode.hasThreads else { return }
        // Once, and not with every crossing: a map is large, and asking one in an array copies it.
        let clock = sources[host].clock
        for index in events.crossings(in: batch) { addCrossing(index, events, batch, clock) }
        for loss in batch.losses {
            let place = min(max(loss.index - 1, 0), batch.headers.count - 1)
            let ticks = batch.headers.isEmpty ? nil : batch.headers[place].ticks
            let time = ticks.flatMap { clock.hostTime($0)?.time } ?? guestMode.known
            guestMode.add(.init(time: time, kind: .loss, tid: 0, vcpu: nil))
        }
    }

    /// Told before the first of them.
    mutating func ignoreEntries(_ host: Int) {
        guestMode.isPartial = true
        sources[host].hasPartialEntries = true
    }

    private mutating func addCrossing(_ index: Int, _ events: KVMEvents, _ batch: EventBatch, _ clock: ClockMap) {
        let header = batch.headers[index]
        guard guestMode.isFollowed(header.pid), let time = clock.hostTime(header.ticks)?.time else { return }
        let (kind, vcpu) = events.crossing(header, in: batch.records.span.bytes)
        guestMode.add(.init(time: time, kind: kind, tid: header.pid, vcpu: vcpu))
    }

    /// Everything that the host did before its present is known: what it did to clocks takes effect, before any event or
    /// probe of a later time is placed.
    mutating func settleClocks() {
        guestMode.settle(before: isHostDone ? hostNow.advanced(by: 1) : hostNow)
        for guest in sources.indices where !sources[guest].facts.isHost {
            sources[guest].clock.present = isHostDone ? HostTime(nanoseconds: .max) : hostNow
        }
        guard !clockChanges.isEmpty else { return }
        clockChanges.sort { $0.time < $1.time }
        let present = hostNow
        let ready =
            isHostDone ? clockChanges.count : clockChanges.firstIndex { $0.time > present } ?? clockChanges.count
        let due = clockChanges[..<ready]
        clockChanges.removeFirst(ready)
        for change in due {
            switch change.kind {
            case .offset(let write): follow(write, at: change.time)
            case .masterClock(let tid): doubt(after: tid, at: change.time)
            }
        }
    }

    private mutating func follow(_ change: KVMEvents.OffsetChange, at time: HostTime) {
        // The thread tells the machine, where it is known. Otherwise the offset before tells it nearly always, being the
        // machine's age in cycles; but not where a clock is measured, and not where a clone has the same.
        let owner = machine(of: change.tid)
        let concerned = sources.indices.filter { owner == nil || sources[$0].vmmPID == owner?.vmmPID }.filter {
            sources[$0].clock.canChange(of: change.vcpu, from: change.previous)
        }
        for guest in concerned {
            let quiet = guestMode.quietSince(sources[guest].id, before: time)
            let isKnown =
                owner != nil || concerned.count == 1
                ? sources[guest].clock.offsetChanged(
                    of: change.vcpu, from: change.previous, to: change.next, at: time, quietSince: quiet)
                : sources[guest].clock.doubt(at: time, quietSince: quiet)
            if isKnown { anomalies.add(.clockChanged) }
        }
    }

    private mutating func doubt(after tid: Int32, at time: HostTime) {
        // Of a thread that nobody knows it may be any machine: better a probe too many than a clock that is wrong.
        let owner = machine(of: tid)
        for guest in sources.indices where owner == nil || sources[guest].vmmPID == owner?.vmmPID {
            let quiet = guestMode.quietSince(sources[guest].id, before: time)
            if sources[guest].clock.disturbed(at: time, quietSince: quiet, by: .masterClock) {
                anomalies.add(.clockChanged)
            }
        }
    }

    private func machine(of tid: Int32) -> VMFacts? {
        machines.values.first { $0.vmmPID == tid || $0.vcpuThreads.contains { $0.tid == tid } }
    }

    /// vCPU threads become known with their machine, and the machine with its guest, in any order.
    mutating func followThreads() {
        for source in sources {
            guard let vmmPID = source.vmmPID, let facts = machines[vmmPID] else { continue }
            guestMode.setThreads(facts, of: source.id)
        }
    }

    // MARK: Guests

    /// Nothing of the host is still to come: nobody waits for it.
    mutating func hostIsDone() {
        isHostDone = true
        settleClocks()
        placeWaiting()
    }

    var arrival: GuestIntake.Arrival { GuestIntake.Arrival(time: hostNow, round: hostRounds) }

    mutating func placeWaiting() {
        for guest in sources.indices where !sources[guest].intake.isEmpty { placeWaiting(of: guest) }
    }

    /// Guests whose clocks are not known at present: a probe, soon, is wanted.
    package func lostClocks() -> [SourceID] { sources.filter { $0.clock.needsProbe }.map(\.id) }

    /// Of the guests whose clocks were measured, the best maps of the whole time.
    var resyncedClocks: [SourceID: GivenClock] {
        sources.reduce(into: [:]) { $0[$1.id] = $1.clock.resynced }
    }

    /// Places what the host's watermark allows.
    mutating func placeWaiting(of guest: Int, all: Bool = false) {
        let isForced = all || isHostDone || sources[guest].intake.isOverfull
        let limit = isForced ? HostTime(nanoseconds: .max) : hostNow
        for probe in sources[guest].intake.takeProbes(receivedBefore: limit) {
            let outcome = sources[guest].clock.add(probe)
            if outcome != .used { anomalies.add(.clockViolation) }
        }
        var isBlocked = false
        var blockedCPUs: Set<Int> = []
        for item in sources[guest].intake.takeAll() {
            switch item {
            case .batch(let batch, let arrival):
                // In the order in which they were written: a clock that was set back would put a later one first.
                if blockedCPUs.contains(batch.cpu) {
                    sources[guest].intake.hold(batch, arrival)
                } else if !isDue(arrival, isForced: isForced, of: guest) {
                    sources[guest].intake.hold(batch, arrival)
                    blockedCPUs.insert(batch.cpu)
                    isBlocked = true
                } else if !place(batch, arrival, of: guest, before: limit) {
                    blockedCPUs.insert(batch.cpu)
                    isBlocked = true
                }
            case .watermark(let ticks, let arrival):
                let isDue = isForced || !isBlocked && isDue(arrival, isForced: isForced, of: guest)
                guard isDue, tellWatermark(ticks, of: guest, before: limit) else {
                    sources[guest].intake.hold(ticks, arrival)
                    isBlocked = true
                    continue
                }
                sources[guest].clock.pass(arrival.time.advanced(by: -maximumLag))
            }
        }
    }

    private var maximumLag: Int64 { facts?.maximumLagNanoseconds ?? Limits.mergeLagNanoseconds }

    /// The host has told all that it did to the guest's clock before this arrived, or can do nothing to it.
    func isDue(_ arrival: GuestIntake.Arrival, isForced: Bool, of guest: Int) -> Bool {
        isForced || arrival.isSettled(in: hostRounds) || sources[guest].clock.isGiven
    }

    /// False when a part of it has to wait.
    private mutating func place(
        _ batch: EventBatch, _ arrival: GuestIntake.Arrival, of guest: Int, before limit: HostTime
    ) -> Bool {
        guard !batch.headers.isEmpty else {
            place(batch, of: guest)
            return true
        }
        guard let count = sources[guest].clock.count(of: batch, before: limit) else {
            // Its clock may become known while the merge would wait for it.
            if limit - arrival.time > maximumLag {
                anomalies.add(.clockUnmapped, UInt64(batch.headers.count))
                return true
            }
            sources[guest].intake.hold(batch, arrival)
            return false
        }
        if count > 0 {
            let part = batch.part(0..<count)
            narrow(part, of: guest)
            place(part, of: guest)
        }
        guard count < batch.headers.count else { return true }
        sources[guest].intake.hold(batch.part(count..<batch.headers.count), arrival)
        return false
    }

    /// What the vCPU's entries and exits say of its events makes the map better before they are placed.
    private mutating func narrow(_ batch: EventBatch, of guest: Int) {
        guard sources[guest].clock.canBeNarrowed, !sources[guest].hasPartialEntries else { return }
        let known = guestMode.known
        guestMode.withWindows(of: sources[guest].id, vcpu: batch.cpu) { windows in
            let outcome = sources[guest].clock.narrow(batch, to: &windows, knownBefore: known)
            if outcome == .newEpoch { anomalies.add(.clockViolation) }
            if windows.arePartial, !sources[guest].hasPartialEntries {
                sources[guest].hasPartialEntries = true
                sources[guest].clock.distrustEntries(at: known)
            }
        }
    }

    /// Whether placed events lie where their vCPU was in guest mode: the gauge of the map, whatever it rests on.
    mutating func judge(_ placed: borrowing PlacedBatch, of guest: Int) {
        let known = guestMode.known
        let times = placed.times
        let isExact = !sources[guest].clock.canBeNarrowed
        let isPartial = sources[guest].hasPartialEntries
        guestMode.withWindows(of: sources[guest].id, vcpu: placed.batch.cpu) { windows in
            guard !windows.arePartial, !isPartial else { return }
            for time in times where time < known {
                sources[guest].judged &+= 1
                if windows.narrowed(time...time) != nil { sources[guest].contained &+= 1 }
            }
            if isExact, let last = times.last { windows.forget(before: last) }
        }
    }

    private mutating func tellWatermark(_ ticks: TraceTicks, of guest: Int, before limit: HostTime) -> Bool {
        guard let time = sources[guest].clock.hostTime(ticks)?.time else { return false }
        guard time <= limit else {
            // Everything up to the host's own watermark has been told.
            merger.watermark(sources[guest].id, sources[guest].clock.promise(limit))
            return false
        }
        if let promised = sources[guest].clock.watermark(ticks) { merger.watermark(sources[guest].id, promised) }
        return true
    }
}

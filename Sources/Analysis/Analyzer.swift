package import TraceModel

/// Turns events in order into what every vCPU does, for how long, and who is to blame for its waiting.
///
/// It is fed one run of one batch after another, in the order of the merge, and told when time passes though nothing
/// happens. It is a pure function of what it was told: no clock, no I/O; how the runs are cut makes no difference.
///
/// Host events move the clock and decide all vCPU states; a guest's events only name the task on each of its CPUs, so
/// that a guest that lies harms nobody's figures but its own.
///
/// Wall time of a vCPU begins when it is first heard of: at `start` for those identified before the first event, else at
/// the time analyzed when the event or the identification came. From then on its state times add up to wall time exactly.
/// When its thread ends, its times stand still and it stays listed, as `unknown`, until `Limits.retiredVCPUs` others have
/// ended after it: a recording that outlives a machine still shows what happened to it.
///
/// Work per event is constant, but for a switch of a CPU for which vCPUs wait: that gives each of them a slice of the
/// blame. In a steady state nothing is allocated.
///
/// `Codable`, like all that it consists of, because its whole state is written into the checkpoints of recordings.
///
/// Totals are final for every closed interval. The open interval of a vCPU is counted as if it lasted, so that when a
/// loss comes to light afterwards, a later snapshot can show less time in a state than an earlier one, and more `unknown`.
package struct Analyzer: Sendable, Codable {
    let start: Int64
    /// Everything up to here is analyzed.
    var now: Int64
    /// The latest time that is taken seriously: differences of times up to here cannot overflow.
    private let latest: Int64

    var host = HostBinding()
    /// When its first event was.
    private var hostSince: Int64?
    var exitReasonName = ExitReasonNaming()
    var hostNames = TaskNames()
    var kernelThreads = KernelThreads()
    /// Shared with every copy of this value until one of them is changed; see `own()`.
    private var ownership = Ownership()
    var cpus = Slots<HostCPU>()
    var guests = Slots<GuestSource>()

    // Identities; see Identities.swift.
    var vcpus = Slots<VCPU>()
    var slotByTID = ThreadTable()
    var freeSlots: [Int] = []
    /// Slots of vCPUs whose threads ended, in the order in which they did.
    var retiredSlots: [Int] = []
    var machines: [UInt32: Machine] = [:]
    var machineByPID: [Int32: UInt32] = [:]
    var lastSerial: UInt32 = 0
    /// Changes with every change of who is who.
    var identityGeneration: UInt64 = 0
    var unidentified: [Int32] = []

    // See Intervals.swift.
    var listsIntervals = false
    var retiredIntervals: [OwnedIntervals] = []

    package internal(set) var anomalies = AnomalyCounts()
    var checks = Checks()
    /// What is known of guests for later, the earliest first, and its time.
    var guestNotes: [GuestNote] = []
    var noteDue = Int64.max

    package init(start: HostTime) {
        self.start = start.nanoseconds
        now = start.nanoseconds
        latest = start.advanced(by: 1 << 62).nanoseconds
    }

    /// Tells which events a source sends. May be called again when a format is added.
    ///
    /// `exitReasonName` names the exit reasons of the host by its own `kvm_exit` format (reason, `isa`); where it answers
    /// nil, names of the kernel's headers stand in.
    package mutating func bind(
        _ source: SourceID, name: String, formats: FormatTable,
        exitReasonName: @escaping @Sendable (UInt64, UInt64) -> String? = { _, _ in nil }
    ) {
        own()
        guard source == .host else {
            guests[guestIndex(of: source)].bind(name: name, formats: formats)
            return
        }
        host = HostBinding(formats)
        self.exitReasonName.name = exitReasonName
        if !host.unusable.isEmpty { anomalies.add(.fieldMissing, UInt64(host.unusable.count)) }
        for slot in vcpus.indices where vcpus[slot].phase == .live { refreshKnowledge(of: slot) }
    }

    /// Gives an analyzer that came out of a checkpoint the host's names of exit reasons again: a function is no state.
    package mutating func restore(exitReasonName: @escaping @Sendable (UInt64, UInt64) -> String?) {
        self.exitReasonName.name = exitReasonName
    }

    /// The name of a thread that was there before the trace began.
    package mutating func name(_ tid: Int32, _ comm: Comm, of source: SourceID) {
        own()
        if source == .host {
            hostNames.set(tid, comm)
        } else {
            guests[guestIndex(of: source)].names.set(tid, comm)
        }
    }

    /// A thread of the host's kernel: a culprit of that kind.
    package mutating func setKernelThread(_ tid: Int32) { kernelThreads.insert(tid) }

    /// Events `range` of `batch`, in merged order, with their times on the host's clock.
    ///
    /// A loss mark is handled before the event at its index, and one behind the last event after that event.
    /// `boundNanoseconds` says how wrong the times may be.
    package mutating func apply(
        _ batch: EventBatch, times: [HostTime], range: Range<Int>, source: SourceID, boundNanoseconds: Int64
    ) {
        own()
        let end = min(range.upperBound, batch.headers.count, times.count)
        let begin = min(max(range.lowerBound, 0), end)
        let guest = source.rawValue == SourceID.host.rawValue ? nil : guestIndex(of: source)
        let hasRoom = if let guest { prepare(guest: guest, cpu: batch.cpu) } else { see(cpu: batch.cpu) }
        guard hasRoom else {
            anomalies.add(.tableFull, UInt64(end - begin))
            return
        }
        // Most batches have no losses, and most runs are short: the loop over none would cost as much as an event.
        let position =
            batch.losses.isEmpty ? begin : applyWithLosses(batch, times, begin..<end, guest, boundNanoseconds)
        if let guest {
            applyGuest(guest, batch, times, position..<end, boundNanoseconds)
        } else {
            applyHost(batch, times, position..<end)
        }
    }

    /// Up to the last loss mark of the run. Returns where the rest begins.
    @inline(never)
    private mutating func applyWithLosses(
        _ batch: EventBatch, _ times: [HostTime], _ range: Range<Int>, _ guest: Int?, _ boundNanoseconds: Int64
    ) -> Int {
        var position = range.lowerBound
        for loss in batch.losses where loss.index >= range.lowerBound {
            let isLast = loss.index >= batch.headers.count
            guard loss.index < range.upperBound || isLast && range.upperBound == batch.headers.count else { break }
            let stop = max(position, min(loss.index, range.upperBound))
            if let guest {
                applyGuest(guest, batch, times, position..<stop, boundNanoseconds)
                loseTask(guest, batch.cpu, at: now)
            } else {
                applyHost(batch, times, position..<stop)
                lose(cpu: batch.cpu, isOpen: isLast)
            }
            position = stop
        }
        return position
    }

    private mutating func applyHost(_ batch: EventBatch, _ times: [HostTime], _ range: Range<Int>) {
        if !range.isEmpty {
            if hostSince == nil { hostSince = bounded(times[range.lowerBound]) }
            endLoss(cpu: batch.cpu)
        }
        let records = batch.records.span.bytes
        for index in range {
            let time = bounded(times[index])
            if time > now {
                if time >= noteDue { takeNotes(until: time) }
                now = time
            }
            hostEvent(batch.headers[index], in: records, on: batch.cpu, at: time)
        }
    }

    private mutating func applyGuest(
        _ guest: Int, _ batch: EventBatch, _ times: [HostTime], _ range: Range<Int>, _ boundNanoseconds: Int64
    ) {
        let records = batch.records.span.bytes
        for index in range {
            guestEvent(
                batch.headers[index], in: records, of: guest, on: batch.cpu, at: bounded(times[index]),
                boundNanoseconds: boundNanoseconds)
        }
    }

    /// A source is not heard of any more.
    ///
    /// A guest's tasks become unknown; what its vCPUs do comes from the host and stays. It is forgotten: should it come
    /// back, it is bound and linked again. Without the host, everything is unknown.
    package mutating func sourceGone(_ source: SourceID, at time: HostTime) {
        advance(to: time)
        if source == .host {
            for cpu in cpus.indices { lose(cpu: cpu, isOpen: true) }
        } else {
            guard let guest = guests.firstIndex(where: { $0.id == source }) else { return }
            unlink(guest)
            guests.remove(at: guest)
        }
    }

    /// Time passes though nothing happens.
    package mutating func advance(to time: HostTime) {
        own()
        let time = max(now, bounded(time))
        if time >= noteDue { takeNotes(until: time) }
        now = time
    }

    /// To be called before anything of the analyzer is changed; see `Slots`. One question for all lists: they are copied
    /// together or not at all.
    @inline(__always)
    mutating func own() {
        if !isKnownUniquelyReferenced(&ownership) { separate() }
    }

    @inline(never)
    private mutating func separate() {
        ownership = Ownership()
        vcpus.own()
        cpus.own()
        guests.own()
    }

    /// Host threads that `kvm` events named and whose VMM process is not known, each told once. The answer to each is
    /// `identify(_:)` with facts whose `vcpuThreads` contain it.
    package mutating func takeUnidentifiedThreads() -> [Int32] {
        defer { unidentified.removeAll(keepingCapacity: true) }
        return unidentified.filter { tid in
            let slot = slot(of: tid)
            return slot >= 0 && machines[vcpus[slot].machine]?.isProvisional ?? false
        }
    }

    /// Everything up to here is analyzed, or given up.
    package var analyzedUntil: HostTime { HostTime(nanoseconds: now) }

    /// What cannot be known with the events that are there, and why: plain sentences.
    package var limits: [String] {
        host.limits + [lateHostLimit].compactMap(\.self) + emulationLimits + guests.flatMap(\.limits)
    }

    /// Traces of a host and its guests that are brought together afterwards seldom begin at the same time. Worth a sentence
    /// from a hundredth of the time on.
    private var lateHostLimit: String? {
        let milliseconds = ((hostSince ?? start) - start) / 1_000_000
        guard milliseconds > 0, milliseconds >= (now - start) / 100_000_000 else { return nil }
        return "nothing of the host was traced in the first \(milliseconds) ms: what its vCPUs did then is unknown"
    }

    func bounded(_ time: HostTime) -> Int64 { min(max(time.nanoseconds, start), latest) }
}

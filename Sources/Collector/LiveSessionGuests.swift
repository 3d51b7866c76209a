import SessionLog
import Threading
import TraceModel
import Wire

/// The guests' agents: connected before the session begins, and again when they come back to it.
extension LiveSession {
    /// From 0.5 s to 5 s between two tries to reach an agent that is gone.
    private static let returnNanoseconds: ClosedRange<Int64> = 500_000_000...5_000_000_000

    func connectGuests(_ host: HostTracer, _ clocks: ClockPlan) throws {
        opening.append(
            .sourceOpened(
                .host,
                SourceFacts(
                    name: hello.hostname, isHost: true, endpoint: "", hostname: hello.hostname, bootID: hello.bootID,
                    kernelRelease: hello.kernelRelease, prepared: host.prepared),
                formats: host.formats.formats.map { FormatMessage(system: $0.system, text: $0.text) },
                names: LocalMachine.taskNames()))
        if let scale = clocks.host.scale { opening.append(.clock(.host, .scale(scale))) }
        if host.filtersEntries { opening.append(.clock(.host, .partialEntries)) }
        opening += machines.scan()
        for (index, guest) in options.guests.enumerated() {
            opening += try connect(guest, as: SourceID(UInt32(index + 1)), clocks) { link in
                lock.withLock { shared.links.append(link) }
            }
        }
    }

    /// What the pipeline is to be told of a guest that is ready. `begun` gets the link before anything is said on it.
    private func connect(
        _ guest: SessionOptions.Guest, as source: SourceID, _ clocks: ClockPlan, begun: (GuestLink) -> Void
    ) throws -> [LogRecord] {
        let ready: GuestLink.Ready
        do {
            let link = try GuestLink(
                source: source, guest: guest, options: options, hello: hello, hostClock: clocks.host, queue: queue,
                notice: { [weak self] in self?.notice("\(guest.name) \($0)") }
            ) { [machines] hello in
                clocks.clock(of: guest, vmmPID: try? machines.link(guest, hello: hello).get().vmmPID)
            }
            begun(link)
            ready = try link.prepare()
        } catch {
            throw SessionError("guest '\(guest.name)' at \(guest.endpoint): \(error)")
        }
        try check(bootID: ready.hello.bootID, of: guest)
        var records = [
            LogRecord.sourceOpened(
                source,
                SourceFacts(
                    name: guest.name, isHost: false, endpoint: "\(guest.endpoint)",
                    hostname: ready.hello.hostname.sanitized, bootID: ready.hello.bootID,
                    kernelRelease: ready.hello.kernelRelease.sanitized, prepared: ready.prepared),
                formats: ready.formats, names: ready.names)
        ]
        switch machines.link(guest, hello: ready.hello) {
        case .success(let found):
            records.append(.link(source, vmmPID: found.vmmPID, evidence: found.evidence))
            if ready.prepared.clock == .x86TSC, let clock = clocks.kvmClock(vmmPID: found.vmmPID) {
                records.append(.clock(source, .kvm(clock)))
            }
        case .failure(let problem): notice("\(guest.name): \(problem)")
        }
        return records + ready.probes.map { .probe(source, $0) }
    }

    private func check(bootID: String, of guest: SessionOptions.Guest) throws {
        let other = lock.withLock {
            if let other = shared.guestNames[bootID], other != guest.name { return other as String? }
            // One machine has one boot id at a time.
            shared.guestNames = shared.guestNames.filter { $0.value != guest.name }
            if !bootID.isEmpty { shared.guestNames[bootID] = guest.name }
            return nil
        }
        if let other {
            throw SessionError(
                "'\(guest.name)' and '\(other)' are the same machine (boot id \(bootID)): name each guest once")
        }
    }

    // MARK: Coming back

    /// Tries to reach the agent of a guest that is gone, until one answers or the session is stopped.
    func awaitReturn(of source: SourceID) {
        let lost = lock.withLock { shared.links.first { $0.source == source } }
        guard let guest = lost?.guest, let next = source.successor else { return }
        Thread.start("return \(guest.name)") { [self] in
            let since = MonotonicClock.nanoseconds()
            var pause = Self.returnNanoseconds.lowerBound
            var told: String?
            while waits(nanoseconds: pause) {
                pause = min(2 * pause, Self.returnNanoseconds.upperBound)
                switch rejoin(guest, as: next) {
                case .back:
                    let tenths = (MonotonicClock.nanoseconds() - since) / 100_000_000
                    return notice("\(guest.name) is back after \(tenths / 10).\(tenths % 10) s")
                case .unreachable: break
                // What an agent says that does not come back is told once.
                case .refused(let reason):
                    if reason != told { notice("\(reason); it is tried again") }
                    told = reason
                }
            }
        }
    }

    private enum Attempt {
        case back
        case unreachable
        case refused(String)
    }

    private func rejoin(_ guest: SessionOptions.Guest, as source: SourceID) -> Attempt {
        guard let clocks else { return .unreachable }
        var begun: GuestLink?
        defer { lock.withLock { shared.returning.removeAll { $0 === begun } } }
        do {
            let records = try connect(guest, as: source, clocks.renewed()) { link in
                begun = link
                let isLate = lock.withLock {
                    shared.returning.append(link)
                    return shared.isStopping
                }
                if isLate { link.abort() }
            }
            guard let link = begun, takeBack(link) else {
                begun?.abort()
                return .unreachable
            }
            for record in machines.scan() + records { queue.put(.record(record), weight: 256) }
            run(link)
            return .back
        } catch {
            guard let begun else { return .unreachable }
            begun.abort()
            return .refused("\(error)")
        }
    }

    /// It is a source of the session again, unless that is over.
    private func takeBack(_ link: GuestLink) -> Bool {
        lock.withLock {
            guard !shared.isStopping else { return false }
            shared.links.removeAll { $0.source.isSameMachine(as: link.source) }
            shared.links.append(link)
            shared.openSources += 1
            return true
        }
    }

    /// False when nobody is to come back any more.
    private func waits(nanoseconds: Int64) -> Bool {
        let deadline = MonotonicClock.deadline(after: nanoseconds)
        return lock.withLock {
            while !shared.isStopping { guard lock.wait(until: deadline) else { break } }
            return !shared.isStopping
        }
    }
}

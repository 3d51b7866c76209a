import CTF
import Glibc
import SessionLog
import Threading
import TraceModel

/// LTTng sessions beside or instead of our own tracers.
extension LiveSession {
    /// The host is an LTTng session, here or elsewhere: its clock is the time line.
    func followHost(_ url: String) throws {
        guard options.guests.isEmpty else {
            throw SessionError(
                "agents need a host that is traced here: with --lttng all guests are LTTng sessions (-A NAME=net://…)")
        }
        let opening = try follow(url, name: nil, as: .host)
        begin = HostTime(nanoseconds: Int64(clamping: opening.start.rawValue))
        feedZero = opening.clock.epochOffsetNanoseconds
    }

    /// Guests' LTTng sessions: placed by what their first seconds prove, else by the wall clocks of both kernels until
    /// something does.
    func followGuests() throws {
        var guests: [LiveSync.Guest] = []
        for (index, guest) in options.lttngGuests.enumerated() {
            let source = SourceID(UInt32(options.guests.count + index + 1))
            let opening = try follow(guest.url, name: guest.name, as: source)
            guard let clock = opening.wallClockMap(hostZero: feedZero ?? hostZero) else {
                notice("\(guest.name): its clock has no known beginning; its events cannot be placed")
                continue
            }
            guests.append(LiveSync.Guest(id: source, name: guest.name, wallClock: clock))
        }
        guard !guests.isEmpty else { return }
        let names = Dictionary(uniqueKeysWithValues: guests.map { ($0.id, $0.name) })
        if let host {
            begin = clocks?.host.now()
            host.run()
        }
        self.opening += feedSync.settle(guests, hasHost: host?.tracesEntries ?? true) {
            [weak self, queue] guest, records in
            for record in records { queue.put(.record(record), weight: 64) }
            self?.notice("\(names[guest] ?? ""): placed by what its events prove, no longer by the wall clocks")
        }
    }

    private func follow(_ url: String, name: String?, as source: SourceID) throws -> LiveFeed.Opening {
        let feed = LiveFeed(
            source: source, name: name, url: url,
            tell: { [queue] in queue.put($0, weight: LiveSession.weight($0)) },
            notice: { [weak self] in self?.notice("\(name ?? "the host's LTTng session"): \($0)") },
            sync: feedSync)
        feeds.append(feed)
        let opening = try feed.prepare()
        self.opening.append(opening.record)
        return opening
    }

    /// Shows the events of a host that is traced here to whoever looks for its guests, in nanoseconds.
    func noting(_ scale: TSCScale?) -> @Sendable (EventBatch, [EventFormat]) -> Void {
        { [feedSync] batch, formats in
            guard feedSync.isLooking else { return }
            var batch = batch
            if let scale {
                for index in batch.headers.indices {
                    let time = scale.hostTime(batch.headers[index].ticks.rawValue)
                    batch.headers[index].ticks = TraceTicks(UInt64(clamping: time.nanoseconds))
                }
            }
            feedSync.note([batch], formats: formats, of: .host)
        }
    }

    private static func weight(_ input: PipelineInput) -> Int {
        if case .batch(_, let batch) = input { batch.records.count + 64 } else { 64 }
    }

    /// From the zero of this host's trace clock to 1970, for a host that is traced here.
    private var hostZero: Int64? {
        var wall = timespec()
        guard clock_gettime(CLOCK_REALTIME, &wall) == 0, let now = clocks?.host.now() else { return nil }
        return Int64(wall.tv_sec) * 1_000_000_000 + Int64(wall.tv_nsec) - now.nanoseconds
    }

    /// The host goes last: whoever is traced without it seems to run where it was seen last.
    func drainHost() {
        host?.drain()
        feeds.first { $0.source == .host }?.stop()
    }
}

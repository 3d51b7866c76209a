package import TraceModel

/// Something known of a guest, or of the host, for a time to which the analysis has yet to come.
struct GuestNote: Sendable, Codable {
    enum Kind: Sendable, Codable {
        case steal([StealSample.CPU])
        /// Its trace ends.
        case end
        /// Threads of the host are not there any more.
        case threadsEnded([Int32])
    }

    let time: Int64
    let source: SourceID
    let kind: Kind

    var isSample: Bool { if case .steal = kind { true } else { false } }
}

extension Analyzer {
    /// Nothing more is traced in a guest from `time` on: what its tasks do then is unknown, and what was counted stays.
    package mutating func sourceEnds(_ source: SourceID, at time: HostTime) {
        note(GuestNote(time: bounded(time), source: source, kind: .end))
    }

    /// Threads of machines of the host were found to be gone at `time`. What the trace itself tells of their ends goes first; this
    /// is for traces without `sched_process_exit`, in which a vCPU would otherwise stay for ever in its last state.
    package mutating func threadsEnded(_ threads: [Int32], by time: HostTime) {
        note(GuestNote(time: bounded(time), source: .host, kind: .threadsEnded(threads)))
    }

    /// A guest's clock decides when its notes are due. One that tells more than it may have waiting loses its own oldest sample,
    /// and nobody else's.
    mutating func note(_ note: GuestNote) {
        own()
        let own = guestNotes.indices.filter { guestNotes[$0].source == note.source }
        if own.count >= Limits.pendingNotesPerGuest {
            anomalies.add(.tableFull)
            guard let oldest = own.first(where: { guestNotes[$0].isSample }) else { return }
            guestNotes.remove(at: oldest)
        }
        let place = guestNotes.firstIndex { $0.time > note.time } ?? guestNotes.count
        guestNotes.insert(note, at: place)
        noteDue = guestNotes[0].time
        if noteDue <= now { takeNotes(until: now) }
    }

    /// Time passes to `time`, and nothing has happened since `now`.
    mutating func takeNotes(until time: Int64) {
        while let note = guestNotes.first, note.time <= time {
            guestNotes.removeFirst()
            let time = max(now, note.time)
            let guest = guests.firstIndex { $0.id == note.source }
            switch note.kind {
            case .threadsEnded(let threads):
                guard host.processExit == nil else { continue }
                for thread in threads { threadEnded(thread, at: time) }
            case .steal(let cpus):
                guard let guest else { continue }
                for cpu in cpus { count(cpu, of: guest, at: time) }
            case .end:
                guard let guest else { continue }
                for cpu in guests[guest].cpus.indices {
                    settleTask(guest, cpu, at: time, toIdle: nil, boundNanoseconds: 0)
                    guests[guest].forget(cpu)
                }
            }
        }
        noteDue = guestNotes.first?.time ?? .max
    }
}

/// Everything that can be wrong with what we are given, as a closed list: each case is counted, shown and explained.
package enum Anomaly: UInt8, CaseIterable, Sendable, Hashable, Codable {
    // Decoding of ring-buffer sub-buffers (kernel/trace/ring_buffer.c).
    case subBufferTooShort = 0
    case subBufferCommitPastEnd
    case recordPastEnd
    case recordEmpty
    case recordShorterThanFormat
    case unknownEventType
    case timeWentBack
    // Wire.
    case batchMalformed
    case unknownMessageSkipped
    // Timeline.
    case eventLate
    case sourceLate
    case clockUnmapped
    case clockViolation
    // Analysis.
    case entryWithoutExit
    case exitWithoutEntry
    case switchChainBroken
    case guestEventOutsideEntry
    case fieldMissing
    case tableFull
    case eventMovedUp
    // Timeline.
    case clockChanged
    // Collector.
    case agentReturned

    package enum Severity: String, Sendable {
        /// Expected now and then; figures stay right.
        case notice
        /// Events are missing or unusable; figures are lower bounds and state may be unknown.
        case dataLoss = "data loss"
        /// A defect of the peer, the kernel or Tandem.
        case defect
    }

    /// One word for metrics and JSON.
    package var label: String {
        switch self {
        case .subBufferTooShort: "sub_buffer_too_short"
        case .subBufferCommitPastEnd: "sub_buffer_commit_past_end"
        case .recordPastEnd: "record_past_end"
        case .recordEmpty: "record_empty"
        case .recordShorterThanFormat: "record_shorter_than_format"
        case .unknownEventType: "unknown_event_type"
        case .timeWentBack: "time_went_back"
        case .batchMalformed: "batch_malformed"
        case .unknownMessageSkipped: "unknown_message_skipped"
        case .eventLate: "event_late"
        case .sourceLate: "source_late"
        case .clockUnmapped: "clock_unmapped"
        case .clockViolation: "clock_violation"
        case .entryWithoutExit: "entry_without_exit"
        case .exitWithoutEntry: "exit_without_entry"
        case .switchChainBroken: "switch_chain_broken"
        case .guestEventOutsideEntry: "guest_event_outside_entry"
        case .fieldMissing: "field_missing"
        case .tableFull: "table_full"
        case .eventMovedUp: "event_moved_up"
        case .clockChanged: "clock_changed"
        case .agentReturned: "agent_returned"
        }
    }

    package var severity: Severity {
        switch self {
        case .unknownMessageSkipped, .eventLate, .guestEventOutsideEntry, .eventMovedUp, .clockChanged: .notice
        case .unknownEventType, .clockUnmapped, .sourceLate, .tableFull, .entryWithoutExit, .exitWithoutEntry,
            .switchChainBroken, .agentReturned:
            .dataLoss
        case .subBufferTooShort, .subBufferCommitPastEnd, .recordPastEnd, .recordEmpty, .recordShorterThanFormat,
            .timeWentBack, .batchMalformed, .clockViolation, .fieldMissing:
            .defect
        }
    }

    /// What it means, and what to do about it.
    package var advice: String {
        switch self {
        case .subBufferTooShort:
            "a ring-buffer page was shorter than its header; the rest of it is lost. Report it with the kernel version."
        case .subBufferCommitPastEnd:
            "a ring-buffer page claims more data than it has; only what is there was decoded. Report it."
        case .recordPastEnd:
            "a record reaches past the end of its ring-buffer page; the rest of the page is lost. Report it."
        case .recordEmpty: "a record of length zero; the rest of the page is lost. Report it."
        case .recordShorterThanFormat: "a record is shorter than its format file says; it was dropped. Report it."
        case .unknownEventType: "an event that was not asked for; something else writes to our trace instance."
        case .timeWentBack: "a CPU's trace time stepped back; its event was moved up to the previous one."
        case .batchMalformed: "a batch from a guest could not be decoded; its events are lost. Versions may differ."
        case .unknownMessageSkipped: "the peer is newer and sent an optional message that this version skips."
        case .eventLate: "events arrived after their time had been analyzed; raise --max-lag if this grows."
        case .sourceLate: "a guest fell behind by more than the lag limit and was left behind; its link or CPU is slow."
        case .clockUnmapped: "events came before the guest's clock was known; they were counted and not placed."
        case .clockViolation: "two clock measurements contradict each other; a new clock epoch was opened."
        case .entryWithoutExit: "kvm_entry after kvm_entry of one vCPU: an exit is missing; is kvm:kvm_exit enabled?"
        case .exitWithoutEntry: "kvm_exit outside of guest mode: an entry is missing; is kvm:kvm_entry enabled?"
        case .switchChainBroken: "a CPU switched from a task that it was not running; events are missing."
        case .guestEventOutsideEntry:
            "guest events lie outside of kvm_entry..kvm_exit: the clock error exceeds the gap."
        case .fieldMissing: "an event lacks a field that the analysis needs; the kernel may be too old or too new."
        case .tableFull: "a table reached its limit; further entries are counted as 'other'."
        case .eventMovedUp: "an event came after later ones of the same vCPU; it took effect at the last of them."
        case .clockChanged: "a guest's TSC was set anew (by itself, or by its VMM); the map followed at that moment."
        case .agentReturned:
            "an agent was gone and another one answered at its address; what its guest did in between is unknown."
        }
    }
}

/// How often each anomaly was seen.
package struct AnomalyCounts: Hashable, Sendable, Codable {
    private var counts = [UInt64](repeating: 0, count: Anomaly.allCases.count)

    package init() {}

    /// One count for each case that this version knows, or none at all.
    package init(from decoder: any Decoder) throws {
        counts = try [UInt64](from: decoder)
        guard counts.count == Anomaly.allCases.count else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "anomalies of another version"))
        }
    }

    package func encode(to encoder: any Encoder) throws { try counts.encode(to: encoder) }

    package subscript(_ anomaly: Anomaly) -> UInt64 { counts[Int(anomaly.rawValue)] }

    package mutating func add(_ anomaly: Anomaly, _ count: UInt64 = 1) {
        counts[Int(anomaly.rawValue)] &+= count
    }

    package mutating func add(_ other: AnomalyCounts) {
        for index in counts.indices { counts[index] &+= other.counts[index] }
    }

    /// Those that were seen, in the order of their definition.
    package var nonZero: [(anomaly: Anomaly, count: UInt64)] {
        Anomaly.allCases.compactMap { self[$0] == 0 ? nil : ($0, self[$0]) }
    }
}

package import TraceModel

/// One thing that the pipeline is told.
package enum PipelineInput: Hashable, Sendable {
    case record(LogRecord)
    /// A batch that is decoded already: the host's own in a live session, any source's of a file that holds no frames. The
    /// type indices of its events count the formats that the source's opening told.
    case batch(SourceID, EventBatch)
}

/// Where a pipeline's inputs come from when they are not made now: a recording, a pair of trace.dat files, CTF directories.
///
/// Whoever implements this gets replay, report, top and every export for nothing; `tandem import` writes the same inputs to
/// a recording. The order of the inputs is the session, so it must not depend on anything but the files. These rules hold
/// for every input, whatever it was made from:
///
/// 1. `.session` comes first, then `.sourceOpened` of the host: its time line is the session's. What is known of machines
///    and links comes before the first event.
/// 2. A source is opened before anything else of it, with all of its formats, and closed once, at the end.
/// 3. Batches of one CPU ascend in time, and so do the watermarks of a source: after a watermark nothing earlier of this
///    source comes. The merge holds what no watermark has released, so there is one of every source for every few
///    thousand events: read files side by side, some milliseconds of each at a time.
/// 4. A batch keeps `Limits.batchEvents`, `batchRecordBytes` and `batchLosses`: it may be encoded later.
package protocol SessionInput: AnyObject {
    /// The next thing to tell; nil at the end.
    func next() throws -> PipelineInput?
    /// Why it ends before its session did, in a sentence; nil while nothing is missing.
    var shortfall: String? { get }
    /// How much has been told, 0 to 1, for people who wait.
    var progress: Double { get }
}

/// What a user named as a session: `SESSION [-A [NAME=]GUEST]…`, as trace-cmd names files of guests.
package struct SessionPaths: Hashable, Sendable {
    package struct Guest: Hashable, Sendable {
        /// Nil when the file says it, or else its own name.
        package var name: String?
        package var path: String

        package init(name: String?, path: String) {
            self.name = name
            self.path = path
        }

        /// `[NAME=]PATH`.
        package init(argument: String) {
            let parts = argument.split(separator: "=", maxSplits: 1)
            let isNamed = parts.count == 2 && !parts[0].contains("/")
            self.init(name: isNamed ? String(parts[0]) : nil, path: isNamed ? String(parts[1]) : argument)
        }
    }

    /// What the user says about clocks, where the files do not: recorded apart, or without a conversion of cycles.
    package struct ClockHints: Hashable, Sendable {
        package struct Offset: Hashable, Sendable {
            /// A guest's name or `host`; nil for the only guest.
            package var name: String?
            /// To be added to each of its times.
            package var nanoseconds: Int64

            package init(name: String?, nanoseconds: Int64) {
                self.name = name
                self.nanoseconds = nanoseconds
            }
        }

        package var offsets: [Offset] = []
        /// Ticks of the trace clock in a second.
        package var ticksPerSecond: Double?

        package init() {}
    }

    package var path: String
    package var guests: [Guest]
    package var clockHints = ClockHints()

    package init(path: String, guests: [Guest] = []) {
        self.path = path
        self.guests = guests
    }
}

/// A kind of files that sessions are in. A new one joins by its line in `SessionFiles` (room Commands).
package protocol SessionFileKind {
    /// For the sentence that lists what can be opened: "a recording of 'tandem record'".
    static var description: String { get }
    /// Looks at the name and the first bytes only.
    static func claims(_ path: String) -> Bool
    static func open(_ paths: SessionPaths) throws -> any SessionInput
}

import SessionLog
import TraceDat
import TraceModel

/// The files of one session, and who they are to each other: which guest each file is of, by which clock, on which threads.
///
/// `trace-cmd record -A` leaves the pairing in three options: the host's file names each guest with the id of its trace and
/// the threads of its vCPUs (GUEST), every file has its own id (TRACEID), and a guest's names that of its host
/// (TIME_SHIFT). Files that were recorded apart have none of it; then what the user says counts.
struct TraceDatSession {
    struct Member {
        var id: SourceID
        var name: String
        var source: TraceDatSource
        var buffers: [TraceDatFile.Buffer]
        var clock: TraceClock
        /// The host's word on this guest.
        var link: TraceDatOptions.Guest?
        /// Nanoseconds that the user wants to be added.
        var offsetNanoseconds: Int64

        /// Of its vCPUs, as far as the host's file tells.
        var threads: [Int32] { (link?.cpus ?? []).map(\.tid).filter { $0 > 0 } }
    }

    var host: Member
    var guests: [Member] = []
    /// Sentences about what was left out or cannot be told.
    var notices: [String] = []

    var members: [Member] { [host] + guests }

    init(_ paths: SessionPaths) throws(TraceDatError) {
        let source = try TraceDatSource(opening: paths.path)
        let words = Self.unameWords(source.file)
        host = try Self.member(.host, name: words.host ?? "host", source)
        for (index, guest) in paths.guests.enumerated() {
            let file = try TraceDatSource(opening: guest.path)
            let link = host.source.file.options.guests.first {
                file.file.options.traceID == $0.traceID && $0.traceID != 0
            }
            let name =
                [guest.name, link?.name, Self.unameWords(file.file).host].compactMap(\.self)
                .first { !$0.isEmpty } ?? "guest\(index + 1)"
            var member = try Self.member(SourceID(UInt32(index + 1)), name: name, file)
            member.link = link
            if let problem = pairingProblem(member) { throw problem }
            if guests.contains(where: { $0.name == name }) { member.name = "\(name)-\(index + 1)" }
            guests.append(member)
        }
        try apply(paths.clockHints)
        for member in members {
            let left = member.source.file.buffers.count - member.buffers.count
            if left > 0 {
                notices.append(
                    "\(member.name): \(left) of its buffers use another clock than the first and were left out")
            }
        }
    }

    private static func member(
        _ id: SourceID, name: String, _ source: TraceDatSource
    ) throws(TraceDatError) -> Member {
        let file = source.file
        let first = file.buffers.first { !$0.cpus.isEmpty } ?? file.buffers.first
        let text = (first?.clock).flatMap { $0.isEmpty ? nil : $0 } ?? file.options.clock ?? TraceClock.local.rawValue
        // The conversion that the options hold is of this clock's cycles.
        guard let clock = text == "tsc2nsec" ? TraceClock.x86TSC : TraceClock(rawValue: text) else {
            throw TraceDatError(
                "'\(source.path)'",
                "its clock '\(text.sanitized)' tells no time that could be compared; record with -C mono")
        }
        return Member(
            id: id, name: name.sanitized, source: source, buffers: file.buffers.filter { $0.clock == first?.clock },
            clock: clock, offsetNanoseconds: 0)
    }

    /// A guest's file of another session would be merged into nonsense.
    private func pairingProblem(_ guest: Member) -> TraceDatError? {
        guard let peer = guest.source.file.options.timeShift?.peerTraceID, let own = host.source.file.options.traceID,
            peer != own
        else { return nil }
        return TraceDatError(
            "'\(guest.source.path)'",
            "it was recorded together with trace \(hexadecimal(peer)), and '\(host.source.path)' is trace \(hexadecimal(own)): "
                + "give the host's file first, and only guests of the same 'trace-cmd record -A'")
    }

    private mutating func apply(_ hints: SessionPaths.ClockHints) throws(TraceDatError) {
        for offset in hints.offsets {
            if offset.name == nil, guests.count == 1 {
                guests[0].offsetNanoseconds = offset.nanoseconds
            } else if let place = guests.firstIndex(where: { $0.name == offset.name }) {
                guests[place].offsetNanoseconds = offset.nanoseconds
            } else if offset.name == "host" {
                host.offsetNanoseconds = offset.nanoseconds
            } else {
                let names = (["host"] + guests.map(\.name)).joined(separator: ", ")
                throw TraceDatError("--ts-offset", "say whose it is, as NAME=NANOSECONDS; there are \(names)")
            }
        }
    }

    private func hexadecimal(_ value: UInt64) -> String { "0x\(String(value, radix: 16))" }

    /// UNAME is `Linux HOST RELEASE MACHINE`.
    static func unameWords(_ file: TraceDatFile) -> (host: String?, release: String?) {
        let words = (file.options.uname ?? "").split(separator: " ").map { String($0).sanitized }
        return words.count >= 3 ? (words[1], words[2]) : (nil, nil)
    }
}

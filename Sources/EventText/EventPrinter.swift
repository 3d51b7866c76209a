package import TraceModel

/// Events of many machines as lines of text, in the habits of `trace-cmd report` (tracecmd/trace-read.c, `print_event`):
///
/// ```
///  host:           bash-1204    [001]  8131.000204112: sched_switch:         prev_comm=bash prev_pid=1204 …
/// ```
/// Fields are printed by name from the event's format, integers in decimal (pointers in hexadecimal), strings as they are.
/// The kernel's `print fmt` is not interpreted: a name and a number say the same on every kernel.
///
/// Everything that can be prepared per event type is (`LinePrograms`), and per task too (`TaskHeads`), so that a line is a few
/// loads and stores.
package struct EventPrinter {
    package struct Options: Hashable, Sendable {
        /// After the time, how much later than the line before: `--ts-diff`.
        package var showsDifference = false
        /// What the source's own clock read, as one number that nothing has converted: `--raw-ts`.
        package var isRaw = false
        /// Times since this one: `--align-ts`.
        package var origin: HostTime?

        package init() {}
    }

    fileprivate struct Source {
        var id: SourceID
        var name: [UInt8]
        /// Right-aligned among those of the other sources, with a colon; longer by `LineCursor.overrun` bytes.
        var label: [UInt8] = []
        var programs: LinePrograms
        var tasks = TaskHeads()
    }

    private let options: Options
    private var sources: [Source] = []
    private var previous: HostTime?

    package init(options: Options) { self.options = options }

    package mutating func open(
        _ id: SourceID, name: String, formats: FormatTable, tasks: [(tid: Int32, comm: Comm)]
    ) {
        var source = Source(id: id, name: Array(name.sanitized.utf8.prefix(64)), programs: LinePrograms(formats))
        for task in tasks { source.tasks.learn(task.tid, task.comm) }
        sources.removeAll { $0.id == id }
        sources.append(source)
        let width = sources.map(\.name.count).max() ?? 0
        for index in sources.indices {
            let name = sources[index].name
            sources[index].label =
                Array(repeating: UInt8(ascii: " "), count: width - name.count) + name + Array(": ".utf8)
                + Array(repeating: 0, count: LineCursor.overrun)
        }
    }

    /// The place of a source in what `print` takes; nil when it was never opened.
    package func place(of id: SourceID) -> Int? {
        // Without a closure, which would be given a copy of every source.
        for place in sources.indices where sources[place].id == id { return place }
        return nil
    }

    package func name(of place: Int) -> String { String(decoding: sources[place].name, as: UTF8.self) }

    /// The name of a task, as far as the events told it.
    package func comm(_ tid: Int32, of place: Int) -> String { sources[place].tasks.comm(tid)?.text ?? "" }

    /// One line for one event.
    package mutating func print(
        _ header: EventHeader, in records: borrowing RawSpan, cpu: Int, at time: HostTime, of place: Int,
        into buffer: inout LineBuffer
    ) {
        guard sources.indices.contains(place) else { return }
        let difference = options.showsDifference ? previous.map { time - $0 } ?? 0 : nil
        let shown = options.isRaw ? nil : options.origin.map { time - $0 } ?? time.nanoseconds
        if sources[place].print(header, in: records, cpu: cpu, at: shown, difference, into: &buffer) { previous = time }
    }

    /// A line for a gap in the events of one CPU.
    package mutating func print(_ loss: LossMark, cpu: Int, of place: Int, into buffer: inout LineBuffer) {
        guard sources.indices.contains(place) else { return }
        var text = Array(" CPU:\(cpu) [\(loss.count.map { "\($0) " } ?? "")EVENTS DROPPED]\n".utf8)
        let count = text.count
        text += Array(repeating: 0, count: LineCursor.overrun)
        buffer.line(room: LinePrograms.headBytes) { line in
            EventPrinter.Source.put(sources[place].label, &line)
            text.withUnsafeBytes { bytes in
                if let start = bytes.baseAddress { line.put(padded: start, count) }
            }
        }
    }
}

extension EventPrinter.Source {
    /// What ends with `LineCursor.overrun` bytes that do not count.
    @inline(__always)
    fileprivate static func put(_ padded: [UInt8], _ line: inout LineCursor) {
        padded.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { line.put(padded: start, bytes.count &- LineCursor.overrun) }
        }
    }

    /// Without a time, the clock's own reading is shown. False when there is no such type.
    @inline(__always)
    fileprivate mutating func print(
        _ header: EventHeader, in records: borrowing RawSpan, cpu: Int, at nanoseconds: Int64?, _ difference: Int64?,
        into buffer: inout LineBuffer
    ) -> Bool {
        let length = Int(header.length)
        let start = Int(header.offset)
        guard let program = programs.program(Int(header.typeIndex)), start &+ length <= records.byteCount else {
            return false
        }
        let head = tasks.head(header.pid) ?? TaskHead(header.pid, nil)
        // Not `self`, of which the closure would take a copy: a dozen references for every line.
        let (label, words, steps, isSwapped) = (label, programs.words, programs.steps, programs.isSwapped)
        // Every byte of a record is printed as three at most.
        buffer.line(room: program.room &+ 4 &* length) { line in
            Self.put(label, &line)
            head.put(into: &line)
            Self.putPlace(cpu, nanoseconds, header.ticks, difference, &line)
            Self.putFields(program, steps, words, isSwapped, header, in: records, &line)
            line.put(UInt8(ascii: "\n"))
        }
        if let tid = program.nextTID?.value(in: records, of: header), tid != 0,
            let next = program.nextComm?.value(in: records, of: header)
        {
            tasks.learn(Int32(truncatingIfNeeded: tid), next)
        }
        return true
    }

    /// `[001]  8131.000204112 (+500): `
    @inline(__always)
    private static func putPlace(
        _ cpu: Int, _ nanoseconds: Int64?, _ ticks: TraceTicks, _ difference: Int64?, _ line: inout LineCursor
    ) {
        line.put(UInt8(ascii: "["))
        line.put(threeDigits: UInt64(truncatingIfNeeded: cpu))
        line.put(UInt8(ascii: "]"))
        line.put(UInt8(ascii: " "))
        if let nanoseconds {
            if nanoseconds < 0 { line.put(UInt8(ascii: "-")) }
            let (seconds, rest) = nanoseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
            line.put(seconds)
            line.put(UInt8(ascii: "."))
            line.put(nineDigits: rest)
        } else {
            line.put(ticks.rawValue)
        }
        if let difference {
            line.put(UInt8(ascii: " "))
            line.put(UInt8(ascii: "("))
            line.put(UInt8(ascii: "+"))
            line.put(signed: difference)
            line.put(UInt8(ascii: ")"))
        }
        line.put(UInt8(ascii: ":"))
        line.put(UInt8(ascii: " "))
    }

    @inline(__always)
    private static func putFields(
        _ program: LinePrograms.Program, _ steps: [LinePrograms.Step], _ words: [UInt8], _ isSwapped: Bool,
        _ header: EventHeader, in records: borrowing RawSpan, _ line: inout LineCursor
    ) {
        let length = Int(header.length)
        // Fields may overlap, and many may point to the same bytes: what they print together is limited all the same.
        var budget = 4 &* length
        words.withUnsafeBytes { words in
            guard let words = words.baseAddress else { return }
            records.withUnsafeBytes { all in
                guard let record = all.baseAddress.map({ $0 + Int(header.offset) }) else { return }
                line.put(padded: words + Int(program.title.start), Int(program.title.count))
                for index in Int(program.firstStep)..<Int(program.endStep) {
                    let step = steps[index]
                    guard step.end <= length else { continue }
                    line.put(padded: words + Int(step.label.start), Int(step.label.count))
                    switch step.kind {
                    case .signed(let field): line.put(signed: field.value(in: records, of: header) ?? 0)
                    case .unsigned(let field):
                        line.put(UInt64(bitPattern: field.value(in: records, of: header) ?? 0))
                    case .pointer(let field):
                        line.put(hex: UInt64(bitPattern: field.value(in: records, of: header) ?? 0))
                    case .name where budget >= 16:
                        budget &-= 16
                        line.put(untrustedName: record + Int(step.offset))
                    case .text, .name: line.put(untrusted: record + Int(step.offset), take(Int(step.size), of: &budget))
                    case .dynamic(let base):
                        guard step.size == 4 else { continue }
                        let raw = record.loadUnaligned(fromByteOffset: Int(step.offset), as: UInt32.self)
                        let word = isSwapped ? raw.byteSwapped : raw
                        let (at, size) = (Int(base) &+ Int(word & 0xffff), Int(word >> 16))
                        guard at &+ size <= length else { continue }
                        line.put(untrusted: record + at, take(size, of: &budget))
                    case .bytes:
                        for place in 0..<take(3 &* Int(step.size), of: &budget) / 3 {
                            if place > 0 { line.put(UInt8(ascii: ",")) }
                            line.put(hexByte: record.load(fromByteOffset: Int(step.offset) &+ place, as: UInt8.self))
                        }
                    }
                }
            }
        }
    }

    @inline(__always)
    private static func take(_ count: Int, of budget: inout Int) -> Int {
        let taken = min(count, budget)
        budget &-= taken
        return taken
    }
}

package import TraceModel

/// Events of many machines as lines of text, in the habits of `trace-cmd report` (tracecmd/trace-read.c, `print_event`):
///
/// ```
///  host:           bash-1204    [001]  8131.000204112: sched_switch:         prev_comm=bash prev_pid=1204 …
/// ```
/// Fields are printed by name from the event's format, integers in decimal (pointers in hexadecimal), strings as they are.
/// The kernel's `print fmt` is not interpreted: a name and a number say the same on every kernel.
///
/// Everything that can be prepared per event type is, so that a line is a few loads and stores.
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

    fileprivate struct Field {
        enum Kind {
            case signed(IntegerField), unsigned(IntegerField), pointer(IntegerField), text, dynamic(Int), bytes
        }
        var label: [UInt8]
        var kind: Kind
        var offset: Int
        var size: Int
    }

    fileprivate struct EventType {
        /// `sched_switch: ` padded.
        var title: [UInt8]
        var fields: [Field]
        /// Bytes of a line, but for the record's own.
        var room: Int
        var nextTID: IntegerField?
        var nextComm: CommField?
    }

    fileprivate struct Source {
        var id: SourceID
        var label: [UInt8]
        var formats: FormatTable
        /// Made when the first event of a type comes: a kernel has thousands, of which a trace has a few.
        var types: [EventType?]
        var isSwapped: Bool
        var comms: [Int32: Comm] = [:]
    }

    private let options: Options
    private var sources: [Source] = []
    private var labelWidth = 0
    private var previous: HostTime?

    private static let commWidth = 16
    private static let titleWidth = 21
    /// More than the parts of a line before its fields can take.
    private static let headBytes = 256
    /// More than a field's value takes, for strings beside their bytes.
    private static let fieldBytes = 24

    package init(options: Options) { self.options = options }

    package mutating func open(
        _ id: SourceID, name: String, formats: FormatTable, tasks: [(tid: Int32, comm: Comm)]
    ) {
        let swapped = formats.byteOrder != .native
        var source = Source(
            id: id, label: Array(name.sanitized.utf8.prefix(64)),
            formats: formats, types: Array(repeating: nil, count: formats.formats.count), isSwapped: swapped)
        for task in tasks { source.comms[task.tid] = task.comm }
        sources.removeAll { $0.id == id }
        sources.append(source)
        labelWidth = sources.map(\.label.count).max() ?? 0
    }

    fileprivate static func type(_ format: EventFormat, _ order: ByteOrder) -> EventType {
        var title = Array("\(format.name.sanitized):".utf8.prefix(120))
        repeat { title.append(UInt8(ascii: " ")) } while title.count < titleWidth
        let fields = format.fields.map { field in
            Field(
                label: Array(" \(field.name.sanitized)=".utf8.prefix(80)), kind: kind(field, order),
                offset: field.offset,
                size: field.size)
        }
        return EventType(
            title: title, fields: fields, room: fields.reduce(headBytes) { $0 + $1.label.count + fieldBytes },
            nextTID: IntegerField("next_pid", of: format, byteOrder: order),
            nextComm: CommField("next_comm", of: format))
    }

    private static func kind(_ field: EventField, _ order: ByteOrder) -> Field.Kind {
        switch field.kind {
        case .text: return .text
        case .dynamic: return .dynamic(0)
        case .relativeDynamic: return .dynamic(field.offset + field.size)
        case .bytes: return .bytes
        case .integer:
            guard let bound = IntegerField(field, byteOrder: order) else { return .bytes }
            if field.type.contains("*") || field.type == "unsigned long" { return .pointer(bound) }
            return field.isSigned ? .signed(bound) : .unsigned(bound)
        }
    }

    /// The place of a source in what `print` takes; nil when it was never opened.
    package func place(of id: SourceID) -> Int? { sources.firstIndex { $0.id == id } }

    package func name(of place: Int) -> String { String(decoding: sources[place].label, as: UTF8.self) }

    /// The name of a task, as far as the events told it.
    package func comm(_ tid: Int32, of place: Int) -> String { sources[place].comms[tid]?.text ?? "" }

    /// One line for one event.
    package mutating func print(
        _ header: EventHeader, in records: borrowing RawSpan, cpu: Int, at time: HostTime, of place: Int,
        into buffer: inout LineBuffer
    ) {
        guard sources.indices.contains(place), let type = sources[place].type(Int(header.typeIndex)) else { return }
        let source = sources[place]
        let comm = header.pid == 0 ? nil : source.comms[header.pid]
        let length = Int(header.length)
        let start = Int(header.offset)
        // Every byte of a record is printed as three at most.
        buffer.line(room: type.room &+ 4 &* length) { line in
            putHead(source, header, comm, cpu, time, &line)
            line.put(type.title)
            for field in type.fields {
                guard field.offset &+ field.size <= length else { continue }
                line.put(field.label)
                switch field.kind {
                case .signed(let bound): line.put(signed: bound.value(in: records, of: header) ?? 0)
                case .unsigned(let bound):
                    line.put(UInt64(bitPattern: bound.value(in: records, of: header) ?? 0))
                case .pointer(let bound):
                    line.put(hex: UInt64(bitPattern: bound.value(in: records, of: header) ?? 0))
                case .text: putText(records, start &+ field.offset, field.size, &line)
                case .dynamic(let base):
                    let word = EventPrinter.word(records, start &+ field.offset, source.isSwapped)
                    let (at, size) = (base &+ Int(word & 0xffff), Int(word >> 16))
                    if field.size == 4, at &+ size <= length { putText(records, start &+ at, size, &line) }
                case .bytes: putBytes(records, start &+ field.offset, field.size, &line)
                }
            }
            line.put(UInt8(ascii: "\n"))
        }
        if let tid = type.nextTID?.value(in: records, of: header),
            let next = type.nextComm?.value(in: records, of: header)
        {
            sources[place].learn(Int32(truncatingIfNeeded: tid), next)
        }
        previous = time
    }

    /// A line for a gap in the events of one CPU.
    package mutating func print(_ loss: LossMark, cpu: Int, of place: Int, into buffer: inout LineBuffer) {
        guard sources.indices.contains(place) else { return }
        let source = sources[place]
        buffer.line(room: EventPrinter.headBytes) { line in
            line.put(source.label, width: labelWidth)
            line.put(Array(":  CPU:\(cpu) [\(loss.count.map { "\($0) " } ?? "")EVENTS DROPPED]\n".utf8))
        }
    }

    @inline(__always)
    private func putHead(
        _ source: Source, _ header: EventHeader, _ comm: Comm?, _ cpu: Int, _ time: HostTime, _ line: inout LineCursor
    ) {
        line.put(source.label, width: labelWidth)
        line.put(UInt8(ascii: ":"))
        line.put(UInt8(ascii: " "))
        let begin = line.count
        var name: InlineArray<16, UInt8> = .init(repeating: 0)
        let known = comm.map { $0.copy(to: &name) } ?? 0
        if known == 0 {
            line.put(header.pid == 0 ? EventPrinter.idle : EventPrinter.unknown, width: EventPrinter.commWidth)
        } else {
            for _ in 0..<max(0, EventPrinter.commWidth - known) { line.put(UInt8(ascii: " ")) }
            for index in 0..<known { line.put(untrusted: name[index]) }
        }
        line.put(UInt8(ascii: "-"))
        line.put(signed: Int64(header.pid))
        line.pad(to: begin + EventPrinter.commWidth + 9)
        line.put(UInt8(ascii: "["))
        line.put(UInt64(cpu), digits: 3)
        line.put(UInt8(ascii: "]"))
        line.put(UInt8(ascii: " "))
        if options.isRaw {
            line.put(header.ticks.rawValue)
        } else {
            let shown = options.origin.map { time - $0 } ?? time.nanoseconds
            if shown < 0 { line.put(UInt8(ascii: "-")) }
            let (seconds, rest) = shown.magnitude.quotientAndRemainder(dividingBy: 1_000_000_000)
            line.put(seconds)
            line.put(UInt8(ascii: "."))
            line.put(rest, digits: 9)
        }
        if options.showsDifference {
            line.put(EventPrinter.difference)
            line.put(signed: previous.map { time - $0 } ?? 0)
            line.put(UInt8(ascii: ")"))
        }
        line.put(UInt8(ascii: ":"))
        line.put(UInt8(ascii: " "))
    }

    private static let idle = Array("<idle>".utf8)
    private static let unknown = Array("<...>".utf8)
    private static let difference = Array(" (+".utf8)

    @inline(__always)
    private func putText(_ records: borrowing RawSpan, _ at: Int, _ size: Int, _ line: inout LineCursor) {
        for index in 0..<size {
            let byte = records.unsafeLoad(fromByteOffset: at &+ index, as: UInt8.self)
            if byte == 0 { return }
            line.put(untrusted: byte)
        }
    }

    private func putBytes(_ records: borrowing RawSpan, _ at: Int, _ size: Int, _ line: inout LineCursor) {
        for index in 0..<size {
            let byte = records.unsafeLoad(fromByteOffset: at &+ index, as: UInt8.self)
            if index > 0 { line.put(UInt8(ascii: ",")) }
            line.put(digit: byte >> 4)
            line.put(digit: byte & 15)
        }
    }

    private static func word(_ records: borrowing RawSpan, _ at: Int, _ isSwapped: Bool) -> UInt32 {
        let word = records.unsafeLoadUnaligned(fromByteOffset: at, as: UInt32.self)
        return isSwapped ? word.byteSwapped : word
    }
}

extension EventPrinter.Source {
    /// Nil when there is no such type.
    @inline(__always)
    fileprivate mutating func type(_ index: Int) -> EventPrinter.EventType? {
        guard types.indices.contains(index) else { return nil }
        if types[index] == nil { types[index] = EventPrinter.type(formats.formats[index], formats.byteOrder) }
        return types[index]
    }

    /// Names change seldom: looking costs less than storing.
    @inline(__always)
    fileprivate mutating func learn(_ tid: Int32, _ comm: Comm) {
        guard tid != 0, comms[tid] != comm else { return }
        if comms.count >= Limits.taskNames { comms.removeAll(keepingCapacity: true) }
        comms[tid] = comm
    }
}

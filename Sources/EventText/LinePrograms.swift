import TraceModel

/// How the events of one source are printed: for each type a list of steps, all of them in one array, and their words in
/// another. A line is then printed without a reference being counted.
struct LinePrograms {
    /// A place in `words`.
    struct Word {
        var start: Int32
        var count: Int32
    }

    /// A field: its label, and what is printed behind it.
    struct Step {
        enum Kind {
            case signed(IntegerField), unsigned(IntegerField), pointer(IntegerField)
            /// `name` is a text of sixteen bytes.
            case text, name, dynamic(Int32), bytes
        }
        var label: Word
        var kind: Kind
        var offset: Int32
        var size: Int32

        var end: Int { Int(offset) &+ Int(size) }
    }

    struct Program {
        /// `sched_switch: ` padded.
        var title: Word
        var firstStep: Int32
        var endStep: Int32
        /// Bytes of a line, but for the record's own.
        var room: Int
        var nextTID: IntegerField?
        var nextComm: CommField?
    }

    private let formats: FormatTable
    /// Made when the first event of a type comes: a kernel has thousands, of which a trace has a few.
    private var programs: [Program?]
    private(set) var steps: [Step] = []
    /// Followed by eight bytes that belong to none.
    private(set) var words = [UInt8](repeating: 0, count: LineCursor.overrun)

    static let titleWidth = 21
    /// More than the parts of a line before its title can take.
    static let headBytes = 256
    /// More than a field's value takes, for strings beside their bytes.
    static let fieldBytes = 24

    init(_ formats: FormatTable) {
        self.formats = formats
        isSwapped = formats.byteOrder != .native
        programs = Array(repeating: nil, count: formats.formats.count)
    }

    let isSwapped: Bool

    /// Nil when there is no such type.
    @inline(__always)
    mutating func program(_ type: Int) -> Program? {
        guard programs.indices.contains(type) else { return nil }
        return programs[type] ?? make(type)
    }

    private mutating func make(_ type: Int) -> Program {
        let format = formats.formats[type]
        var title = Array("\(format.name.sanitized):".utf8.prefix(120))
        repeat { title.append(UInt8(ascii: " ")) } while title.count < LinePrograms.titleWidth
        let first = steps.count
        var room = LinePrograms.headBytes + title.count
        let titleWord = store(title)
        for field in format.fields {
            guard let offset = Int32(exactly: field.offset), let size = Int32(exactly: field.size), offset >= 0,
                size >= 0
            else { continue }
            let label = Array(" \(field.name.sanitized)=".utf8.prefix(80))
            room += label.count + LinePrograms.fieldBytes
            steps.append(
                Step(label: store(label), kind: LinePrograms.kind(field, formats.byteOrder), offset: offset, size: size)
            )
        }
        let program = Program(
            title: titleWord, firstStep: Int32(first), endStep: Int32(steps.count), room: room,
            nextTID: IntegerField("next_pid", of: format, byteOrder: formats.byteOrder),
            nextComm: CommField("next_comm", of: format))
        programs[type] = program
        return program
    }

    private mutating func store(_ text: [UInt8]) -> Word {
        let start = words.count - LineCursor.overrun
        words.insert(contentsOf: text, at: start)
        return Word(start: Int32(start), count: Int32(text.count))
    }

    private static func kind(_ field: EventField, _ order: ByteOrder) -> Step.Kind {
        switch field.kind {
        case .text: return field.size == 16 ? .name : .text
        case .dynamic: return .dynamic(0)
        case .relativeDynamic: return .dynamic(Int32(clamping: field.offset + field.size))
        case .bytes: return .bytes
        case .integer:
            guard let bound = IntegerField(field, byteOrder: order) else { return .bytes }
            if field.type.contains("*") || field.type == "unsigned long" { return .pointer(bound) }
            return field.isSigned ? .signed(bound) : .unsigned(bound)
        }
    }
}

import EventText
import Testing
import TraceModel

struct EventTextTests {
    private static let switchFormat = EventFormat(
        kernelID: 5, system: "sched", name: "sched_switch",
        fields: [
            EventField(name: "prev_comm", type: "char", offset: 8, size: 16, isSigned: false, kind: .text),
            EventField(name: "prev_pid", type: "pid_t", offset: 24, size: 4, isSigned: true, kind: .integer),
            EventField(name: "next_comm", type: "char", offset: 28, size: 16, isSigned: false, kind: .text),
            EventField(name: "next_pid", type: "pid_t", offset: 44, size: 4, isSigned: true, kind: .integer),
            EventField(name: "where", type: "void *", offset: 48, size: 8, isSigned: false, kind: .integer),
        ], text: "")

    private static let table = FormatTable(byteOrder: .native, longSize: 8, formats: [switchFormat])

    private func record(_ prev: String, _ prevPID: Int32, _ next: String, _ nextPID: Int32, at place: UInt64) -> [UInt8]
    {
        func name(_ text: String) -> [UInt8] { Array((Array(text.utf8) + [UInt8](repeating: 0, count: 16)).prefix(16)) }
        func bytes<Value>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
        return [5, 0, 0, 0] + bytes(prevPID) + name(prev) + bytes(prevPID) + name(next) + bytes(nextPID) + bytes(place)
    }

    private func printed(_ options: EventPrinter.Options, times: [Int64], _ records: [[UInt8]]) -> [String] {
        var printer = EventPrinter(options: options)
        printer.open(.host, name: "host", formats: Self.table, tasks: [(7, Comm("bash"))])
        var buffer = LineBuffer()
        for (time, record) in zip(times, records) {
            let header = EventHeader(
                ticks: TraceTicks(UInt64(bitPattern: time) &+ 7), offset: 0, length: UInt32(record.count), pid: 7,
                typeIndex: 0, flags: 0, preemptCount: 0)
            printer.print(
                header, in: record.span.bytes, cpu: 1, at: HostTime(nanoseconds: time), of: 0, into: &buffer)
        }
        var text = ""
        buffer.take { text = String(decoding: $0, as: UTF8.self) }
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).dropLast()
    }

    @Test func `a line says who, where, when and every field by name`() {
        let lines = printed(.init(), times: [8_131_000_204_112], [record("bash", 7, "qemu", -1, at: 0xffff_0001)])
        #expect(
            lines == [
                "host:             bash-7       [001] 8131.000204112: sched_switch:         prev_comm=bash prev_pid=7"
                    + " next_comm=qemu next_pid=-1 where=0xffff0001"
            ])
    }

    @Test func `times are raw, aligned or followed by the difference as asked`() {
        let two = [record("a", 1, "b", 2, at: 0), record("b", 2, "c", 3, at: 0)]
        var options = EventPrinter.Options()
        options.isRaw = true
        options.showsDifference = true
        let raw = printed(options, times: [1000, 1500], two)
        #expect(raw[0].contains(" 1007 (+0): ") && raw[1].contains(" 1507 (+500): "), "the clock's own word")
        options = .init()
        options.origin = HostTime(nanoseconds: 1000)
        #expect(printed(options, times: [999, 1500], two).map { $0.contains(" -0.000000001: ") } == [true, false])
        #expect(printed(options, times: [999, 1500], two)[1].contains(" 0.000000500: "))
    }

    @Test func `the last lines are those that end the text, however it comes`() {
        let lines = (0..<200_000).map { "line \($0)\n" }
        let text = Array(lines.joined().utf8)
        for count in [1, 3, 150_000, 200_000, 300_000] {
            for piece in [1 << 10, 1 << 18, text.count] {
                var tail = LastLines(count)
                for start in stride(from: 0, to: text.count, by: piece) {
                    text[start..<min(start + piece, text.count)].withUnsafeBytes { tail.append($0) }
                }
                #expect(tail.take() == Array(lines.suffix(count).joined().utf8), "\(count) lines, \(piece) bytes each")
            }
        }
    }

    @Test func `numbers of every length are printed as the standard library prints them`() {
        var numbers: [UInt64] = [0, .max, 1 << 63]
        var power: UInt64 = 1
        for _ in 0..<20 {
            numbers += [power &- 1, power, power &+ 1]
            power = power &* 10
        }
        for shift in 0..<64 as Range<UInt64> {
            numbers += [1 << shift, (0x9e37_79b9_7f4a_7c15 &* (shift + 1)) >> shift]
        }
        func field(_ name: String, _ type: String, _ isSigned: Bool) -> EventField {
            EventField(name: name, type: type, offset: 8, size: 8, isSigned: isSigned, kind: .integer)
        }
        let fields = [field("u", "u64", false), field("s", "s64", true), field("p", "void *", false)]
        let bytes = EventField(name: "b", type: "u8[8]", offset: 8, size: 8, isSigned: false, kind: .bytes)
        let format = EventFormat(kernelID: 5, system: "a", name: "b", fields: fields + [bytes], text: "")
        var printer = EventPrinter(options: .init())
        printer.open(
            .host, name: "host", formats: FormatTable(byteOrder: .native, longSize: 8, formats: [format]), tasks: [])
        var buffer = LineBuffer()
        for number in numbers {
            let raw = withUnsafeBytes(of: number) { Array($0) }
            let record = [5, 0, 0, 0, 9, 0, 0, 0] + raw
            let header = EventHeader(
                ticks: TraceTicks(0), offset: 0, length: 16, pid: 9, typeIndex: 0, flags: 0, preemptCount: 0)
            printer.print(
                header, in: record.span.bytes, cpu: 1234, at: HostTime(nanoseconds: 5), of: 0, into: &buffer)
            let hexadecimal = raw.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ",")
            let expected =
                "host:            <...>-9       [1234] 0.000000005: b:                    u=\(number) "
                + "s=\(Int64(bitPattern: number)) p=0x\(String(number, radix: 16)) b=\(hexadecimal)\n"
            buffer.take { #expect(String(decoding: $0, as: UTF8.self) == expected) }
        }
    }

    @Test func `fields of any length end at the first NUL, and every byte of them is made harmless`() {
        var buffer = LineBuffer()
        for size in [0, 1, 7, 8, 9, 15, 16, 17, 24] {
            let field = EventField(name: "t", type: "char", offset: 8, size: size, isSigned: false, kind: .text)
            let format = EventFormat(kernelID: 5, system: "a", name: "b", fields: [field], text: "")
            var printer = EventPrinter(options: .init())
            printer.open(
                .host, name: "host", formats: FormatTable(byteOrder: .native, longSize: 8, formats: [format]), tasks: []
            )
            for end in 0...size {
                for byte in [0x41, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff] as [UInt8] {
                    var text = [UInt8](repeating: 0x61, count: end)
                    if end > 0 { text[end * 5 % end] = byte }
                    if end > 2 { text[end - 1] = byte }
                    let rest = [UInt8](repeating: 0, count: min(1, size - end))
                    let filler = [UInt8](repeating: 0x1b, count: size - end - rest.count)
                    let record = [5, 0, 0, 0, 9, 0, 0, 0] + text + rest + filler
                    let header = EventHeader(
                        ticks: TraceTicks(0), offset: 0, length: UInt32(record.count), pid: 9, typeIndex: 0, flags: 0,
                        preemptCount: 0)
                    printer.print(
                        header, in: record.span.bytes, cpu: 0, at: HostTime(nanoseconds: 5), of: 0, into: &buffer)
                    let shown = text.map { $0 >= 0x20 && $0 < 0x7f ? $0 : UInt8(ascii: "?") }
                    buffer.take {
                        #expect(
                            String(decoding: $0, as: UTF8.self).hasSuffix(
                                " t=\(String(decoding: shown, as: UTF8.self))\n"), "\(size) bytes, \(end) used, \(byte)"
                        )
                    }
                }
            }
        }
    }

    @Test func `names of a guest cannot steer the terminal, and short records lose only what they lack`() {
        let hostile = printed(.init(), times: [0], [record("\u{1b}[2J\u{07}é", 1, "x", 2, at: 0)])
        #expect(hostile[0].contains("prev_comm=?[2J??? ") && !hostile[0].utf8.contains(0x1b))
        let short = printed(.init(), times: [0], [Array(record("a", 1, "b", 2, at: 0)[..<30])])
        #expect(short[0].contains("prev_pid=1") && !short[0].contains("next"))
    }

    private func check(_ filter: String, _ expected: [Bool], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let records = [
            record("bash", 7, "qemu-system", 20, at: 8), record("qemu-system", 20, "swapper/0", 0, at: 1),
        ]
        let bound = try EventFilter(filter).bound(to: Self.switchFormat, byteOrder: .native)
        let found = records.map { record in
            bound?.matches(
                EventHeader(
                    ticks: TraceTicks(0), offset: 0, length: UInt32(record.count), pid: 7, typeIndex: 0, flags: 0,
                    preemptCount: 0), in: record.span.bytes, cpu: 3, comm: "bash") ?? false
        }
        #expect(found == expected, "\(filter)", sourceLocation: sourceLocation)
    }

    @Test func `a filter chooses by event, field, task and CPU`() throws {
        try check("sched_switch", [true, true])
        try check("sched", [true, true])
        try check("sched:sched_switch", [true, true])
        try check("kvm_entry, sched_*", [true, true])
        try check("kvm_*", [false, false])
        try check("sched_switch:next_pid == 0", [false, true])
        try check("sched:sched_switch: next_pid == 0", [false, true])
        try check("*:next_pid != 0 && prev_comm == bash", [true, false])
        try check("*:next_comm ~ \"qemu*\" || next_comm ~ 'swap*0'", [true, true])
        try check("*:!(next_comm ~ \"qemu*\")", [false, true])
        try check("*:where & 0x8", [true, false])
        try check("*:cpu >= 3 && pid < 8 && comm == \"bash\"", [true, true])
        try check("*:cpu > 3", [false, false])
        try check("*:no_such_field == 0", [false, false])
    }

    @Test(arguments: [
        "", ":next_pid == 0", "sched_switch:next_pid ==", "sched_switch:(next_pid == 0", "sched_switch:next_pid == 0)",
        "sched_switch:next_pid < bash", "sched_switch:== 5", "sched_switch:comm == \"bash",
        "sched_switch:" + String(repeating: "!", count: 100) + "pid == 1",
    ])
    func `what is no filter is refused with an example`(text: String) {
        let problem = #expect(throws: EventFilter.Problem.self) { try EventFilter(text) }
        #expect(problem?.description.contains("'\(text)'") == true)
    }
}

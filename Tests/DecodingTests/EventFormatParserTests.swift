import Decoding
import Testing
import TraceModel

/// The text of format files: of today's kernels, of old ones, and of none.
struct EventFormatParserTests {
    private static let common = """
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
        \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

        """

    private static func file(_ fields: String, common: String = common, tail: String = "\nprint fmt: \"x\"\n") -> String
    {
        "name: test\nID: 42\nformat:\n\(common)\n\(fields)\(tail)"
    }

    /// Parses one declaration and compares all that is made of it.
    private func check(
        _ declaration: String, size: Int, signed: String = "\tsigned:0;", name: String, type: String,
        kind: EventField.Kind, isSigned: Bool = false, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let text = Self.file("\tfield:\(declaration);\toffset:8;\tsize:\(size);\(signed)\n")
        let format = try EventFormatParser.parse(text, system: "test")
        let expected = EventField(name: name, type: type, offset: 8, size: size, isSigned: isSigned, kind: kind)
        #expect(format.fields == [expected], sourceLocation: sourceLocation)
    }

    private func checkError(
        _ text: String, system: String = "test", _ reason: EventFormatError.Reason, line: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(throws: EventFormatError(reason, line: line), sourceLocation: sourceLocation) {
            try EventFormatParser.parse(text, system: system)
        }
    }

    @Test
    func `sched_switch of Linux 6,18 is read whole`() throws {
        let text = """
            name: sched_switch
            ID: 372
            format:
            \(Self.common)
            \tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;
            \tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;
            \tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;

            print fmt: "prev_comm=%s prev_pid=%d", REC->prev_comm,
             REC->prev_pid
            """
        let format = try EventFormatParser.parse(text, system: "sched")
        #expect(format.kernelID == 372)
        #expect(format.fullName == "sched:sched_switch")
        #expect(format.text == text)
        #expect(format.minimumLength == 40)
        #expect(
            format.fields == [
                EventField(name: "prev_comm", type: "char[16]", offset: 8, size: 16, isSigned: false, kind: .text),
                EventField(name: "prev_pid", type: "pid_t", offset: 24, size: 4, isSigned: true, kind: .integer),
                EventField(name: "prev_state", type: "long", offset: 32, size: 8, isSigned: true, kind: .integer),
            ])
    }

    @Test
    func `integers, enumerations and pointers are integers`() throws {
        try check("unsigned int  vcpu_id", size: 4, name: "vcpu_id", type: "unsigned int", kind: .integer)
        try check("enum zone_type idx", size: 4, name: "idx", type: "enum zone_type", kind: .integer)
        try check("const void* ip", size: 8, name: "ip", type: "const void*", kind: .integer)
        try check("const char *const * argv", size: 8, name: "argv", type: "const char *const *", kind: .integer)
        try check("void __seg_gs * ptr", size: 8, name: "ptr", type: "void __seg_gs *", kind: .integer)
        try check("char *name", size: 8, name: "name", type: "char *", kind: .integer)
        try check("struct mm_struct * mm", size: 8, name: "mm", type: "struct mm_struct *", kind: .integer)
        try check(
            "char __attribute__((btf_type_tag(\"user\"))) * p", size: 8, name: "p",
            type: "char __attribute__((btf_type_tag(\"user\"))) *", kind: .integer)
        try check(
            "unsigned long graph_ent.func", size: 8, name: "graph_ent.func", type: "unsigned long", kind: .integer)
    }

    @Test
    func `brackets may follow the name or the type`() throws {
        try check("char comm[16]", size: 16, name: "comm", type: "char[16]", kind: .text)
        try check("char comm[TASK_COMM_LEN]", size: 16, name: "comm", type: "char[TASK_COMM_LEN]", kind: .text)
        try check("const char[16] comm", size: 16, name: "comm", type: "const char[16]", kind: .text)
        try check("char buf[]", size: 0, name: "buf", type: "char[]", kind: .text)
        try check("u8 fsid[16]", size: 16, name: "fsid", type: "u8[16]", kind: .bytes)
        try check("unsigned char addr[6]", size: 6, name: "addr", type: "unsigned char[6]", kind: .bytes)
        try check("unsigned long args[6]", size: 48, name: "args", type: "unsigned long[6]", kind: .bytes)
        try check("u8 one[1]", size: 1, name: "one", type: "u8[1]", kind: .bytes)
        try check("int grid[2] [(3 + 1)]", size: 32, name: "grid", type: "int[2] [(3 + 1)]", kind: .bytes)
    }

    @Test
    func `locations of dynamic data are told apart`() throws {
        try check("__data_loc char[] name", size: 4, name: "name", type: "__data_loc char[]", kind: .dynamic)
        try check("__rel_loc char[] name", size: 4, name: "name", type: "__rel_loc char[]", kind: .relativeDynamic)
        try check("__data_loc u64[] addrs", size: 4, name: "addrs", type: "__data_loc u64[]", kind: .dynamic)
        // Before 2.6.32 the location had two bytes.
        try check("__data_loc char[] name", size: 2, name: "name", type: "__data_loc char[]", kind: .bytes)
    }

    @Test
    func `structures and odd sizes are opaque`() throws {
        try check("struct timespec ts", size: 8, name: "ts", type: "struct timespec", kind: .bytes)
        try check("union any value", size: 4, name: "value", type: "union any", kind: .bytes)
        try check("guid_t id", size: 16, name: "id", type: "guid_t", kind: .bytes)
    }

    @Test
    func `a kernel that does not say what is signed is judged by the type`() throws {
        for (type, isSigned) in [
            ("int", true), ("unsigned int", false), ("pid_t", true), ("s64", true), ("u64", false), ("char *", false),
        ] {
            try check("\(type) x", size: 8, signed: "", name: "x", type: type, kind: .integer, isSigned: isSigned)
        }
    }

    @Test
    func `an array of a kernel before 2,6,32 is a field`() throws {
        let text = Self.file("\tfield special:char comm[16];\toffset:8;\tsize:16;\n")
        #expect(try EventFormatParser.parse(text, system: "s").field("comm")?.kind == .text)
    }

    @Test
    func `lines and keys of newer kernels are skipped`() throws {
        let text = Self.file("\tflavour: new\n\tfield:int x;\toffset:8;\tsize:4;\tsigned:1;\tlen:3;\n")
        #expect(try EventFormatParser.parse(text, system: "s").fields.map(\.name) == ["x"])
        let more = Self.common + "\tfield:int common_tgid;\toffset:8;\tsize:4;\tsigned:1;\n"
        #expect(try EventFormatParser.parse(Self.file("", common: more), system: "s").fields.isEmpty)
    }

    @Test
    func `common fields lie where the decoder reads them, or the event is refused`() {
        for (name, line) in [
            ("common_type", 4), ("common_flags", 5), ("common_preempt_count", 6), ("common_pid", 7),
        ] {
            var lines = Self.common.split(separator: "\n").map(String.init)
            lines[line - 4] = "\tfield:int \(name);\toffset:64;\tsize:4;\tsigned:1;"
            checkError(
                Self.file("", common: lines.joined(separator: "\n")), .commonFieldMoved(name), line: line)
            lines.remove(at: line - 4)
            checkError(Self.file("", common: lines.joined(separator: "\n")), .missing(name), line: 0)
        }
    }

    @Test
    func `each malformed line is named with its number`() {
        func field(_ line: String, _ reason: EventFormatError.Reason) {
            checkError(Self.file("\tfield:int fine;\toffset:8;\tsize:4;\tsigned:1;\n\(line)\n"), reason, line: 10)
        }
        field("\tfield:int x", .badField)
        field("\tfield:int x;\toffset:8;\tsigned:0;", .badField)
        field("\tfield:int x;\tsize:8;\tsigned:0;", .badField)
        field("\tfield:int x;\toffset:8\tsize:4;", .badField)
        field("\tfield:int x;\toffset:8;\tsize", .badField)
        field("\tfield:int x;\toffset:-8;\tsize:4;", .badNumber)
        field("\tfield:int x;\toffset:;\tsize:4;", .badNumber)
        field("\tfield:int x;\toffset:65535;\tsize:4;", .badNumber)
        field("\tfield:int x;\toffset:99999999999999999999;\tsize:4;", .badNumber)
        for declaration in [
            "", "int", "int ", "int 4", "[4]", "int []", "int x]", "int [x", "a.b .c", "void (*f)(int)", "int \u{1b}x",
            "int é",
        ] {
            field("\tfield:\(declaration);\toffset:8;\tsize:4;", .badDeclaration)
        }
        checkError("ID: 1\n" + Self.common, .missing("name"), line: 0)
        checkError("name: x\n" + Self.common, .missing("ID"), line: 0)
        checkError("name: x\nID: 65536\n", .badID, line: 2)
        checkError("name: x\nID: -1\n", .badID, line: 2)
        for name in ["", "a b", "a/b", "../x", "\u{1b}[31m", String(repeating: "x", count: 257)] {
            checkError("name: \(name)\nID: 1\n", .badName, line: 1)
            checkError(Self.file(""), system: name, .badName, line: 0)
        }
    }

    @Test
    func `a text longer than any kernel's is refused before it is looked at`() {
        let text = String(repeating: "x", count: Limits.formatBytes + 1)
        checkError(text, .textTooLong(bytes: Limits.formatBytes + 1), line: 0)
    }

    @Test
    func `an error says where, what and what to do`() {
        let text = EventFormatError(.badField, line: 7).description
        #expect(text.contains("line 7") && text.contains("offset") && text.contains("report"))
    }

    @Test
    func `no prefix and no changed byte of a format makes the parser trap`() {
        var random = SeededGenerator.announced()
        let text = Array(
            Self.file(
                "\tfield:__data_loc char[] a;\toffset:8;\tsize:4;\tsigned:0;\n"
                    + "\tfield:const char b[2][3];\toffset:12;\tsize:6;\tsigned:1;\n",
                tail: "\nprint fmt: \"%s\", __print_symbolic(REC->a & 0xff, { 1 << 2, \"x\" \"y\" }, { (-1), \"z\" })"
            )
            .utf8)
        func tryAll(_ bytes: some Collection<UInt8>) {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let format = try? EventFormatParser.parse(text, system: "s") else { return }
            for field in format.fields { _ = SymbolTable(printFormat: format, field: field.name) }
            _ = ExitReasonNames(format: format)
        }
        for length in 0...text.count { tryAll(text.prefix(length)) }
        for _ in 0..<5000 {
            var changed = text
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                changed[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            tryAll(changed)
        }
    }
}

import Decoding
import Testing
import TraceModel

/// Names that a print format gives to numbers.
struct SymbolTableTests {
    private static func format(_ arguments: String, fields: [(name: String, size: Int)] = [("f", 4)]) -> EventFormat {
        EventFormat(
            kernelID: 1, system: "test", name: "test",
            fields: fields.map {
                EventField(name: $0.name, type: "u", offset: 8, size: $0.size, isSigned: false, kind: .integer)
            }, text: "name: test\nprint fmt: \"a %s\", \(arguments)\n")
    }

    private func check(
        _ arguments: String, fields: [(name: String, size: Int)] = [("f", 4)], _ names: [UInt64: String]?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let table = SymbolTable(printFormat: Self.format(arguments, fields: fields), field: "f")
        let found = table.map { Dictionary(uniqueKeysWithValues: $0.entries.map { ($0.value, $0.name) }) }
        #expect(found == names, sourceLocation: sourceLocation)
        for (value, name) in names ?? [:] { #expect(table?[value] == name, sourceLocation: sourceLocation) }
    }

    @Test
    func `numbers are read as C writes them`() {
        check(
            #"__print_symbolic(REC->f, { 10, "ten" }, { 0x1F, "hex" }, { 010, "octal" }, { 7UL, "suffix" }, { 0, "0" })"#,
            [10: "ten", 31: "hex", 8: "octal", 7: "suffix", 0: "0"])
    }

    @Test
    func `constant expressions are computed`() {
        check(
            #"__print_symbolic(REC->f, { 0x040 + 14, "PF" }, { (1 << 3) | (1 << 0), "bits" }, { ((u32)((((1UL))) << (31))), "cast" }, { ( int) (( __kernel_rwf_t)0x10), "two" }, { 2 + 3 * 4 - 1, "order" }, { ~0 & 0xf0, "not" })"#,
            [0x4e: "PF", 9: "bits", 1 << 31: "cast", 0x10: "two", 13: "order", 0xf0: "not"])
    }

    @Test
    func `negative numbers fit the field`() {
        check(#"__print_symbolic(REC->f, { -1, "all" })"#, [0xffff_ffff: "all"])
        let table = SymbolTable(printFormat: Self.format(#"__print_symbolic(REC->f, { -1, "all" })"#), field: "f")
        #expect(table?[.max] == "all", "a sign-extended value is the same value")
        #expect(table?[0xffff_fffe] == nil)
    }

    @Test
    func `neighbouring literals are one, and only the last comma parts number and name`() {
        check(
            #"__print_symbolic(REC->f, { 30, "KVM_EXIT_" "X86_WRMSR" }, { 1, "a, {b}) \"c\"" })"#,
            [30: "KVM_EXIT_X86_WRMSR", 1: #"a, {b}) "c""#])
    }

    @Test
    func `a name cannot harm a terminal`() {
        check("__print_symbolic(REC->f, { 1, \"\u{1b}[31m\" })", [1: "?[31m"])
    }

    @Test
    func `an entry without a constant is left out`() {
        check(#"__print_symbolic(REC->f, { (1 << UNRESOLVED), "a" }, { 2, "b" })"#, [2: "b"])
    }

    @Test
    func `only what the kernel prints of the field is compared`() {
        let format = Self.format(#"__print_symbolic(((REC->f) & (0xff | 0xff00)), { 12, "HLT" })"#)
        let table = SymbolTable(printFormat: format, field: "f")
        #expect(table?[12] == "HLT")
        #expect(table?[0x8000_000c] == "HLT")
        #expect(table?[0x100c] == nil)
    }

    @Test
    func `a table for another field, a computed value or a string is not the field's`() {
        check(#"__print_symbolic(REC->g, { 1, "a" })"#, nil)
        check(#"__print_symbolic(REC->f >> 3, { 1, "a" })"#, nil)
        check(#"__print_symbolic(f(REC->f), { 1, "a" })"#, nil)
        check(#""__print_symbolic(REC->f, { 1, x })""#, nil)
        check(#"__print_flags(REC->f, "|", { 1, "a" })"#, nil)
        check(#"__print_symbolic(REC->f, { 1, "a" })"#, fields: [("g", 4)], nil)
    }

    @Test
    func `two tables that differ are none, two that are equal are one`() {
        let a = #"__print_symbolic(REC->f, { 1, "a" })"#
        check("\(a), \(a)", [1: "a"])
        check(#"REC->g ? \#(a) : __print_symbolic(REC->f, { 1, "b" })"#, fields: [("f", 4), ("g", 4)], nil)
        check(#"REC->g < 0 ? (REC->g == -4 ? "restart" : "error") : \#(a)"#, fields: [("f", 4), ("g", 4)], [1: "a"])
    }

    @Test
    func `the first of two names for a number counts, as in the kernel`() {
        let table = SymbolTable(
            printFormat: Self.format(#"__print_symbolic(REC->f, { 1, "a" }, { 1, "b" })"#), field: "f")
        #expect(table?[1] == "a")
        #expect(table?.entries.count == 2)
    }

    @Test(.timeLimit(.minutes(10)))
    func `hostile nesting costs no more than its length`() {
        for piece in ["(", "__print_symbolic(", "__print_symbolic(REC->f, {", "REC->f & ", "{ 1, ", "- ", "((a)"] {
            let text = "__print_symbolic(REC->f, { " + String(repeating: piece, count: 60_000 / piece.count)
            let format = Self.format(text)
            _ = SymbolTable(printFormat: format, field: "f")
            _ = ExitReasonNames(format: format)
        }
        let brackets = String(repeating: "(", count: 20_000) + "REC->f" + String(repeating: ")", count: 20_000)
        check(#"__print_symbolic(\#(brackets), { 1, "a" })"#, nil)
        check(#"__print_symbolic(REC->f, { \#(brackets), "a" }, { 2, "b" })"#, [2: "b"])
    }
}

struct ExitReasonNamesTests {
    /// The shape of arch/x86/kvm/trace.h since Linux 5.10, tables shortened.
    private static let kvmExit = """
        name: kvm_exit
        print fmt: "vcpu %u reason %s%s%s rip 0x%lx", REC->vcpu_id, (REC->isa == 1) ? \
        __print_symbolic(REC->exit_reason & 0xffff, { 0, "EXCEPTION_NMI" }, { 12, "HLT" }, { 48, "EPT_VIOLATION" }) : \
        __print_symbolic(REC->exit_reason, { 0x078, "hlt" }, { 0x040 + 14, "PF excp" }, { 0x400, "npf" }, \
        { -1, "invalid_guest_state" }), (REC->isa == 1 && REC->exit_reason & ~0xffff) ? " " : "", (REC->isa == 1) ? \
        __print_flags(REC->exit_reason & ~0xffff, " ", { 0x80000000, "FAILED_VMENTRY" }) : "", REC->guest_rip
        """

    private static func names(_ text: String) -> ExitReasonNames {
        let fields = [("exit_reason", 8), ("isa", 24)].map {
            EventField(name: $0.0, type: "u32", offset: $0.1, size: 4, isSigned: false, kind: .integer)
        }
        return ExitReasonNames(
            format: EventFormat(kernelID: 1, system: "kvm", name: "kvm_exit", fields: fields, text: text))
    }

    @Test
    func `each instruction set has its own names`() {
        let names = Self.names(Self.kvmExit)
        #expect(names.name(reason: 12, isa: 1) == "HLT")
        #expect(names.name(reason: 0x8000_0030, isa: 1) == "EPT_VIOLATION")
        #expect(names.name(reason: 0x78, isa: 2) == "hlt")
        #expect(names.name(reason: 0x4e, isa: 2) == "PF excp")
        #expect(names.name(reason: 0xffff_ffff, isa: 2) == "invalid_guest_state")
        #expect(names.name(reason: UInt64(bitPattern: -1), isa: 2) == "invalid_guest_state")
    }

    @Test
    func `no name is better than the other instruction set's`() {
        let names = Self.names(Self.kvmExit)
        #expect(names.name(reason: 12, isa: 2) == nil)
        #expect(names.name(reason: 0x78, isa: 1) == nil)
        #expect(names.name(reason: 0x1_0400, isa: 2) == nil, "SVM's reasons are not masked")
        for isa: UInt64? in [nil, 0, 3, .max] { #expect(names.name(reason: 12, isa: isa) == nil) }
    }

    @Test
    func `the tables may come in the other order`() {
        let text = """
            print fmt: "%s", REC->isa == 2 ? __print_symbolic(REC->exit_reason, { 0x78, "hlt" }) : \
            __print_symbolic(REC->exit_reason, { 12, "HLT" })
            """
        #expect(Self.names(text).name(reason: 0x78, isa: 2) == "hlt")
        #expect(Self.names(text).name(reason: 12, isa: 1) == "HLT")
        #expect(Self.names(text).name(reason: 12, isa: 2) == nil)
    }

    @Test(arguments: [
        #"!(REC->isa == 1) ? __print_symbolic(REC->exit_reason, { 12, "HLT" }) : """#,
        #"REC->x && REC->isa == 1 ? __print_symbolic(REC->exit_reason, { 12, "HLT" }) : """#,
        #"(REC->isa != 1) ? __print_symbolic(REC->exit_reason, { 12, "HLT" }) : """#,
        #"(REC->isa == 3) ? __print_symbolic(REC->exit_reason, { 12, "HLT" }) : """#,
        #"(REC->isa == 1) ? "" : REC->x ? "" : __print_symbolic(REC->exit_reason, { 12, "HLT" })"#,
        #"(REC->isa == 1) ? __print_symbolic(REC->ret, { 12, "HLT" }) : """#,
        #"REC->x"#,
    ])
    func `a condition that is not understood gives no names`(arguments: String) {
        let names = Self.names("print fmt: \"%s\", \(arguments)")
        for isa: UInt64? in [nil, 1, 2] { #expect(names.name(reason: 12, isa: isa) == nil) }
        #expect(Self.names("print fmt:\(arguments)").name(reason: 12, isa: 2) == nil)
    }

    @Test
    func `one table without a condition serves all`() {
        let names = Self.names(#"print fmt: "%s", __print_symbolic(REC->exit_reason, { 12, "HLT" })"#)
        for isa: UInt64? in [nil, 1, 2] { #expect(names.name(reason: 12, isa: isa) == "HLT") }
    }
}

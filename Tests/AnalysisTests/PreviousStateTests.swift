import Testing
import TraceModel

/// Which number means "still runnable" differs between kernels; the event's own format says which.
struct PreviousStateTests {
    private func state(after number: Int64, text: String) throws -> VCPUState {
        var format = KernelFormats.switched
        format.text = text
        let teller = check(
            [(0, 10, .switched(30, 31)), (0, 11, .exit(31, ept)), (0, 20, .switched(31, 30, state: number))], [:],
            formats: [format] + KernelFormats.kvm)
        return try teller.vcpu(31).state.state
    }

    /// Linux 3.16.
    private let old = """
        print fmt: "%s", REC->prev_state & (1024-1) ? __print_flags(REC->prev_state & (1024-1), "|", { 1, "S"} , \
        { 2, "D" }, { 4, "T" }, { 8, "t" }, { 16, "Z" }, { 32, "X" }, { 64, "x" }, { 128, "K" }, { 256, "W" }, \
        { 512, "P" }) : "R", REC->prev_state & 1024 ? "+" : ""
        """

    @Test
    func `the bit above the flags of the format means preempted`() throws {
        #expect(try state(after: 0x100, text: KernelFormats.switched.text) == .preempted)
        #expect(try state(after: 0x80, text: KernelFormats.switched.text) == .blocked)
        #expect(try state(after: 1024, text: old) == .preempted)
        #expect(try state(after: 0x100, text: old) == .blocked)
    }

    @Test
    func `dead is told by its letter`() throws {
        #expect(try state(after: 64, text: old) == .unknown)
        #expect(try state(after: 0x40, text: KernelFormats.switched.text) == .blocked)
    }

    @Test(arguments: [
        "", "__print_flags", "__print_flags({", "__print_flags({ 0x, \"S\" }", "__print_flags({ 1, \"S\" })",
        "__print_flags(x, \"|\", { 0x7fffffffffffffff, \"S\" })", "__print_flags({ 99999999999999999999, \"S\" })",
        "__print_flags({ 0x60, \"S\" })",
    ])
    func `a format without such a table means the recent numbers`(text: String) throws {
        #expect(try state(after: 0x100, text: text) == .preempted)
        #expect(try state(after: 1, text: text) == .blocked)
        #expect(try state(after: 0x10, text: text) == .unknown)
    }
}

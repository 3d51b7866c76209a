import Recorder
import Testing
import TraceModel

/// The steal time of /proc/stat.
struct StealTimeTests {
    /// Linux 6.1, of a guest with two vCPUs: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice.
    private let text = """
        cpu  1132 0 3437 44917 2021 0 112 1806 0 0
        cpu0 607 0 1742 22423 1023 0 50 903 0 0
        cpu1 525 0 1695 22494 998 0 62 1093 0 0
        intr 66093 0 9 0
        ctxt 195263
        """

    @Test
    func `each CPU has its own count, in nanoseconds, and the sum of all is no CPU`() {
        let cpus = StealTime.cpus(parsing: text, ticksPerSecond: 100)
        #expect(
            cpus == [.init(cpu: 0, nanoseconds: 9_030_000_000), .init(cpu: 1, nanoseconds: 10_930_000_000)])
        #expect(StealTime.cpus(parsing: text, ticksPerSecond: 1000).first?.nanoseconds == 903_000_000)
    }

    /// A CPU that is offline has no line (fs/proc/stat.c goes over the online ones).
    @Test
    func `CPUs keep their numbers when one is offline`() {
        let online = text.split(separator: "\n").filter { !$0.hasPrefix("cpu0") }.joined(separator: "\n")
        #expect(StealTime.cpus(parsing: online, ticksPerSecond: 100).map(\.cpu) == [1])
    }

    @Test(arguments: [
        "", "cpu0", "cpu0 1 2 3 4 5 6 7", "cpu0 1 2 3 4 5 6 7 x 9 10", "cpux 1 2 3 4 5 6 7 8", "cpu-1 1 2 3 4 5 6 7 8",
        "cpu99999999999999999999 1 2 3 4 5 6 7 8", "cpu70000 1 2 3 4 5 6 7 8", "page 1 2 3 4 5 6 7 8",
    ])
    func `what does not look like a CPU's line says nothing`(line: String) {
        #expect(StealTime.cpus(parsing: line, ticksPerSecond: 100) == [])
    }

    @Test
    func `a count that no nanoseconds can hold stops nothing, nor does a clock without ticks`() {
        #expect(StealTime.cpus(parsing: "cpu0 1 2 3 4 5 6 7 18446744073709551615", ticksPerSecond: 100).count == 1)
        #expect(StealTime.cpus(parsing: text, ticksPerSecond: 0) == [])
    }

    @Test
    func `this machine's own are read, of the CPUs that it has`() throws {
        let sample = try #require(StealTime.sample(.mono))
        #expect(!sample.cpus.isEmpty && sample.ticks.rawValue > 0)
        #expect(sample.cpus.map(\.cpu) == sample.cpus.map(\.cpu).sorted())
        let later = try #require(StealTime.sample(.mono))
        #expect(later.ticks > sample.ticks)
        for (before, after) in zip(sample.cpus, later.cpus) { #expect(after.nanoseconds >= before.nanoseconds) }
    }
}

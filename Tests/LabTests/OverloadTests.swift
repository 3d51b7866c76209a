import RecordingSupport
import Testing
import TraceModel

extension LabTests {
    /// More events than buffers and programs can take: then every event is either delivered or counted as lost.
    struct Overload {
        let lab: Lab

        init() throws { lab = try Lab() }

        /// What a ring buffer says of itself, summed up over a machine's CPUs (per_cpu/cpuN/stats of the instance).
        private struct RingBuffer {
            /// Not read yet.
            var waiting = 0
            var overrun = 0
            var read = 0
            /// Thrown away because a writer was interrupted in the middle; never seen with a buffer that overwrites.
            var dropped = 0

            var produced: Int { waiting + overrun + read + dropped }

            init(_ stats: String) {
                for line in stats.split(separator: "\n") {
                    let parts = line.split(separator: ":").map { $0.drop { $0 == " " } }
                    guard parts.count == 2, let count = Int(parts[1]) else { continue }
                    switch parts[0] {
                    case "entries": waiting += count
                    case "overrun", "commit overrun": overrun += count
                    case "read events": read += count
                    case "dropped events": dropped += count
                    default: continue
                    }
                }
            }
        }

        private static let statistics = "cat /sys/kernel/tracing/instances/*/per_cpu/cpu*/stats"

        /// `dd` moves that many bytes one by one: a read and a write for each, and some calls before and after. Those of
        /// nobody else are traced, so that it stands still when `dd` has ended.
        private static let transfers = 30_000
        private static let storm = "dd if=/dev/zero of=/dev/null bs=1 count=\(transfers) 2>/dev/null"
        /// The smallest buffer, in KiB: it holds a few hundred of these events.
        private static let selection = "-b 8 -e raw_syscalls:* -f 'comm == \"dd\"'"

        private func checkAccount(
            of source: Snapshot.Source, against buffer: RingBuffer, sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let name = source.name
            // Enter and exit of a read and a write each; dd itself makes less than 100 calls more.
            let expected = 4 * Overload.transfers
            #expect((expected..<expected + 400).contains(buffer.produced), "\(name)", sourceLocation: sourceLocation)
            #expect(buffer.overrun > 0, "\(name): this is no overload", sourceLocation: sourceLocation)
            #expect(source.events > 0, "\(name)", sourceLocation: sourceLocation)
            #expect(source.lost.ringBuffer == UInt64(buffer.overrun), "\(name)", sourceLocation: sourceLocation)
            #expect(
                source.events + source.lost.total == UInt64(buffer.produced),
                "\(name): delivered \(source.events), lost \(source.lost)", sourceLocation: sourceLocation)
            #expect(source.lost.ofUnknownSize == 0, "\(name)", sourceLocation: sourceLocation)
        }

        /// What was said when nothing was left to be read.
        private static func settled(_ look: () throws -> String) throws -> RingBuffer {
            for _ in 0..<300 {
                let buffer = RingBuffer(try look())
                if buffer.waiting == 0 { return buffer }
            }
            throw Lab.Failure(description: "the ring buffer is never empty: \(try look())")
        }

        @Test func `what the ring buffers produced was delivered or is counted as lost, to the event`() throws {
            let session = try LabSession.start("\(Overload.selection) -A g1@3 \(Overload.selection)")
            // The agent shares its CPU with the storm, and is stopped for a while: a buffer must overflow.
            try Lab.guest(1, "killall -STOP tandem-agent; \(Overload.storm); killall -CONT tandem-agent")
            try Lab.host(Overload.storm)
            let guestBuffer = try Overload.settled { try Lab.guest(1, Overload.statistics) }
            let hostBuffer = try Overload.settled { try Lab.host(Overload.statistics) }
            let recording = try session.finish()
            let snapshot = try recording.snapshot()
            checkAccount(of: snapshot.sources[1], against: guestBuffer)
            checkAccount(of: snapshot.sources[0], against: hostBuffer)
            #expect(snapshot.health.eventsLost == UInt64(guestBuffer.overrun + hostBuffer.overrun))
            try lab.expectNothingLeft("after the overload")
        }

        /// System calls, memory, timers, interrupts and the scheduler, all at once and of everybody, the agent too: the kernel
        /// writes events as fast as it can while tasks are started and ended. Nobody stops the agent: it is too slow.
        @Test func `a guest whose kernel writes all that it can is accounted for to the event`() throws {
            let everything = ["raw_syscalls", "kmem", "timer", "irq", "sched", "signal", "task"]
                .map { "-e '\($0):*'" }.joined(separator: " ")
            let session = try LabSession.start("-A g1@3 -b 8 \(everything)")
            try Lab.guest(1, "workload fork 3; \(Overload.storm)")
            // What is counted has to stand still.
            try Lab.guest(1, "for file in /sys/kernel/tracing/instances/*/tracing_on; do echo 0 >$file; done")
            let buffer = try Overload.settled { try Lab.guest(1, Overload.statistics) }
            let source = try session.finish().snapshot().sources[1]
            #expect(source.lost.ringBuffer > 0, "this is no overload: \(source.events) events")
            #expect(source.lost.ringBuffer == UInt64(buffer.overrun))
            #expect(source.events + source.lost.total == UInt64(buffer.produced), "\(source.events), \(source.lost)")
            #expect(source.lost.ofUnknownSize == 0)
            try lab.expectNothingLeft("after the overload")
        }
    }
}

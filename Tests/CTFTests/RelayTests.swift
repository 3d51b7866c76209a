import CTF
import Foundation
import SessionLog
import Testing
import Threading
import TraceModel
import Wire

/// A live session of a real relay daemon on this machine, followed while it runs. The events are of user space (a library that
/// LTTng preloads into any program), so that no kernel module is needed; those of kernels, in the lab, go the same way.
@Suite(
    .timeLimit(.minutes(2)),
    .enabled(if: Fixtures.hasLTTng, "needs lttng-tools, liblttng-ust1 and babeltrace2"))
struct RelayTests {
    /// A relay daemon and a session daemon of a user of their own, with a session of a live timer of 0.2 s.
    final class Daemons {
        let scratch: Scratch
        private var running: [pid_t] = []
        private let ports: [UInt16]

        init() throws {
            scratch = try Scratch()
            // Not the root's session daemon, which this machine may have already.
            if getuid() == 0 { chown(scratch.path, 65534, 65534) }
            ports = try (0..<3).map { _ in try Daemons.freePort() }
            running.append(
                try start(
                    "lttng-relayd", "-C", "tcp://127.0.0.1:\(ports[0])", "-D", "tcp://127.0.0.1:\(ports[1])", "-L",
                    "tcp://127.0.0.1:\(ports[2])", "-o", "\(scratch.path)/out"))
            running.append(try start("lttng-sessiond", "--no-kernel"))
            for _ in 0..<50 where !(try succeeds("lttng", "--no-sessiond", "list")) {
                MonotonicClock.sleep(nanoseconds: 100_000_000)
            }
            for words in [
                ["create", "live", "--live", "200000", "--set-url=net://127.0.0.1:\(ports[0]):\(ports[1])"],
                ["enable-channel", "-u", "--subbuf-size=64K", "--num-subbuf=8", "chan"],
                ["enable-event", "-u", "-c", "chan", "lttng_ust_libc:*"], ["start"],
            ] { try #require(try succeeds(["lttng", "--no-sessiond"] + words), "lttng \(words)") }
        }

        deinit {
            for child in running.reversed() {
                kill(child, SIGTERM)
                _ = Child.succeeded(child)
            }
        }

        /// The relay daemon names the machine as its kernel does, without a domain.
        func url() throws -> String {
            let name = try String(contentsOfFile: "/proc/sys/kernel/hostname", encoding: .utf8)
            return "net://127.0.0.1:\(ports[2])/host/\(name.prefix { $0 != "\n" })/live"
        }

        /// A program that is traced.
        func run() throws { #expect(try succeeds(["env", "LD_PRELOAD=\(Fixtures.tracedLibrary)", "ls", "/"])) }

        func end() throws { #expect(try succeeds("lttng", "--no-sessiond", "destroy", "live")) }

        private func start(_ words: [String]) throws -> pid_t {
            let user = getuid() == 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
            let environment = ["env", "-i", "PATH=/usr/bin:/bin", "HOME=\(scratch.path)", "LTTNG_HOME=\(scratch.path)"]
            return try Child.start(user + environment + words)
        }

        private func start(_ words: String...) throws -> pid_t { try start(words) }

        private func succeeds(_ words: [String]) throws -> Bool { Child.succeeded(try start(words)) }

        private func succeeds(_ words: String...) throws -> Bool { try succeeds(words) }

        /// One that was free a moment ago.
        private static func freePort() throws -> UInt16 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            try #require(isBound)
            return UInt16(bigEndian: address.sin_port)
        }
    }

    @Test func `a session is followed while it runs, to its end, and not an event is missing`() throws {
        let daemons = try Daemons()
        let inputs = BoundedQueue<PipelineInput>(maximumWeight: 1 << 30)
        let feed = LiveFeed(
            source: SourceID(1), name: "app", url: try daemons.url(), tell: { inputs.put($0, weight: 1) },
            notice: { _ in })
        // The relay daemon gives no history: whoever wants all has to be there first.
        Threading.Thread.start("prepare") { _ = try? feed.prepare() }
        defer { feed.abandon() }
        feed.run()
        MonotonicClock.sleep(nanoseconds: 500_000_000)

        var events = 0
        var watermark = TraceTicks(0)
        var closed: LogRecord?
        func take(for nanoseconds: Int64) {
            let deadline = MonotonicClock.deadline(after: nanoseconds)
            while closed == nil, MonotonicClock.nanoseconds() < deadline {
                switch inputs.pop(timeoutNanoseconds: max(1, deadline - MonotonicClock.nanoseconds())) {
                case .batch(_, let batch)?:
                    events += batch.headers.count
                    #expect(batch.headers.allSatisfy { $0.ticks >= watermark })
                    #expect(batch.losses == [])
                case .record(.message(_, .watermark(let ticks)))?:
                    #expect(ticks > watermark)
                    watermark = ticks
                case .record(let record)?:
                    if case .sourceClosed = record { closed = record }
                case nil: break
                }
            }
        }
        var eventsByRun: [Int] = []
        for _ in 0..<3 {
            try daemons.run()
            take(for: 1_000_000_000)
            eventsByRun.append(events)
        }
        // Each run's events came before the next one's program was started.
        #expect(zip([0] + eventsByRun, eventsByRun).allSatisfy { $0 < $1 }, "\(eventsByRun)")
        let last = watermark
        take(for: 1_000_000_000)
        // Nothing happens, and time passes.
        #expect(watermark.rawValue - last.rawValue > 300_000_000)
        try daemons.end()
        take(for: 10_000_000_000)
        #expect(closed == .sourceClosed(SourceID(1), reason: "the LTTng session ended", isFailure: false))

        let printed = try output(["/usr/bin/babeltrace2", "\(daemons.scratch.path)/out"])
        #expect(events == printed.split(separator: "\n").count)
        #expect(events > 0)
    }
}

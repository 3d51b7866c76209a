import Foundation
import RecordingSupport
import Testing
import TraceModel

extension LabTests {
    /// Beside the stock tool: the same work in g1, recorded by Tandem and, right after, by `trace-cmd record -A`. The printed
    /// figures stand in the README; `Deploy/lab/compare` prints them anew.
    struct Comparison {
        let lab: Lab

        init() throws { lab = try Lab() }

        /// So many processes, and so many lines handed to and fro: the same events, however fast the lab is. Prints the number
        /// of its process first; all threads that are started later are its own, so that what the tools themselves do in the
        /// guest, which is not the same, can be left out.
        private static let work = """
            echo $$; i=0; while [ $i -lt 200 ]; do (:); i=$((i + 1)); done; rm -f there back; mkfifo there back; \
            (while read -r line; do echo $line; done <there >back) & exec 3>there 4<back; \
            i=0; while [ $i -lt 1500 ]; do echo x >&3; read -r answer <&4; i=$((i + 1)); done
            """

        private func doWork() throws -> Int32 { Int32(try Lab.guest(1, Comparison.work)) ?? 0 }

        /// What one of the two tools needed and got, of guest g1.
        private struct Account {
            /// Those of the work, by name.
            var events: [String: Int] = [:]
            /// All events, the tool's own too.
            var eventCount = 0
            var lost = 0
            var bytesSent = 0
            /// CPU time of the agent's processes in the guest, milliseconds.
            var agentCPUMilliseconds = 0
        }

        /// CPU time of an agent and of the processes it has waited for, from /proc/PID/stat (proc(5): fields 14 to 17, in
        /// hundredths of a second).
        private static let agentTime =
            "cut -d' ' -f14-17 /proc/$(cat %)/stat | tr ' ' '+' | { read -r sum; echo $((sum * 10)); }"

        private func milliseconds(of pidFile: String) throws -> Int {
            Int(try Lab.guest(1, Comparison.agentTime.replacing("%", with: pidFile))) ?? 0
        }

        private func recordWithTandem() throws -> Account {
            let before = try milliseconds(of: "agent.pid")
            let session = try LabSession.start("-e sched -e kvm -A g1@3 -e sched -e irq")
            let thread = try doWork()
            let recording = try session.finish()
            let source = try recording.snapshot().sources[1]
            let events = try recording.eventCounts(from: thread)["g1"] ?? [:]
            return Account(
                events: Dictionary(
                    uniqueKeysWithValues: events.map { (String($0.key.drop { $0 != ":" }.dropFirst()), $0.value) }),
                eventCount: Int(source.events), lost: Int(source.lost.total), bytesSent: Int(source.bytes),
                agentCPUMilliseconds: try milliseconds(of: "agent.pid") - before)
        }

        /// With a clock that needs no synchronization: its rounds are not what is compared.
        private func recordWithTraceCmd() throws -> Account {
            try Lab.guest(1, "trace-cmd agent >trace-cmd.log 2>&1 & echo $! >trace-cmd.pid")
            defer { _ = try? Lab.guest(1, "killall trace-cmd") }
            try Lab.host(
                """
                rm -f host*.dat; stdbuf -oL trace-cmd record -C mono --tsync-interval -1 -o host.dat \\
                    -e sched -e kvm -A g1@3:823 -e sched -e irq >trace-cmd.log 2>&1 & echo $! >trace-cmd.pid
                for i in $(seq 300); do grep -q 'Hit Ctrl' trace-cmd.log && exit 0; sleep 0.2; done
                cat trace-cmd.log >&2; exit 1
                """)
            let thread = try doWork()
            try Lab.host(
                """
                kill -INT $(cat trace-cmd.pid)
                for i in $(seq 300); do kill -0 $(cat trace-cmd.pid) 2>/dev/null || exit 0; sleep 0.2; done; exit 1
                """)
            let time = try milliseconds(of: "trace-cmd.pid")
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
                "tandem-lab-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appendingPathComponent("host-g1.dat").path
            try Lab.run("pull-host", "host-g1.dat", file)
            return try account(of: file, from: thread, agentCPUMilliseconds: time)
        }

        private func account(of file: String, from thread: Int32, agentCPUMilliseconds: Int) throws -> Account {
            @discardableResult
            func traceCmd(_ arguments: String...) throws -> [Substring] {
                let program = ChildProcess.find("trace-cmd") ?? "trace-cmd"
                let text = String(decoding: try ChildProcess.run([program] + arguments), as: UTF8.self)
                return text.split(separator: "\n")
            }
            var result = Account(agentCPUMilliseconds: agentCPUMilliseconds)
            // "  workload-123   [000]    51.123456: sched_switch:         …", and "CPU:0 [LOST 12 EVENTS]".
            for line in try traceCmd("report", "-q", "-i", file) {
                if let lost = line.firstMatch(of: /\[LOST (\d+) EVENTS\]/) {
                    result.lost += Int(lost.1) ?? 0
                } else if let event = line.firstMatch(of: /-(\d+) +\[\d+\] +\d+\.\d+: (\w+):/) {
                    result.eventCount += 1
                    guard Int32(event.1) ?? 0 >= thread else { continue }
                    result.events[String(event.2), default: 0] += 1
                }
            }
            // What it sends are whole pages. The file holds them compressed; one of version 6 holds them as they came:
            // "    3772416    1556480	[offset, size of cpu 0]".
            try traceCmd("convert", "-i", file, "-o", "\(file).6", "--file-version", "6")
            for line in try traceCmd("dump", "--flyrecord", "-i", "\(file).6") {
                guard let size = line.firstMatch(of: /\d+\s+(\d+)\s+\[offset, size/) else { continue }
                result.bytesSent += Int(size.1) ?? 0
            }
            return result
        }

        @Test func `it records the same events as trace-cmd with fewer bytes and without losses`() throws {
            let ours = try recordWithTandem()
            let stock = try recordWithTraceCmd()
            print(table(ours, stock))
            // These are counted by the work: so many processes. Nothing else in so small a guest has later threads but the
            // kernel's workers, of which a few may come and go.
            for name in ["sched_process_fork", "sched_process_exit"] {
                try expectRatio(name, ours, stock, in: 0.9...1.1)
            }
            // Each line is a wake-up and two switches; but one that comes before its reader sleeps wakes nobody, which is up
            // to the scheduler. And the tools' own threads take the CPU while the work has it, and the kernel's are woken by
            // interrupts that the tools cause: in six runs, with 300 to 760 softirqs, switches had ratios from 0.86 to 1.17
            // and wake-ups from 0.71 to 1.17.
            try expectRatio("sched_switch", ours, stock, in: 0.75...1.33)
            try expectRatio("sched_waking", ours, stock, in: 0.6...1.67)
            #expect(ours.lost == 0)
            #expect(
                ours.bytesSent * stock.eventCount * 2 < stock.bytesSent * ours.eventCount,
                "it sends less than half of the bytes for an event")
            try lab.expectNothingLeft("after Tandem")
        }

        private func expectRatio(
            _ name: String, _ ours: Account, _ stock: Account, in range: ClosedRange<Double>
        ) throws {
            let (a, b) = (try #require(ours.events[name]), try #require(stock.events[name]))
            #expect(range.contains(Double(a) / Double(b)), "\(name): \(a) of ours, \(b) of trace-cmd's")
        }

        private func table(_ ours: Account, _ stock: Account) -> String {
            func row(_ name: String, _ a: Int, _ b: Int) -> String {
                let ratio = b == 0 ? "" : "\((Double(a) / Double(b) * 100).rounded() / 100)"
                return [name.padding(28), "\(a)".padding(12), "\(b)".padding(12), ratio].joined(separator: " ")
            }
            var lines = ["of guest g1".padding(28) + " Tandem       trace-cmd    ratio"]
            lines.append(row("events, the tool's too", ours.eventCount, stock.eventCount))
            for (name, count) in ours.events.sorted(by: { $0.value > $1.value }).prefix(8) {
                lines.append(row("work's \(name)", count, stock.events[name] ?? 0))
            }
            lines.append(row("events lost", ours.lost, stock.lost))
            lines.append(row("bytes sent", ours.bytesSent, stock.bytesSent))
            lines.append(
                row(
                    "bytes sent per 100 events", 100 * ours.bytesSent / max(1, ours.eventCount),
                    100 * stock.bytesSent / max(1, stock.eventCount)))
            lines.append(row("agent's CPU time, ms", ours.agentCPUMilliseconds, stock.agentCPUMilliseconds))
            return lines.joined(separator: "\n")
        }
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}

import Glibc
import RecordingSupport
import Testing
import TraceModel

/// The lab that `Deploy/lab/check` has booted for this run: a KVM host with guests g1 and g2. What it can do is what
/// `Deploy/lab/lab` can do; this only gives its verbs types.
struct Lab {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Guests that are up in every test. Both have one vCPU, on CPU 1 of the host.
    static let guests = 1...2
    /// A third guest, with two vCPUs on the same CPU of the host, is up where `Deploy/lab/check` says so.
    static let crowd = 1...3
    static let isCrowded = variable("TANDEM_LAB_GUESTS") == "\(crowd.upperBound)"
    /// Where the agents of all guests listen.
    static let agentEndpoints = "vsock::9823 tcp:0.0.0.0:9823 --insecure"

    // MARK: Is there one?

    static let isUp = variable("TANDEM_LAB") != nil
    /// For tests that are skipped.
    static let missing = Comment(
        rawValue: variable("TANDEM_LAB_MISSING") ?? "needs the lab, which 'Deploy/test --lab' boots for these tests")

    static func variable(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    // MARK: Setting up

    /// As every test finds it: both guests up, computing nothing, with an agent each that nobody is connected to.
    init() throws {
        try Lab.run("up", "\(Lab.guests.upperBound)")
        for guest in Lab.guests {
            try? Lab.stopAgent(guest)
            try Lab.guest(guest, "killall workload 2>/dev/null; rm -f agent.log; true")
            try Lab.startAgent(guest)
        }
        try Lab.host("recording end")
        try expectNothingLeft("before the test")
    }

    static func startAgent(_ guest: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
        // A guest that was booted anew has lost it.
        if try Lab.guest(guest, "test -x bin/tandem-agent || echo gone") != "" {
            let program = "\(variable("LAB_RUN") ?? "")/programs/tandem-agent"
            try Lab.run("push-guest", "\(guest)", program, "bin/tandem-agent")
        }
        try Lab.guest(guest, "tandem-agent \(agentEndpoints) >agent.log 2>&1 & echo $! >agent.pid")
        try Lab.guest(
            guest, "for i in $(seq 100); do grep -q 'listening on' agent.log && exit 0; usleep 100000; done; exit 1")
    }

    /// Asks it to end, and waits until it has.
    static func stopAgent(_ guest: Int) throws {
        try Lab.guest(
            guest, "while killall tandem-agent 2>/dev/null; do usleep 100000; done")
    }

    // MARK: Verbs

    /// Runs a command in the host; its standard output, without the last newline. Throws when it fails.
    @discardableResult
    static func host(_ command: String) throws -> String { try run("host", command) }

    @discardableResult
    static func guest(_ number: Int, _ command: String) throws -> String { try run("guest", "\(number)", command) }

    enum Action: String { case pause, resume, reset, kill }

    static func guest(_ number: Int, _ action: Action) throws { try run(action.rawValue, "\(number)") }

    /// A workload for each vCPU of a guest, in the background, until its time is over or `stopWork` is called. Returns when
    /// all have begun.
    static func startWork(_ number: Int, _ phases: String) throws {
        try guest(
            number,
            """
            rm -f /tmp/workloads-begun
            for cpu in $(seq $(nproc)); do workload \(phases) >/dev/null 2>&1 & done
            until [ "$(cat /tmp/workloads-begun 2>/dev/null | wc -l)" -ge "$(nproc)" ]; do sleep 0.1; done
            """)
    }

    static func stopWork(_ number: Int) throws {
        try guest(number, "killall workload dd 2>/dev/null; true")
    }

    @discardableResult
    static func run(_ arguments: String...) throws -> String {
        let settings = [
            "LAB_RUN", "LAB_CACHE", "LAB_MODE", "LAB_VCPUS", "LAB_GUEST_KERNEL", "LAB_HOST_KERNEL", "LAB_PIN", "HOME",
        ]
        let inherited = settings.compactMap { name in variable(name).map { "\(name)=\($0)" } }
        let output = try ChildProcess.run(
            ["/usr/bin/env"] + inherited + ["LAB_TIMEOUT=300", variable("TANDEM_LAB") ?? "lab"] + arguments)
        return String(decoding: output, as: UTF8.self).trimmedAtEnd
    }

    /// What `host-clock` printed, as a session counts.
    static func hostTime(_ text: some StringProtocol) throws -> HostTime {
        guard let nanoseconds = Int64(text) else { throw Failure(description: "the host's clock says '\(text)'") }
        return HostTime(nanoseconds: nanoseconds)
    }

    // MARK: How the lab itself fares

    /// For how long the emulated host's CPUs have waited for one of this machine's CPUs since they were started, all
    /// together (/proc/PID/schedstat, the second number; Documentation/scheduler/sched-stats.rst). 0 where the host under
    /// test is this machine.
    static var waitedNanoseconds: Int64 {
        guard let run = variable("LAB_RUN"), let pid = try? Files.readText("\(run)/host.pid").trimmedAtEnd else {
            return 0
        }
        let threads = (try? Files.list("/proc/\(pid)/task")) ?? []
        return threads.reduce(0) { sum, thread in
            let numbers = (try? Files.readText("/proc/\(pid)/task/\(thread)/schedstat"))?.split(separator: " ") ?? []
            return sum + (numbers.count > 1 ? Int64(numbers[1]) ?? 0 : 0)
        }
    }

    // MARK: What must be so after every test

    /// No instance of ours, and the top-level one as it was found: nothing switched on. An agent that a collector has left
    /// clears up by itself, so that a moment may pass.
    func expectNothingLeft(_ when: Comment, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let look = "cd /sys/kernel/tracing && ls instances && cat set_event current_tracer"
        let waiting = """
            for i in $(seq 150); do left=$(\(look)); [ "$left" = nop ] && break; sleep 0.2; done; echo "$left"
            """
        #expect(try Lab.host(waiting) == "nop", when, sourceLocation: sourceLocation)
        for guest in Lab.guests {
            #expect(try Lab.guest(guest, waiting) == "nop", "g\(guest), \(when)", sourceLocation: sourceLocation)
        }
    }
}

extension String {
    fileprivate var trimmedAtEnd: String {
        var text = self[...]
        while text.last?.isNewline == true { text.removeLast() }
        return String(text)
    }
}

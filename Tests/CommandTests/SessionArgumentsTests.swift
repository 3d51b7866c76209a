import Collector
import Commands
import Testing
import TraceModel
import Transport
import Wire

struct SessionArgumentsTests {
    /// A verb with an option of each kind.
    private static let verb: [SessionArguments.Option] = [
        .init("-o", "--output", takesValue: true), .init("-q", "--quiet", takesValue: false),
    ]

    private func parse(_ line: String) throws(SessionArguments.Problem) -> SessionArguments {
        try SessionArguments.parse(words(line), verbOptions: Self.verb)
    }

    /// Split at spaces; what is in single quotes is one word.
    private func words(_ line: String) -> [String] {
        line.split(separator: "'", omittingEmptySubsequences: false).enumerated().flatMap { index, part in
            index % 2 == 1 ? [String(part)] : part.split(separator: " ").map(String.init)
        }
    }

    private func check(
        _ line: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ change: (inout SessionArguments) throws -> Void
    ) throws {
        var expected = try SessionArguments.parse([], verbOptions: [])
        try change(&expected)
        #expect(try parse(line) == expected, "\(line)", sourceLocation: sourceLocation)
    }

    private func guest(
        _ address: String, events: [SessionArguments.EventArgument] = [], clock: TraceClock? = nil, buffer: Int? = nil,
        pid: Int32? = nil
    ) throws -> SessionArguments.Guest {
        // There is no other way to a guest than the command line.
        var guest = try #require(try parse("-A \(address)").guests.first)
        #expect(guest.address == (try GuestAddress.parse(address)))
        guest.events = events
        guest.clock = clock
        guest.bufferKiB = buffer
        guest.vmmPID = pid
        return guest
    }

    private func checkRefused(
        _ line: String, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do throws(SessionArguments.Problem) {
            _ = try parse(line).options()
            Issue.record("'\(line)' was taken", sourceLocation: sourceLocation)
        } catch {
            for word in words { #expect(error.description.contains(word), "\(error)", sourceLocation: sourceLocation) }
            #expect(!error.description.contains("\n"), sourceLocation: sourceLocation)
        }
    }

    @Test func `options before the first guest are the host's, those after it the guest's`() throws {
        try check("") { _ in }
        try check("-e sched -b 64 -C mono -A web@3 -e irq -b 128 -C x86-tsc --pid 77 -A db@4 -e kvm") {
            $0.events = [.init(pattern: "sched")]
            $0.bufferKiB = 64
            $0.clock = .mono
            $0.guests = [
                try guest("web@3", events: [.init(pattern: "irq")], clock: .x86TSC, buffer: 128, pid: 77),
                try guest("db@4", events: [.init(pattern: "kvm")]),
            ]
        }
    }

    @Test func `options of the session and of the verb stand anywhere`() throws {
        try check("-A web@3 --flush 5 -o run --max-lag 100 -q --insecure") {
            $0.guests = [try guest("web@3")]
            $0.flushMilliseconds = 5
            $0.maximumLagMilliseconds = 100
            $0.isInsecure = true
            $0.others = [("-o", "run"), ("-q", nil)]
        }
    }

    @Test func `values may be attached`() throws {
        try check("-b64 -esched -orun --flush=5 --output=a=b -Aweb@3 -Cboot") {
            $0.bufferKiB = 64
            $0.events = [.init(pattern: "sched")]
            $0.flushMilliseconds = 5
            $0.others = [("-o", "run"), ("-o", "a=b")]
            $0.guests = [try guest("web@3", clock: .boot)]
        }
    }

    @Test func `a flag takes no value`() {
        checkRefused("-quiet", "-q takes no value", "'uiet'")
        checkRefused("--quiet=yes", "--quiet takes no value")
        checkRefused("--insecure=no", "--insecure takes no value")
    }

    @Test func `a filter belongs to the event before it, and a second one narrows it`() throws {
        try check("-e sched:sched_switch -f 'prev_pid == 1' -e irq -A web@3 -e kvm -f 'a > 1' -f 'b < 2'") {
            $0.events = [.init(pattern: "sched:sched_switch", filter: "prev_pid == 1"), .init(pattern: "irq")]
            $0.guests = [try guest("web@3", events: [.init(pattern: "kvm", filter: "(a > 1)&&(b < 2)")])]
        }
        checkRefused("-f 'x == 1'", "-f 'x == 1' must follow the -e")
        // The event before it is the host's.
        checkRefused("-e sched -A web@3 -f 'x == 1'", "-f 'x == 1' must follow the -e")
    }

    @Test func `what follows two dashes is a command, and nothing of it is looked at`() throws {
        try check("-q -- sleep 1 -e -- -A") {
            $0.others = [("-q", nil)]
            $0.command = ["sleep", "1", "-e", "--", "-A"]
        }
        try check("--") { _ in }
        checkRefused("sleep 1", "unexpected 'sleep'", "after '--'")
    }

    @Test func `clocks are checked for what they are used for`() {
        checkRefused("-C local", "'local'", "mono_raw")
        checkRefused("-C nonsense", "'nonsense'")
        checkRefused("--kvm-clock /nowhere", "'/nowhere' cannot be read")
        checkRefused("-A web@3 -C global", "'global'")
    }

    @Test func `numbers are checked`() {
        checkRefused("-b 3", "-b '3' is not a number from 4 to 4194304 (KiB per CPU)")
        checkRefused("-b many", "-b 'many'")
        checkRefused("--flush 0", "--flush '0'", "milliseconds")
        checkRefused("--max-lag 9", "--max-lag '9'")
        checkRefused("--pid 5", "--pid belongs to the -A before it")
        checkRefused("-A web@3 --pid 0", "--pid '0'")
        checkRefused("-b 99999999999999999999", "-b '99999999999999999999'")
    }

    @Test func `what is missing or unknown is named`() {
        for option in ["-e", "-f", "-C", "-b", "-A", "--flush", "--max-lag", "-o", "--output"] {
            checkRefused(option, "\(option) needs a value")
        }
        checkRefused("--nonsense", "unknown option '--nonsense'")
        checkRefused("-z", "unknown option '-z'")
        checkRefused("-A web@", "web@")
        checkRefused("-A nothing", "nothing")
    }

    @Test func `clear text that would leave the machine is refused before anything is dialled`() throws {
        checkRefused("-A web@tcp:192.168.1.5:9823", "in clear text", "--insecure")
        #expect(try parse("-A web@tcp:192.168.1.5:9823 --insecure").options().guests.count == 1)
        #expect(try parse("-A web@tcp:127.0.0.1:9823").options().guests.count == 1)
    }

    @Test func `the session is what was said`() throws {
        let options = try parse(
            "-e sched -f 'x == 1' -b 64 -C boot --flush 5 --max-lag 100 -A web@3 -e irq -b 128 -C mono --pid 77"
        ).options()
        #expect(options.hostEvents.map(\.pattern) == ["sched"])
        #expect(options.hostEvents.map(\.filter) == ["x == 1"])
        #expect(options.hostBufferKiB == 64)
        #expect(options.hostClock == .boot)
        #expect(options.flushMilliseconds == 5)
        #expect(options.maximumLagNanoseconds == 100_000_000)
        #expect(try parse("--flush 200 -A web@3").options().maximumLagNanoseconds == 1_000_000_000)
        #expect(try parse("--flush 20 -A web@3").options().maximumLagNanoseconds == 500_000_000)
        #expect(options.guests.map(\.name) == ["web"])
        #expect(options.guests[0].endpoint == .vsock(cid: 3, port: 9823))
        #expect(options.guests[0].events.map(\.pattern) == ["irq"])
        #expect(options.guests[0].bufferKiB == 128)
        #expect(options.guests[0].clock == .mono)
        #expect(options.guests[0].vmmPID == 77)
    }

    @Test func `nothing said means what the analysis needs`() throws {
        let options = try parse("").options()
        #expect(options.hostClock == nil)
        #expect(options.hostEvents.isEmpty)
        #expect(options.guests.isEmpty)
        #expect(!options.isInsecure)
    }

    // MARK: LTTng

    @Test func `LTTng sessions stand for the host and for guests`() throws {
        try check("--lttng net://10.0.0.1/host/l1/run -A web=net4://10.0.0.1:5344/host/web/run") {
            $0.lttngHost = "net://10.0.0.1/host/l1/run"
            $0.lttngGuests = [.init(name: "web", url: "net4://10.0.0.1:5344/host/web/run")]
        }
    }

    @Test func `a guest of LTTng's may be behind by its live timer, unless told otherwise`() throws {
        let guest = "-A web=net://10.0.0.1/host/web/run"
        #expect(try parse(guest).options().maximumLagNanoseconds == 3_000_000_000)
        #expect(try parse("--max-lag 700 \(guest)").options().maximumLagNanoseconds == 700_000_000)
    }

    @Test(arguments: ["net://10.0.0.1", "net://10.0.0.1/host/l1", "net:///host/l1/run", "http://h/host/l1/run", "3"])
    func `an LTTng session is named in full`(url: String) throws {
        #expect(throws: SessionArguments.Problem.self) { try parse("--lttng \(url)") }
    }
}

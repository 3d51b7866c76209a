package import Collector
package import TraceModel
package import Transport
import Wire

/// The arguments that `record` and `top` share, in the grammar of `trace-cmd record`: options before the first `-A` are the
/// host's, those after an `-A` are that guest's.
///
/// Parsed by hand, because the meaning of an option depends on what came before it, which no declarative parser says.
package struct SessionArguments: Equatable {
    package struct Problem: Error, Equatable, CustomStringConvertible {
        package var description: String
    }

    package struct EventArgument: Equatable {
        package var pattern: String
        package var filter: String

        package init(pattern: String, filter: String = "") {
            self.pattern = pattern
            self.filter = filter
        }
    }

    package struct Guest: Equatable {
        package var address: GuestAddress
        package var clock: TraceClock?
        package var bufferKiB: Int?
        package var events: [EventArgument] = []
        package var vmmPID: Int32?
    }

    package var clock: TraceClock?
    package var bufferKiB: Int?
    package var events: [EventArgument] = []
    package var guests: [Guest] = []
    /// LTTng sessions to follow: the host's, and guests' by name.
    package var lttngHost: String?
    package var lttngGuests: [SessionOptions.LTTngGuest] = []
    package var flushMilliseconds: Int?
    package var maximumLagMilliseconds: Int?
    package var isInsecure = false
    /// What `tandem kvm-clock` wrote.
    package var kvmClockPath: String?
    /// Options that are not about the session, for the verb: name → values, in order.
    package var others: [(name: String, value: String?)] = []
    /// What follows `--`.
    package var command: [String] = []

    package static func == (a: SessionArguments, b: SessionArguments) -> Bool {
        a.clock == b.clock && a.bufferKiB == b.bufferKiB && a.events == b.events && a.guests == b.guests
            && a.lttngHost == b.lttngHost && a.lttngGuests == b.lttngGuests
            && a.flushMilliseconds == b.flushMilliseconds && a.maximumLagMilliseconds == b.maximumLagMilliseconds
            && a.isInsecure == b.isInsecure && a.kvmClockPath == b.kvmClockPath && a.command == b.command
            && a.others.elementsEqual(b.others) { $0.name == $1.name && $0.value == $1.value }
    }

    /// One option of a verb.
    package struct Option: Equatable {
        package var names: [String]
        package var takesValue: Bool

        package init(_ names: String..., takesValue: Bool) {
            self.names = names
            self.takesValue = takesValue
        }
    }

    package static func parse(_ arguments: [String], verbOptions: [Option]) throws(Problem) -> SessionArguments {
        var result = SessionArguments()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                result.command = Array(rest)
                break
            }
            let (name, attached) = split(argument)
            if let option = verbOptions.first(where: { $0.names.contains(name) }) {
                if !option.takesValue { try refuse(attached, for: name) }
                let value = option.takesValue ? try take(attached, from: &rest, for: name) : nil
                result.others.append((option.names[0], value))
            } else {
                try result.take(name, attached, &rest)
            }
        }
        return result
    }

    /// `--name=value` and `-nVALUE` carry their value with them.
    private static func split(_ argument: String) -> (name: String, value: String?) {
        if argument.hasPrefix("--") {
            guard let equals = argument.firstIndex(of: "=") else { return (argument, nil) }
            return (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
        }
        guard argument.hasPrefix("-"), argument.count > 2 else { return (argument, nil) }
        return (String(argument.prefix(2)), String(argument.dropFirst(2)))
    }

    private static func take(
        _ attached: String?, from rest: inout ArraySlice<String>, for name: String
    ) throws(Problem) -> String {
        guard let value = attached ?? rest.popFirst() else { throw Problem(description: "\(name) needs a value") }
        return value
    }

    /// `--once=5`, and `-qe` that would have to mean `-q -e`.
    private static func refuse(_ attached: String?, for name: String) throws(Problem) {
        if let attached { throw Problem(description: "\(name) takes no value, and '\(attached)' follows it") }
    }

    private mutating func take(
        _ name: String, _ attached: String?, _ rest: inout ArraySlice<String>
    ) throws(Problem) {
        if name == "--insecure" {
            try SessionArguments.refuse(attached, for: name)
            isInsecure = true
            return
        }
        guard ["-e", "-f", "-C", "-b", "-A", "--pid", "--flush", "--max-lag", "--kvm-clock", "--lttng"].contains(name)
        else {
            throw Problem(
                description: name.hasPrefix("-")
                    ? "unknown option '\(name)'; see --help"
                    : "unexpected '\(name)'; a command to run comes after '--'")
        }
        let value = try SessionArguments.take(attached, from: &rest, for: name)
        switch name {
        case "-e": addEvent(EventArgument(pattern: value))
        case "-f": try addFilter(value)
        case "-C": try setClock(value)
        case "-b": setBuffer(try integer(value, name, in: 4...4_194_304, unit: "KiB per CPU"))
        case "-A": try addGuest(value)
        case "--pid":
            guard !guests.isEmpty else { throw Problem(description: "--pid belongs to the -A before it") }
            guests[guests.count - 1].vmmPID = Int32(try integer(value, name, in: 1...4_194_304, unit: ""))
        case "--kvm-clock": kvmClockPath = value
        case "--lttng": lttngHost = try SessionArguments.lttngURL(value)
        case "--flush": flushMilliseconds = try integer(value, name, in: 1...10_000, unit: "milliseconds")
        default: maximumLagMilliseconds = try integer(value, name, in: 10...60_000, unit: "milliseconds")
        }
    }

    private func integer(
        _ text: String, _ name: String, in range: ClosedRange<Int>, unit: String
    ) throws(Problem) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw Problem(
                description: "\(name) '\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)"
                    + (unit.isEmpty ? "" : " (\(unit))"))
        }
        return value
    }

    private mutating func addEvent(_ event: EventArgument) {
        if guests.isEmpty { events.append(event) } else { guests[guests.count - 1].events.append(event) }
    }

    private mutating func addFilter(_ filter: String) throws(Problem) {
        let isForGuest = !guests.isEmpty
        let count = isForGuest ? guests[guests.count - 1].events.count : events.count
        guard count > 0 else { throw Problem(description: "-f '\(filter)' must follow the -e whose events it filters") }
        if isForGuest {
            guests[guests.count - 1].events[count - 1].narrow(by: filter)
        } else {
            events[count - 1].narrow(by: filter)
        }
    }

    private mutating func setClock(_ text: String) throws(Problem) {
        guard let clock = TraceClock(rawValue: text), clock.isReadable else {
            throw Problem(
                description: "the trace clock '\(text)' cannot be compared between machines: programs cannot read it; "
                    + "use one of " + TraceClock.readable.map(\.rawValue).joined(separator: ", "))
        }
        if !guests.isEmpty {
            guests[guests.count - 1].clock = clock
        } else {
            self.clock = clock
        }
    }

    private mutating func setBuffer(_ kib: Int) {
        if guests.isEmpty { bufferKiB = kib } else { guests[guests.count - 1].bufferKiB = kib }
    }

    private static func lttngURL(_ text: String) throws(Problem) -> String {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isURL = ["net:", "net4:"].contains(parts.first ?? "") && parts.count == 6 && parts[3] == "host"
        guard isURL, parts[1].isEmpty, !parts[2].isEmpty, !parts[4].isEmpty, !parts[5].isEmpty else {
            throw Problem(
                description: "'\(text)' is no LTTng session; they are named net://HOST[:PORT]/host/TARGET/SESSION, as "
                    + "'babeltrace2 --input-format=lttng-live net://HOST' lists them")
        }
        return text
    }

    private mutating func addGuest(_ text: String) throws(Problem) {
        if let equals = text.firstIndex(of: "="), text[equals...].hasPrefix("=net") {
            let url = try SessionArguments.lttngURL(String(text[text.index(after: equals)...]))
            lttngGuests.append(SessionOptions.LTTngGuest(name: String(text[..<equals]), url: url))
            return
        }
        do throws(EndpointError) {
            guests.append(Guest(address: try GuestAddress.parse(text)))
        } catch {
            throw Problem(description: error.description)
        }
    }

    /// The session to run. Clear-text TCP beyond loopback is refused here, before anything is dialled.
    package func options() throws(Problem) -> SessionOptions {
        var options = SessionOptions()
        options.hostClock = clock
        if let bufferKiB { options.hostBufferKiB = bufferKiB }
        if let flushMilliseconds {
            options.flushMilliseconds = flushMilliseconds
            // A guest's events wait for its own round and for two of the host's: whoever does that is not late.
            options.maximumLagNanoseconds = max(options.maximumLagNanoseconds, Int64(flushMilliseconds) * 5_000_000)
        }
        if !lttngGuests.isEmpty {
            options.maximumLagNanoseconds = max(options.maximumLagNanoseconds, Limits.lttngLagNanoseconds)
        }
        if let maximumLagMilliseconds { options.maximumLagNanoseconds = Int64(maximumLagMilliseconds) * 1_000_000 }
        options.isInsecure = isInsecure
        options.lttngHost = lttngHost
        options.lttngGuests = lttngGuests
        options.kvmClock = try kvmClockPath.map(KVMClockCommand.readings(in:))
        options.hostEvents = events.map { SessionRequest.Event(pattern: $0.pattern, filter: $0.filter) }
        for argument in guests {
            let endpoint = argument.address.endpoint
            if let refusal = endpoint.clearTextRefusal(insecure: isInsecure) { throw Problem(description: refusal) }
            var guest = SessionOptions.Guest(name: argument.address.name, endpoint: endpoint)
            guest.clock = argument.clock
            guest.bufferKiB = argument.bufferKiB
            guest.vmmPID = argument.vmmPID
            guest.events = argument.events.map { SessionRequest.Event(pattern: $0.pattern, filter: $0.filter) }
            options.guests.append(guest)
        }
        return options
    }
}

extension SessionArguments.EventArgument {
    /// A second filter of the same event narrows the first, as with trace-cmd.
    fileprivate mutating func narrow(by filter: String) {
        self.filter = self.filter.isEmpty ? filter : "(\(self.filter))&&(\(filter))"
    }
}

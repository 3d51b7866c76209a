import TraceModel

/// The first message in both directions: who speaks, and which version.
package struct Hello: Hashable, Sendable {
    /// Major: peers with different ones cannot talk. Minor: only adds what the other side may skip.
    package static let major = 1
    package static let minor = 0
    /// Begins the body, so that a packet capture can be recognised.
    package static let magic: [UInt8] = Array("TANDEM".utf8)
    /// Longer texts are cut. Names of hosts and kernels have at most 64 bytes (uname(2)).
    private static let textBytes = 256
    private static let addresses = 256
    private static let addressBytes = 64

    package enum Role: UInt8, Hashable, Sendable {
        /// A collector that wants a session.
        case collector = 0
        /// The second connection of a session, for clock probes only; `token` names the session.
        case probe = 1
        /// A collector that only asks who is there (`tandem guests`).
        case query = 2
        case agent = 3
    }

    package var major = Hello.major
    package var minor = Hello.minor
    package var role: Role
    /// Program and version, for people.
    package var program: String
    package var hostname: String
    /// `/proc/sys/kernel/random/boot_id`: what makes a guest this guest. Empty when it cannot be read.
    package var bootID: String
    /// `/sys/class/dmi/id/product_uuid` in lower case; empty when it cannot be read.
    package var productUUID: String
    package var macAddresses: [String]
    package var kernelRelease: String
    /// CPUs that the kernel could bring up.
    package var cpuCount: Int
    /// For `probe`: the token of `Prepared`.
    package var token: UInt64

    package init(
        role: Role, program: String, hostname: String = "", bootID: String = "", productUUID: String = "",
        macAddresses: [String] = [], kernelRelease: String = "", cpuCount: Int = 0, token: UInt64 = 0
    ) {
        self.role = role
        self.program = program
        self.hostname = hostname
        self.bootID = bootID
        self.productUUID = productUUID
        self.macAddresses = macAddresses
        self.kernelRelease = kernelRelease
        self.cpuCount = cpuCount
        self.token = token
    }

    func write(to body: inout BodyWriter) {
        for byte in Hello.magic { body.put(UInt64(byte)) }
        body.put(major)
        body.put(minor)
        body.put(UInt64(role.rawValue))
        body.put(program, limit: Hello.textBytes)
        body.put(hostname, limit: Hello.textBytes)
        body.put(bootID, limit: Hello.textBytes)
        body.put(productUUID, limit: Hello.textBytes)
        body.put(macAddresses, limit: Hello.addresses) { $0.put($1, limit: Hello.addressBytes) }
        body.put(kernelRelease, limit: Hello.textBytes)
        body.put(min(cpuCount, Limits.cpus))
        body.put(token)
    }

    init(from body: inout BodyReader) throws(MessageError) {
        for byte in Hello.magic {
            guard try body.byte() == byte else { throw body.error("it does not begin with TANDEM") }
        }
        let major = try body.integer(in: 0...65_535)
        let minor = try body.integer(in: 0...65_535)
        guard major == Hello.major else {
            // The rest may be laid out in any way: keep what tells the user which side to update.
            self.init(role: .agent, program: "")
            self.major = major
            self.minor = minor
            return
        }
        guard let role = Role(rawValue: try body.byte()) else { throw body.error("the role is unknown") }
        self.init(
            role: role,
            program: try body.label(limit: Hello.textBytes),
            hostname: try body.label(limit: Hello.textBytes),
            bootID: try body.label(limit: Hello.textBytes),
            productUUID: try body.label(limit: Hello.textBytes),
            macAddresses: try body.array(limit: Hello.addresses) { (body) throws(MessageError) in
                try body.label(limit: Hello.addressBytes)
            },
            kernelRelease: try body.label(limit: Hello.textBytes),
            cpuCount: try body.integer(in: 0...Limits.cpus),
            token: try body.unsigned())
        self.minor = minor
    }
}

/// An error told to the other side. It ends the session, and on the wire it is the last message of its sender.
package struct PeerError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: UInt8, Hashable, Sendable {
        case protocolViolation = 0
        case versionMismatch = 1
        /// Another collector holds the agent's only session.
        case busy = 2
        /// tracefs is missing, not mounted or not permitted.
        case tracingUnavailable = 3
        /// The request names an event, filter or clock that this kernel does not have.
        case badRequest = 4
        case notPermitted = 5
        case internalFailure = 6
        /// The agent is asked to end (SIGTERM).
        case shuttingDown = 7
        case timedOut = 8
    }

    package var code: Code
    /// A sentence for people: what was being done, what the system answered, what to try.
    package var text: String
    /// The file, event or peer concerned; may be empty.
    package var subject: String

    package init(_ code: Code, _ text: String, subject: String = "") {
        self.code = code
        self.text = text
        self.subject = subject
    }

    /// The subject once, also where the sentence names it already.
    package var description: String { subject.isEmpty || text.contains(subject) ? text : "\(text) [\(subject)]" }

    func write(to body: inout BodyWriter) {
        body.put(UInt64(code.rawValue))
        body.put(text)
        body.put(subject)
    }

    init(from body: inout BodyReader) throws(MessageError) {
        // A code from the future is still an error with a text.
        code = Code(rawValue: try body.byte()) ?? .internalFailure
        text = try body.label()
        subject = try body.label()
    }
}

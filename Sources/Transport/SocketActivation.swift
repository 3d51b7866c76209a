import Glibc

/// Sockets that the service manager opened before it started this program: sd_listen_fds(3).
///
/// The first is always descriptor 3; `LISTEN_FDS` says how many there are and `LISTEN_PID` for whom, because a child
/// inherits the variables with everything else.
package enum SocketActivation {
    /// SD_LISTEN_FDS_START
    static let firstDescriptor: Int32 = 3
    /// A service manager hands over one or two; a larger number is a mistake that would be taken for open files.
    static let mostDescriptors: Int32 = 64

    /// The descriptors handed to process `processID`; none when the variables are missing or meant for another process.
    package static func descriptors(
        environment: [String: String], processID: Int32
    ) throws(EndpointError) -> [Int32] {
        guard let countText = environment["LISTEN_FDS"], let processText = environment["LISTEN_PID"] else { return [] }
        func fail(_ text: String, _ problem: String) -> EndpointError {
            EndpointError(text: text, problem: problem, grammar: "LISTEN_PID=PID LISTEN_FDS=COUNT, as systemd does")
        }
        guard let process = AddressText.number(processText) else {
            throw fail("LISTEN_PID=\(processText)", "'\(processText)' is not a process id")
        }
        guard process == processID else { return [] }
        guard let number = AddressText.number(countText), let count = Int32(exactly: number), count <= mostDescriptors
        else {
            throw fail("LISTEN_FDS=\(countText)", "'\(countText)' is not a count of 0 to \(mostDescriptors)")
        }
        return (0..<count).map { firstDescriptor + $0 }
    }

    /// The descriptors handed to this process.
    package static func descriptors() throws(EndpointError) -> [Int32] {
        var environment: [String: String] = [:]
        for name in ["LISTEN_FDS", "LISTEN_PID"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return try descriptors(environment: environment, processID: getpid())
    }
}

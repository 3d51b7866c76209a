package import TraceModel

/// What an exported trace says of its machine.
package struct ExportedMachine: Hashable, Sendable {
    /// Directory below the export's.
    package var name: String
    package var hostname: String
    package var bootID: String
    package var kernelRelease: String
    package var isHost: Bool
    package var formats: FormatTable
    /// Further environment entries.
    package var environment: [String: String]

    package init(
        name: String, hostname: String, bootID: String, kernelRelease: String, isHost: Bool, formats: FormatTable,
        environment: [String: String] = [:]
    ) {
        self.name = name
        self.hostname = hostname
        self.bootID = bootID
        self.kernelRelease = kernelRelease
        self.isHost = isHost
        self.formats = formats
        self.environment = environment
    }
}

/// The one clock of an export: the host's time line.
package struct ExportedClock: Hashable, Sendable {
    package var hostBootID: String
    /// From the time line's zero to 1970, nanoseconds.
    package var epochOffsetNanoseconds: Int64

    package init(hostBootID: String, epochOffsetNanoseconds: Int64) {
        self.hostBootID = hostBootID
        self.epochOffsetNanoseconds = epochOffsetNanoseconds
    }
}

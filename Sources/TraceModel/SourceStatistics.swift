/// A source's books: the kernel's own counts next to the recorder's, for exact loss accounting.
///
/// For every CPU, once everything has been read: `read = shed + delivered + malformed`, and the kernel produced
/// `read + overrun` events.
package struct SourceStatistics: Hashable, Sendable, Codable {
    package struct CPU: Hashable, Sendable, Codable {
        package var cpu: Int
        /// Events that the kernel lost before they were read (`overrun` + `commit overrun` + `dropped events` of
        /// `per_cpu/cpuN/stats`).
        package var overrun: UInt64
        /// Events read from the kernel (`read events`).
        package var read: UInt64
        /// Events read and shed before encoding.
        package var shed: UInt64
        /// Events put into batches.
        package var delivered: UInt64

        package init(cpu: Int, overrun: UInt64, read: UInt64, shed: UInt64, delivered: UInt64) {
            self.cpu = cpu
            self.overrun = overrun
            self.read = read
            self.shed = shed
            self.delivered = delivered
        }
    }

    package var cpus: [CPU]
    /// CPU time of the recording process since the session's start, nanoseconds.
    package var cpuNanoseconds: UInt64
    /// Resident memory of the recording process, bytes.
    package var residentBytes: UInt64
    /// Everything is read and delivered: the last statistics of a session.
    package var isFinal: Bool
    /// What the decoder found wrong with the kernel's pages.
    package var anomalies: [Anomaly: UInt64]

    package init(
        cpus: [CPU], cpuNanoseconds: UInt64, residentBytes: UInt64, isFinal: Bool, anomalies: [Anomaly: UInt64] = [:]
    ) {
        self.cpus = cpus
        self.cpuNanoseconds = cpuNanoseconds
        self.residentBytes = residentBytes
        self.isFinal = isFinal
        self.anomalies = anomalies
    }
}

/// What a kernel says about time that it was robbed of: `steal` of /proc/stat (proc_stat(5)), CPU by CPU.
package struct StealSample: Hashable, Sendable, Codable {
    package struct CPU: Hashable, Sendable, Codable {
        package var cpu: Int
        /// Since boot, counted in clock ticks.
        package var nanoseconds: UInt64

        package init(cpu: Int, nanoseconds: UInt64) {
            self.cpu = cpu
            self.nanoseconds = nanoseconds
        }
    }

    /// The source's trace clock when the sample was taken.
    package var ticks: TraceTicks
    package var cpus: [CPU]

    package init(ticks: TraceTicks, cpus: [CPU]) {
        self.ticks = ticks
        self.cpus = cpus
    }
}

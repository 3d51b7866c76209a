import Capture
import Glibc
package import TraceModel

/// Reads what this kernel was told about stolen time: the eighth number of each `cpuN` line of /proc/stat (proc_stat(5)).
package enum StealTime {
    private static let stealPlace = 7

    /// Nil when /proc/stat cannot be read, or the clock cannot.
    package static func sample(_ clock: TraceClock) -> StealSample? {
        guard let ticks = TraceClockReader.now(clock), let text = readStat() else { return nil }
        return StealSample(ticks: ticks, cpus: cpus(parsing: text, ticksPerSecond: sysconf(Int32(_SC_CLK_TCK))))
    }

    /// The CPUs of a /proc/stat text; what does not look like one is passed over.
    package static func cpus(parsing text: some StringProtocol, ticksPerSecond: Int) -> [StealSample.CPU] {
        guard ticksPerSecond > 0 else { return [] }
        let nanoseconds = 1_000_000_000 / UInt64(ticksPerSecond)
        return text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let first = words.first, first.hasPrefix("cpu"), let cpu = Int(first.dropFirst(3)),
                (0..<Limits.cpus).contains(cpu), words.count > stealPlace + 1,
                let count = UInt64(words[stealPlace + 1])
            else { return nil }
            return StealSample.CPU(
                cpu: cpu, nanoseconds: count.multipliedReportingOverflow(by: nanoseconds).partialValue)
        }
    }

    /// The `cpu` lines come first, at most 150 bytes each.
    private static func readStat() -> String? {
        let descriptor = open("/proc/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let room = 150 * (sysconf(Int32(_SC_NPROCESSORS_CONF)) + 1)
        var buffer = [UInt8](repeating: 0, count: room)
        var length = 0
        while length < room {
            let count = buffer.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { read(descriptor, $0 + length, room - length) } ?? 0
            }
            guard count > 0 else { break }
            length += count
        }
        return String(decoding: buffer[..<length], as: UTF8.self)
    }
}

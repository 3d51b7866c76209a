package import TraceModel

/// What `/proc/PID/stat` says of a process or thread (fs/proc/array.c, `do_task_stat`; proc_pid_stat(5)).
///
/// One file answers everything that a scan asks of every process: its name, whether it belongs to the kernel, and whether
/// it ever executed guest code. Anyone may read it.
package struct TaskStat: Hashable, Sendable {
    package var comm: Comm
    /// `R`, `S`, `Z`, …
    package var state: UInt8
    package var flags: UInt64
    /// Clock ticks after boot: with its number, the identity of a process.
    package var startTicks: UInt64
    /// Clock ticks in guest code; zero without virtualization, or where the kernel does not account for it.
    package var guestTicks: UInt64

    /// PF_KTHREAD, include/linux/sched.h.
    package var isKernelThread: Bool { flags & 0x0020_0000 != 0 }
    /// PF_USER_WORKER (Linux 6.4): the kernel's own work in a VMM's process, such as vhost. It shows its creator's registers.
    package var isUserWorker: Bool { flags & 0x4000 != 0 }
    package var isZombie: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

    /// Nil when the text is not that of a stat file.
    ///
    /// The name is written as it is, and may hold spaces, parentheses and line feeds. Only numbers and one letter come
    /// after it, so that the last parenthesis ends it.
    package init?(_ text: [UInt8]) {
        guard let opening = text.firstIndex(of: UInt8(ascii: "(")),
            let closing = text.lastIndex(of: UInt8(ascii: ")")), opening < closing
        else { return nil }
        // proc_pid_stat(5) counts from 1, and its field 3 is the first after the name.
        let fields = text[(closing + 1)...].split(separator: UInt8(ascii: " "), maxSplits: 42)
        func number(_ field: Int) -> UInt64? {
            guard fields.indices.contains(field - 3) else { return nil }
            return UInt64(decimal: fields[field - 3])
        }
        guard let state = fields.first?.first, let flags = number(9), let startTicks = number(22) else { return nil }
        comm = Comm(bytes: text[(opening + 1)..<closing])
        self.state = state
        self.flags = flags
        self.startTicks = startTicks
        guestTicks = number(43) ?? 0
    }
}

extension UInt64 {
    /// The number that `digits` spell; nil when they spell none, or one that is too large.
    init?(decimal digits: some Collection<UInt8>) {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isTooLargeNow) = tens.addingReportingOverflow(UInt64(digit - 0x30))
            if isTooLarge || isTooLargeNow { return nil }
            value = sum
        }
        self = value
    }
}

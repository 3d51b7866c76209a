import CLinux
import Glibc
package import TraceModel

/// This machine's time stamp counter as a time line.
package enum HostTSC {
    /// Kernels that keep time with the counter have checked that it runs alike on all CPUs and never stops
    /// (arch/x86/kernel/tsc.c). Under a hypervisor a paravirtual clock, which is made of it, is preferred instead.
    private static let timeKeepers: Set<String> = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page"]

    package static let clockSourcePath = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

    /// Whether stamps of different CPUs can be compared.
    package static func isTrusted(clockSourcePath: String = clockSourcePath) -> Bool {
        guard TraceClockReader.now(.x86TSC) != nil, let text = try? KernelFile.read(clockSourcePath) else {
            return false
        }
        return timeKeepers.contains(String(text.prefix { $0 != "\n" }))
    }

    /// How its cycles become nanoseconds: as the kernel's scheduler clock does it, or else measured.
    ///
    /// The kernel tells only where it found the counter to be invariant. A measured scale makes a time line all the same:
    /// everything that is compared goes through the same one, so that an error of the rate stretches all alike.
    package static func scale() throws(CaptureError) -> TSCScale {
        var multiplier: UInt32 = 0
        var shift: UInt16 = 0
        var zero: UInt64 = 0
        if clinux_tsc_scale(&multiplier, &shift, &zero) == 0, multiplier > 0, shift < 64 {
            return TSCScale(multiplier: multiplier, shift: UInt8(shift), zero: Int64(bitPattern: zero))
        }
        return try measuredScale()
    }

    /// Against CLOCK_MONOTONIC_RAW, which no daemon steers. Two readings of a microsecond's doubt, 50 ms apart: 40 ppm at
    /// worst, and `zero` such that the time line and that clock agree now.
    private static func measuredScale() throws(CaptureError) -> TSCScale {
        let path = "CLOCK_MONOTONIC_RAW"
        guard let first = closestPair() else {
            throw CaptureError(.readTSC, path, .unsuitable("this machine has no time stamp counter"))
        }
        var pause = timespec(tv_sec: 0, tv_nsec: 50_000_000)
        nanosleep(&pause, nil)
        guard let second = closestPair(), second.cycles > first.cycles, second.nanoseconds > first.nanoseconds else {
            throw CaptureError(.readTSC, path, .unsuitable("the time stamp counter stands still"))
        }
        let rate = Double(second.nanoseconds - first.nanoseconds) / Double(second.cycles - first.cycles)
        var shift: UInt8 = 63
        while shift > 0, rate * Double(UInt64(1) << UInt64(shift)) >= 0x1p32 { shift -= 1 }
        var scale = TSCScale(
            multiplier: UInt32((rate * Double(UInt64(1) << UInt64(shift))).rounded(.down)), shift: shift, zero: 0)
        scale.zero = Int64(clamping: second.nanoseconds) &- scale.hostTime(second.cycles).nanoseconds
        return scale
    }

    /// Both clocks at one instant, as nearly as in the best of some tries.
    private static func closestPair() -> (cycles: UInt64, nanoseconds: UInt64)? {
        var best: (cycles: UInt64, nanoseconds: UInt64, doubt: UInt64)?
        for _ in 0..<32 {
            guard let before = TraceClockReader.now(.x86TSC), let time = TraceClockReader.now(.monoRaw),
                let after = TraceClockReader.now(.x86TSC), after >= before
            else { return nil }
            let doubt = after.rawValue - before.rawValue
            if doubt < best?.doubt ?? .max { best = (before.rawValue + doubt / 2, time.rawValue, doubt) }
        }
        return best.map { ($0.cycles, $0.nanoseconds) }
    }
}

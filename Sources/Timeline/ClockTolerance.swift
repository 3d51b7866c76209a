/// What is taken for granted about two clocks: the only thing between measurements and a hard bound.
///
/// A probe bounds the offset at one instant. To say anything about another instant one must assume how fast clocks can
/// run and how fast that can change. The numbers:
///
/// * *Drift.* The oscillators of PCs are specified to about ±100 ppm, and the kernel lets NTP change the rate of a
///   clock by at most ±500 ppm (`MAXFREQ`, include/linux/timex.h).
/// * *Wander.* A crystal's rate changes with its temperature by far less than 1 ppm in two minutes. `mono_raw` and
///   `x86-tsc` count such an oscillator, and a guest's usually counts the host's own. `mono`, `boot` and `tai` are
///   steered by NTP (kernel/time/timekeeping.c): daemons in steady state change the rate by a few ppm; a daemon that
///   corrects a large error goes beyond that, which the map then sees as a violation and answers with a new epoch.
///
/// Where the host's trace clock is of the second kind, its tolerance is the one to give, whatever the guest's clock.
package import TraceModel

package struct ClockTolerance: Hashable, Sendable, Codable {
    /// How far the rate of a nanosecond clock, or of any clock against its own past, may be from 1.
    package var driftPPM: Double
    /// How much two rates within `horizonNanoseconds` may differ.
    package var wanderPPM: Double

    /// The stretch over which `wanderPPM` holds: half of it is the age of the oldest measurement in use, half is how far
    /// the newest reaches. Beyond, only `driftPPM` is taken for granted. 137 s: long enough for a round trip of 20 µs to
    /// give the rate to 0.3 ppm, below the wander, so that a longer one would gain nothing.
    package static let horizonNanoseconds: Int64 = 1 << 37

    package init(driftPPM: Double, wanderPPM: Double) {
        self.driftPPM = driftPPM
        self.wanderPPM = wanderPPM
    }

    package static func standard(for clock: TraceClock) -> ClockTolerance {
        switch clock {
        case .monoRaw, .x86TSC: ClockTolerance(driftPPM: 500, wanderPPM: 1)
        // sched_clock, on which `local`, `global` and `perf` rest, is the TSC with the kernel's first calibration.
        case .local, .global, .perf: ClockTolerance(driftPPM: 500, wanderPPM: 1)
        case .mono, .boot, .tai, .uptime: ClockTolerance(driftPPM: 500, wanderPPM: 10)
        }
    }

    /// Of two clocks, either of which may stray: the looser one.
    package func union(_ other: ClockTolerance) -> ClockTolerance {
        ClockTolerance(driftPPM: max(driftPPM, other.driftPPM), wanderPPM: max(wanderPPM, other.wanderPPM))
    }

    /// Host nanoseconds per tick that are possible at all. A cycle counter says nothing about its unit: 20 GHz to 1 MHz.
    func rates(of clock: TraceClock) -> ClosedRange<Double> {
        clock.countsNanoseconds ? (1 - driftPPM * 1e-6)...(1 + driftPPM * 1e-6) : 0.05...1000
    }
}

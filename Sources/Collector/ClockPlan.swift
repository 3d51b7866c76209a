import Capture
import TraceModel
import Wire

/// Which clocks a session uses, when the user does not say, and what is known about them beforehand.
///
/// Where KVM's own numbers can be had, host and guests stamp with the TSC and the map is exact. That needs a host whose
/// TSC its kernel keeps time with, so that its CPUs agree, and debugfs, or what `tandem kvm-clock` has read there.
/// Otherwise everybody stamps with `mono_raw` and the clocks are measured.
struct ClockPlan: Sendable {
    let host: HostClock
    private var readings: [KVMClockReading]

    init(_ options: SessionOptions) throws(CaptureError) {
        let mayUseTSC = options.guests.contains { $0.clock ?? .x86TSC == .x86TSC }
        var found: [KVMClockReading] = []
        if mayUseTSC, options.hostClock ?? .x86TSC == .x86TSC {
            // Without debugfs there is nothing to read, which is no reason to fail.
            found = options.kvmClock ?? (try? KVMClockFiles.read()) ?? []
        }
        let isExact = !found.isEmpty && HostTSC.isTrusted()
        host = try HostClock(options.hostClock ?? (isExact ? .x86TSC : .monoRaw))
        readings = host.scale == nil ? [] : found
    }

    /// The same for an agent that comes back: its machine may have booted meanwhile, or be another one. What was read before
    /// does not count, and where it cannot be read again the clock is measured.
    func renewed() -> ClockPlan {
        var plan = self
        plan.readings = host.scale == nil ? [] : (try? KVMClockFiles.read()) ?? []
        return plan
    }

    /// For a guest that runs on `vmmPID`, nil when that is not known.
    func clock(of guest: SessionOptions.Guest, vmmPID: Int32?) -> TraceClock {
        guest.clock ?? (readings.contains { $0.vmmPID == vmmPID } ? .x86TSC : .monoRaw)
    }

    /// What KVM says of a machine whose guest stamps with its TSC.
    func kvmClock(vmmPID: Int32) -> KVMClock? {
        let vcpus = readings.filter { $0.vmmPID == vmmPID }.map(\.vcpu)
        guard let scale = host.scale, !vcpus.isEmpty else { return nil }
        return KVMClock(scale: scale, vcpus: vcpus)
    }
}

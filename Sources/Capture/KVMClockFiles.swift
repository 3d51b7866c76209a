/// How KVM makes the TSC of every vCPU of this host, from debugfs: `kvm/PID-FD/vcpuN/tsc-offset`, `tsc-scaling-ratio` and
/// `tsc-scaling-ratio-frac-bits` (arch/x86/kvm/debugfs.c). The last two are there where the processor scales.
///
/// debugfs is open to root alone. So that the program that talks to guests needs no such right, the reading can be done
/// by another process before (`tandem kvm-clock`), which hands over one line of text for each vCPU; from then on
/// `kvm:kvm_write_tsc_offset` tells of changes, through tracefs.
package import TraceModel

package struct KVMClockReading: Hashable, Sendable {
    /// The process that made the machine.
    package var vmmPID: Int32
    package var vcpu: KVMClock.VCPU

    package init(vmmPID: Int32, vcpu: KVMClock.VCPU) {
        self.vmmPID = vmmPID
        self.vcpu = vcpu
    }
}

package enum KVMClockFiles {
    package static let directory = "/sys/kernel/debug/kvm"

    /// Of all machines. Throws when the directory cannot be listed; a vCPU that ends meanwhile is left out.
    ///
    /// KVM names vCPUs by APIC id, which can leave numbers out; a guest counts its CPUs without gaps, in the same order.
    package static func read(_ directory: String = directory) throws(CaptureError) -> [KVMClockReading] {
        var readings: [KVMClockReading] = []
        for machine in try names(in: directory).sorted() {
            // "PID-FD", beside the files of totals.
            guard let dash = machine.firstIndex(of: "-"), let pid = Int32(machine[..<dash]) else { continue }
            let path = "\(directory)/\(machine)"
            let numbers = ((try? names(in: path)) ?? []).compactMap {
                $0.hasPrefix("vcpu") ? Int($0.dropFirst(4)) : nil
            }
            for (vcpu, number) in numbers.sorted().prefix(Limits.vcpus).enumerated() {
                guard let offset: Int64 = Self.number(in: "\(path)/vcpu\(number)/tsc-offset") else { continue }
                let ratio: UInt64? = Self.number(in: "\(path)/vcpu\(number)/tsc-scaling-ratio")
                let bits: UInt8? = Self.number(in: "\(path)/vcpu\(number)/tsc-scaling-ratio-frac-bits")
                readings.append(
                    KVMClockReading(
                        vmmPID: pid,
                        vcpu: KVMClock.VCPU(
                            vcpu: vcpu, offset: offset, ratio: bits == nil ? 1 : ratio ?? 1,
                            fractionBits: ratio == nil ? 0 : bits ?? 0)))
            }
        }
        return readings
    }

    private static func names(in path: String) throws(CaptureError) -> [String] {
        do throws(Errno) {
            return try KernelFile.names(in: path)
        } catch {
            throw CaptureError(.readKVMClock, path, error)
        }
    }

    private static func number<Number: FixedWidthInteger>(in path: String) -> Number? {
        guard let text = try? KernelFile.read(path) else { return nil }
        return Number(text.prefix { $0 != "\n" })
    }
}

extension KVMClockReading {
    /// `PID VCPU OFFSET RATIO FRACTION-BITS`
    package var line: String { "\(vmmPID) \(vcpu.vcpu) \(vcpu.offset) \(vcpu.ratio) \(vcpu.fractionBits)" }

    package init?(line: some StringProtocol) {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 5, let pid = Int32(words[0]), let number = Int(words[1]), let offset = Int64(words[2]),
            let ratio = UInt64(words[3]), let bits = UInt8(words[4]), (0..<Limits.vcpus).contains(number)
        else { return nil }
        self.init(
            vmmPID: pid, vcpu: KVMClock.VCPU(vcpu: number, offset: offset, ratio: ratio, fractionBits: bits))
    }
}

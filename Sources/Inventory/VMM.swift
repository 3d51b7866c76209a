/// The virtual machine monitors whose programs, thread names and command lines are known.
///
/// Names from the sources of QEMU (accel/kvm/kvm-accel-ops.c, accel/tcg/tcg-accel-ops-{mttcg,rr}.c), Firecracker
/// (vmm/src/vstate/vcpu.rs), Cloud Hypervisor (vmm/src/cpu.rs), crosvm (src/crosvm/sys/linux/vcpu.rs) and kvmtool
/// (builtin-run.c).
package enum VMM: String, Hashable, Sendable, CaseIterable {
    case qemu
    case firecracker
    case cloudHypervisor = "cloud-hypervisor"
    case crosvm
    case kvmtool

    /// By the name of the executable file, or by the process's name, which the kernel cut after fifteen bytes.
    ///
    /// Prefixes, because releases carry suffixes (`firecracker-v1.13.1-x86_64`). More names than monitors match
    /// (`firecracker-ctr`), which is harmless: a name alone makes no virtual machine.
    package init?(program: String) {
        // NixOS starts wrapped programs as `.NAME-wrapped`.
        let name = program.hasPrefix(".") ? program.dropFirst() : Substring(program)
        if name.hasPrefix("qemu-system-") || name == "qemu-kvm" || name == "kvm" || name.hasPrefix("qemu:") {
            // `qemu:NAME` is what libvirt's set_process_name makes of the process's name.
            self = .qemu
        } else if name.hasPrefix("firecracker") {
            self = .firecracker
        } else if name.hasPrefix("cloud-hyperviso") {
            self = .cloudHypervisor
        } else if name.hasPrefix("crosvm") {
            self = .crosvm
        } else if name.hasPrefix("lkvm") {
            self = .kvmtool
        } else {
            return nil
        }
    }
}

/// What a thread's name says of the vCPU that it runs.
package struct VCPUThreadName: Hashable, Sendable {
    /// Nil for the one thread that runs all vCPUs of an emulated machine.
    package var vcpu: Int?
    package var isEmulated: Bool

    /// Nil when the name is not that of a vCPU's thread.
    package init?(_ name: String) {
        if name == "ALL CPUs/TCG" {
            self.init(vcpu: nil, isEmulated: true)
            return
        }
        for (prefix, suffix, isEmulated) in Self.patterns where name.hasPrefix(prefix) && name.hasSuffix(suffix) {
            let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
            guard let number = UInt64(decimal: digits).flatMap({ UInt16(exactly: $0) }) else { continue }
            self.init(vcpu: Int(number), isEmulated: isEmulated)
            return
        }
        return nil
    }

    private init(vcpu: Int?, isEmulated: Bool) {
        self.vcpu = vcpu
        self.isEmulated = isEmulated
    }

    private static let patterns: [(prefix: String, suffix: String, isEmulated: Bool)] = [
        ("CPU ", "/KVM", false), ("CPU ", "/TCG", true),
        ("fc_vcpu ", "", false), ("vcpu", "", false), ("vcpu-", "", false), ("vcpu ", "", false),
        ("crosvm_vcpu", "", false), ("kvm-vcpu-", "", false),
    ]
}

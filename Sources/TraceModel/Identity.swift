/// What was learned outside of the trace about one virtual machine of this host: evidence, shown as such.
///
/// A vCPU is (VMM process, host thread), never its number alone: two VMs both have a vCPU 0. A guest is its boot id,
/// never its CID or name: machines cloned from one image share both.
package struct VMFacts: Hashable, Sendable, Codable {
    package struct Thread: Hashable, Sendable, Codable {
        package var tid: Int32
        /// Taken from the thread's name (`CPU 0/KVM`, `fc_vcpu 0`, `vcpu0`) or its KVM_RUN; nil when neither says.
        package var vcpu: Int?

        package init(tid: Int32, vcpu: Int?) {
            self.tid = tid
            self.vcpu = vcpu
        }
    }

    /// The process (thread group) of the virtual machine monitor.
    package var vmmPID: Int32
    /// `qemu`, `firecracker`, `cloud-hypervisor`, or the process's own name.
    package var vmm: String
    /// The machine's name: libvirt's or QEMU's `-name guest=`, Firecracker's `--id`, otherwise `vm-PID`.
    package var name: String
    /// The vsock context id given on the VMM's command line.
    package var cid: UInt32?
    /// The machine's SMBIOS UUID in lower case, as `/sys/class/dmi/id/product_uuid` shows it inside.
    package var uuid: String?
    /// MAC addresses in lower case.
    package var macAddresses: [String]
    /// Unix sockets that lead to the guest's vsock (hybrid vsock).
    package var vsockPaths: [String]
    /// Threads known to be vCPUs: by their names, the KVM_RUN that they wait in, or the guest time charged to them.
    package var vcpuThreads: [Thread]
    /// The machine is translated in user space (QEMU TCG): it never causes a `kvm` event.
    package var isEmulated: Bool

    package init(
        vmmPID: Int32, vmm: String, name: String, cid: UInt32? = nil, uuid: String? = nil, macAddresses: [String] = [],
        vsockPaths: [String] = [], vcpuThreads: [Thread] = [], isEmulated: Bool = false
    ) {
        self.vmmPID = vmmPID
        self.vmm = vmm
        self.name = name
        self.cid = cid
        self.uuid = uuid
        self.macAddresses = macAddresses
        self.vsockPaths = vsockPaths
        self.vcpuThreads = vcpuThreads
        self.isEmulated = isEmulated
    }
}

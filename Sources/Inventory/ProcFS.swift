package import TraceModel

/// What /proc says about the virtual machines of this host. Reads only, keeps nothing: each call looks anew.
///
/// Evidence, not truth: names are chosen by whoever starts a VMM and are sanitized where they are shown, not here.
package struct ProcFS: Sendable {
    private let files: ProcFiles

    package init(root: String = "/proc") { files = ProcFiles(root: root) }

    /// All virtual machines now, by process number.
    package func virtualMachines() -> [VMFacts] { survey().machines }

    /// Plain sentences on what cannot be seen, and why.
    package var limits: [String] { survey().limits }

    /// Both answers from one look.
    package func survey() -> (machines: [VMFacts], limits: [String]) {
        guard case .numbers(let pids) = files.numbers(in: "", atMost: Limits.processes), !pids.isEmpty else {
            return ([], ["\(files.root) cannot be listed: no virtual machine can be found. Is it mounted?"])
        }
        var scan = MachineScan(files: files)
        var machines: [VMFacts] = []
        for pid in pids.sorted() {
            if let machine = scan.machineAtFirstSight(pid) { machines.append(machine) }
        }
        var limits: [String] = []
        if scan.stat("1") == nil {
            limits.append(
                """
                \(files.root) hides other users' processes (mount option hidepid), so that their virtual machines are not \
                seen; run as root.
                """
            )
        }
        if !scan.closedPIDs.isEmpty {
            let pids = scan.closedPIDs.map(String.init).joined(separator: ", ")
            limits.append(
                """
                the open files of some virtual machine monitors are closed to this user, so that program and thread names \
                must do (processes \(pids)); run as root.
                """
            )
        }
        for configuration in scan.unreadableConfigurations {
            limits.append(
                "a machine's configuration cannot be read, its CID and addresses are unknown: \(configuration)")
        }
        return (machines, limits)
    }

    /// The machine whose process a thread belongs to: asked when kvm events name a thread that is not known.
    ///
    /// Finds programs of any name, provided that they have an open KVM vCPU.
    package func facts(ofThread tid: Int32) -> VMFacts? {
        guard let pid = threadGroup(of: tid) else { return nil }
        var scan = MachineScan(files: files)
        return scan.machine(pid)
    }

    /// When a thread began, in clock ticks after boot: with its number, who it is. Nil when there is none (any more).
    package func startTicks(ofThread tid: Int32) -> UInt64? {
        guard let stat = MachineScan(files: files).stat("\(tid)"), !stat.isZombie else { return nil }
        return stat.startTicks
    }

    /// Whether a thread is the kernel's own; nil when there is no such thread (any more).
    package func isKernelThread(_ tid: Int32) -> Bool? {
        MachineScan(files: files).stat("\(tid)")?.isKernelThread
    }

    /// `Tgid` of `/proc/TID/status`; its `Name` is escaped by the kernel, so that no name can forge the line.
    private func threadGroup(of tid: Int32) -> Int32? {
        let status = files.contents("\(tid)/status", atMost: 16 << 10) ?? []
        let label = "Tgid:".utf8
        guard let line = status.split(separator: UInt8(ascii: "\n")).first(where: { $0.starts(with: label) }) else {
            return nil
        }
        let digits = line.dropFirst(label.count).drop { $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: " ") }
        return UInt64(decimal: digits).flatMap { Int32(exactly: $0) }
    }
}

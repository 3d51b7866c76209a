import TraceModel

/// One look at the processes: which of them are virtual machine monitors, and what is known of their machines.
///
/// Cheap first: `stat` and the name of the executable of every process; only candidates (a known program, or guest time)
/// have their threads and open files looked at. What proves a machine, best first: an open KVM vCPU; when open files are
/// closed to us, a known program with vCPU threads; for QEMU, which can do without KVM, the program alone.
struct MachineScan {
    let files: ProcFiles
    /// VMM processes whose open files may not be looked into.
    private(set) var closedPIDs: [Int32] = []
    /// Configurations that could not be read, for people.
    private(set) var unreadableConfigurations: [String] = []
    /// By network namespace (`net:[4026531840]`): reading one table per machine would be quadratic.
    private var socketTables: [String: SocketTable] = [:]
    private var vhostUserMachines: [VhostUserVsock]?

    init(files: ProcFiles) { self.files = files }

    func stat(_ path: String) -> TaskStat? { files.contents("\(path)/stat", atMost: 4096).flatMap { TaskStat($0) } }

    /// The facts of a process if it looks like a VMM at first sight and is one.
    mutating func machineAtFirstSight(_ pid: Int32) -> VMFacts? {
        guard let stat = stat("\(pid)"), !stat.isKernelThread, !stat.isZombie else { return nil }
        let vmm = VMM(program: program(pid, stat))
        guard vmm != nil || stat.guestTicks > 0 else { return nil }
        return machine(pid, stat, vmm)
    }

    /// The facts of a process that has a machine, of whatever program it is.
    mutating func machine(_ pid: Int32) -> VMFacts? {
        guard let stat = stat("\(pid)"), !stat.isKernelThread, !stat.isZombie else { return nil }
        return machine(pid, stat, VMM(program: program(pid, stat)))
    }

    private mutating func machine(_ pid: Int32, _ stat: TaskStat, _ vmm: VMM?) -> VMFacts? {
        let descriptors = descriptors(of: pid)
        let threads = vcpuThreads(of: pid, descriptors)
        if descriptors.areClosed { closedPIDs.append(pid) }
        let arguments = arguments(of: pid)
        var options = vmm.map { MachineOptions(arguments, of: $0) } ?? MachineOptions()
        guard let isEmulated = isEmulated(vmm, options, threads, descriptors) else { return nil }
        if let path = options.configurationPath { read(configuration: path, of: pid, into: &options) }
        if vmm == .firecracker, options.vsockPaths.isEmpty {
            // Configured through its API, as most are: of its two sockets one is the API's.
            options.vsockPaths = listeningPaths(pid, descriptors.socketInodes).filter { $0 != options.apiSocket }
        }
        options.vsockPaths = options.vsockPaths.map { visible($0, of: pid) }
        addVhostUser(pid, to: &options)
        // The number may have gone to another process while we read.
        guard self.stat("\(pid)")?.startTicks == stat.startTicks else { return nil }
        let threadFacts = threads.prefix(Limits.vcpus).map { VMFacts.Thread(tid: $0.tid, vcpu: $0.vcpu) }
        return VMFacts(
            vmmPID: pid, vmm: vmm?.rawValue ?? stat.comm.text, name: name(options.name, pid), cid: options.cid,
            uuid: options.uuid, macAddresses: Array(options.macAddresses.prefix(Limits.machineAddresses)),
            vsockPaths: Array(
                options.vsockPaths.filter { $0.utf8.count <= Limits.pathBytes }.prefix(Limits.machineAddresses)),
            vcpuThreads: threadFacts, isEmulated: isEmulated)
    }

    private func name(_ given: String?, _ pid: Int32) -> String {
        guard let given, !given.isEmpty else { return "vm-\(pid)" }
        return String(decoding: given.utf8.prefix(Limits.machineNameBytes), as: UTF8.self)
    }

    /// Whether the machine does without KVM; nil when there is no machine.
    private func isEmulated(
        _ vmm: VMM?, _ options: MachineOptions, _ threads: [Thread], _ descriptors: Descriptors
    ) -> Bool? {
        let accelerator = options.accelerator ?? ""
        if !descriptors.areClosed {
            if descriptors.hasVCPU { return false }
            // QEMU without KVM, or no machine (yet). No files at all: the process is ending.
            guard vmm == .qemu, options.hasMachine, !descriptors.hasMachine, !descriptors.isEmpty else { return nil }
            // `kvm:tcg` falls back. Xen and MSHV are neither: no kvm events, and no emulation.
            return accelerator.hasPrefix("tcg") || accelerator.hasPrefix("kvm")
        }
        if threads.contains(where: { $0.hasGuestTime }) { return false }
        guard let vmm else { return nil }  // Anyone may name threads.
        if let thread = threads.first { return thread.isTranslator }
        guard vmm == .qemu, options.hasMachine else { return nil }
        return accelerator.hasPrefix("tcg")
    }

    // MARK: Pieces of a process

    /// The executable's name; the process's own where that is hidden from us.
    ///
    /// Never `argv[0]`, which a process chooses. The kernel writes ` (deleted)` after a file that was replaced.
    private func program(_ pid: Int32, _ stat: TaskStat) -> String {
        guard let path = files.link("\(pid)/exe") else { return stat.comm.text }
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        return name.hasSuffix(" (deleted)") ? String(name.dropLast(10)) : name
    }

    private func arguments(of pid: Int32) -> [String] {
        let text = files.contents("\(pid)/cmdline", atMost: Limits.commandLineBytes) ?? []
        // Every argument ends with a NUL, an empty one is only that.
        return text.dropLast().split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    private struct Thread {
        var tid: Int32
        var vcpu: Int?
        var isTranslator = false
        var hasGuestTime: Bool
    }

    private func vcpuThreads(of pid: Int32, _ descriptors: Descriptors) -> [Thread] {
        guard case .numbers(let tids) = files.numbers(in: "\(pid)/task", atMost: Limits.filesPerVMM) else { return [] }
        let threads = tids.compactMap { tid -> Thread? in
            guard let stat = stat("\(pid)/task/\(tid)"), !stat.isUserWorker else { return nil }
            var thread = Thread(tid: tid, hasGuestTime: stat.guestTicks > 0)
            if let name = VCPUThreadName(stat.comm.text) {
                thread.vcpu = name.vcpu
                thread.isTranslator = name.isEmulated
                return thread
            }
            thread.vcpu = vcpuThatWaits("\(pid)/task/\(tid)", descriptors)
            return thread.vcpu == nil && !thread.hasGuestTime ? nil : thread
        }
        return threads.sorted { ($0.vcpu ?? .max, $0.tid) < ($1.vcpu ?? .max, $1.tid) }
    }

    /// The vCPU whose KVM_RUN a thread sleeps in: QEMU by default gives its threads no names, and not every kernel
    /// accounts for guest time. A thread that is on a CPU just now does not say (fs/proc/base.c, `proc_pid_syscall`).
    private func vcpuThatWaits(_ thread: String, _ descriptors: Descriptors) -> Int? {
        guard !descriptors.vcpus.isEmpty, let text = files.contents("\(thread)/syscall", atMost: 4096) else {
            return nil
        }
        // `16 0xc 0xae80 …`: ioctl(12, KVM_RUN, …). The second word is unique enough; the first differs by machine.
        let words = String(decoding: text, as: UTF8.self).split(separator: " ", maxSplits: 3)
        guard words.count > 2, words[2] == "0xae80", words[1].hasPrefix("0x") else { return nil }
        return Int32(words[1].dropFirst(2), radix: 16).flatMap { descriptors.vcpus[$0] }
    }

    private struct Descriptors {
        /// They may not be looked at, so that the rest says nothing.
        var areClosed = false
        var isEmpty = true
        var hasMachine = false
        var hasVCPU = false
        /// vCPU numbers by file descriptor.
        var vcpus: [Int32: Int] = [:]
        var socketInodes: [UInt64] = []
    }

    private func descriptors(of pid: Int32) -> Descriptors {
        var descriptors = Descriptors()
        switch files.numbers(in: "\(pid)/fd", atMost: Limits.filesPerVMM) {
        case .denied:
            descriptors.areClosed = true
        case .gone:
            break
        case .numbers(let numbers):
            // Without CAP_SYS_PTRACE even root may list them all and follow none.
            descriptors.areClosed = !numbers.isEmpty
            for number in numbers {
                guard let target = files.link("\(pid)/fd/\(number)") else { continue }
                descriptors.areClosed = false
                descriptors.isEmpty = false
                // virt/kvm/kvm_main.c: kvm_dev_ioctl_create_vm, create_vcpu_fd.
                if target == "anon_inode:kvm-vm" { descriptors.hasMachine = true }
                if target == "anon_inode:kvm-vcpu" { descriptors.hasVCPU = true }  // Older kernels give no number.
                if target.hasPrefix("anon_inode:kvm-vcpu:") {
                    descriptors.hasVCPU = true
                    descriptors.vcpus[number] = Int(target.dropFirst(20))
                }
                if target.hasPrefix("socket:["), let inode = UInt64(decimal: target.utf8.dropFirst(8).dropLast()) {
                    descriptors.socketInodes.append(inode)
                }
            }
        }
        return descriptors
    }

    private mutating func listeningPaths(_ pid: Int32, _ inodes: [UInt64]) -> [String] {
        guard !inodes.isEmpty else { return [] }
        let namespace = files.link("\(pid)/ns/net") ?? "\(pid)"
        let table =
            socketTables[namespace]
            ?? SocketTable(files.contents("\(pid)/net/unix", atMost: Limits.socketTableBytes) ?? [])
        socketTables[namespace] = table
        return inodes.compactMap { table.listeningPaths[$0] }
    }

    // MARK: Beyond the process

    private mutating func read(configuration path: String, of pid: Int32, into options: inout MachineOptions) {
        let path = visible(path, of: pid)
        if let text = files.regularFile(path, atMost: Limits.vmmConfigurationBytes) {
            options.addFirecracker(configuration: text)
        } else {
            unreadableConfigurations.append("process \(pid): \(String(path.prefix(200)).sanitized)")
        }
    }

    /// A path of the process as we can open it: it may have another working directory, and another root (a jail).
    private func visible(_ path: String, of pid: Int32) -> String {
        let sharesRoot = files.sharesRoot(pid)
        if path.hasPrefix("/") { return sharesRoot ? path : "\(files.root)/\(pid)/root\(path)" }
        let directory = sharesRoot ? files.link("\(pid)/cwd") : nil
        return "\(directory ?? "\(files.root)/\(pid)/cwd")/\(path.hasPrefix("./") ? String(path.dropFirst(2)) : path)"
    }

    private mutating func addVhostUser(_ pid: Int32, to options: inout MachineOptions) {
        guard !options.vhostUserSockets.isEmpty else { return }
        let sockets = options.vhostUserSockets.map { visible($0, of: pid) }
        let daemons = vhostUserMachines ?? findVhostUserMachines()
        vhostUserMachines = daemons
        for daemon in daemons where sockets.contains(daemon.socket) {
            options.cid = daemon.cid ?? options.cid
            if let path = daemon.path { options.vsockPaths.append(path) }
        }
    }

    /// The machines of all vhost-device-vsock daemons: a second look at all processes, only when a QEMU needs one.
    private func findVhostUserMachines() -> [VhostUserVsock] {
        guard case .numbers(let pids) = files.numbers(in: "", atMost: Limits.processes) else { return [] }
        return pids.flatMap { pid -> [VhostUserVsock] in
            guard let stat = stat("\(pid)"), VhostUserVsock.isDaemon(program: program(pid, stat)) else { return [] }
            return VhostUserVsock.machines(arguments(of: pid)).map { machine in
                VhostUserVsock(
                    socket: visible(machine.socket, of: pid), cid: machine.cid,
                    path: machine.path.map { visible($0, of: pid) })
            }
        }
    }
}

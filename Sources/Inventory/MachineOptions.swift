/// What a VMM's command line (and, for Firecracker, its configuration) says of its machine: best effort, the unknown
/// stays nil.
///
/// Sources: qemu(1); the `--help` texts and docs of Firecracker, Cloud Hypervisor, crosvm, kvmtool, vhost-device-vsock.
package struct MachineOptions: Hashable, Sendable {
    package var name: String?
    package var uuid: String?
    package var cid: UInt32?
    package var macAddresses: [String] = []
    /// Unix sockets of hybrid vsock, as the VMM spells them.
    package var vsockPaths: [String] = []
    /// Firecracker's API socket, as it spells it.
    package var apiSocket: String?
    /// Firecracker's configuration file, as it spells it.
    package var configurationPath: String?
    /// Sockets to a vhost-user-vsock daemon, which knows the CID in QEMU's place.
    package var vhostUserSockets: [String] = []
    /// QEMU's first choice: `kvm`, `tcg`, …
    package var accelerator: String?
    /// QEMU can be started without a machine, to ask what it can do (libvirt does).
    package var hasMachine = true

    package init() {}

    /// `arguments` begin with the program, as in `/proc/PID/cmdline`.
    package init(_ arguments: [String], of vmm: VMM) {
        switch vmm {
        case .qemu: readQEMU(arguments)
        case .firecracker: readFirecracker(arguments)
        case .cloudHypervisor: readCloudHypervisor(arguments)
        case .crosvm: readCrosvm(arguments)
        case .kvmtool: readKVMTool(arguments)
        }
    }

    private mutating func readFirecracker(_ arguments: [String]) {
        name = value(of: ["--id"], in: arguments)
        apiSocket = value(of: ["--api-sock"], in: arguments) ?? "/run/firecracker.socket"
        configurationPath = value(of: ["--config-file"], in: arguments)
    }

    /// Adds what Firecracker's configuration says (docs/vsock.md, docs/network-setup.md).
    package mutating func addFirecracker(configuration: [UInt8]) {
        guard let configuration = JSONValue(configuration) else { return }
        cid = configuration["vsock"]?["guest_cid"]?.text.flatMap(vsockCID) ?? cid
        if let path = configuration["vsock"]?["uds_path"]?.text { vsockPaths.append(path) }
        for interface in configuration["network-interfaces"]?.elements ?? [] { add(mac: interface["guest_mac"]?.text) }
    }

    private mutating func readCloudHypervisor(_ arguments: [String]) {
        for value in values(of: ["--platform"], in: arguments) {
            uuid = properties(value)["uuid"].flatMap(machineUUID) ?? uuid
        }
        for value in values(of: ["--vsock"], in: arguments) {
            let vsock = properties(value)
            cid = vsock["cid"].flatMap(vsockCID) ?? cid
            if let path = vsock["socket"] { vsockPaths.append(path) }
        }
        for value in values(of: ["--net"], in: arguments) { add(mac: properties(value)["mac"]) }
    }

    private mutating func readCrosvm(_ arguments: [String]) {
        name = value(of: ["--name"], in: arguments)
        for value in values(of: ["--vsock", "--cid"], in: arguments) {
            cid = properties(value, bareKey: "cid")["cid"].flatMap(vsockCID) ?? cid
        }
        for value in values(of: ["--net", "--mac"], in: arguments) {
            add(mac: properties(value, bareKey: "mac")["mac"])
        }
    }

    private mutating func readKVMTool(_ arguments: [String]) {
        name = value(of: ["--name"], in: arguments)
        cid = value(of: ["--vsock"], in: arguments).flatMap(vsockCID)
        for value in values(of: ["--network", "-n"], in: arguments) { add(mac: properties(value)["guest_mac"]) }
    }

    mutating func add(mac text: String?) {
        guard let mac = text.flatMap(macAddress), !macAddresses.contains(mac) else { return }
        macAddresses.append(mac)
    }
}

/// One machine of a `vhost-device-vsock` daemon, as its command line names it: the CID that QEMU's own does not have.
package struct VhostUserVsock: Hashable, Sendable {
    /// The vhost-user socket that joins it with QEMU.
    package var socket: String
    package var cid: UInt32?
    /// The hybrid vsock socket.
    package var path: String?

    /// The executable; the kernel cuts its name after fifteen bytes.
    static func isDaemon(program: String) -> Bool { program.hasPrefix("vhost-device-vs") }

    package static func machines(_ arguments: [String]) -> [VhostUserVsock] {
        var machines = values(of: ["--vm"], in: arguments).compactMap { value -> VhostUserVsock? in
            let options = properties(value)
            // Its README writes both keys with a hyphen and with an underscore.
            let cid = options["guest-cid"] ?? options["guest_cid"]
            let path = options["uds-path"] ?? options["uds_path"]
            return options["socket"].map { VhostUserVsock(socket: $0, cid: cid.flatMap(vsockCID), path: path) }
        }
        if let socket = value(of: ["--socket"], in: arguments) {
            machines.append(
                VhostUserVsock(
                    socket: socket, cid: value(of: ["--guest-cid"], in: arguments).flatMap(vsockCID),
                    path: value(of: ["--uds-path"], in: arguments)))
        }
        return machines
    }
}

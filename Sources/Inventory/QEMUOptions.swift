/// QEMU's command line (qemu(1), system/vl.c), by hand and as libvirt writes it (src/qemu/qemu_command.c).
///
/// Which options take a value is not known here, so every argument after an option is looked at as its value; only
/// the few options below are, and what follows those is always their value.
extension MachineOptions {
    mutating func readQEMU(_ arguments: [String]) {
        var chardevPaths: [String: String] = [:]
        var vsockChardevs: [String] = []
        for (index, argument) in arguments.enumerated().dropFirst() where argument.hasPrefix("-") {
            let option = argument.drop { $0 == "-" }
            let value = index + 1 < arguments.count ? arguments[index + 1] : ""
            switch option {
            case "name":
                name = properties(value, bareKey: "guest")["guest"] ?? name
            case "uuid":
                uuid = machineUUID(value) ?? uuid
            case "smbios":
                let table = properties(value)
                if table["type"] == "1" { uuid = table["uuid"].flatMap(machineUUID) ?? uuid }
            case "device":
                let device = properties(value, bareKey: "driver")
                cid = device["guest-cid"].flatMap(vsockCID) ?? cid
                add(mac: device["mac"])
                if let driver = device["driver"], driver.hasPrefix("vhost-user-vsock"), let chardev = device["chardev"]
                {
                    vsockChardevs.append(chardev)
                }
            case "netdev", "nic", "net":
                let net = properties(value, bareKey: "type")
                add(mac: net["mac"] ?? net["macaddr"])
            case "chardev":
                let chardev = properties(value, bareKey: "backend")
                if let id = chardev["id"], let path = chardev["path"] { chardevPaths[id] = path }
            case "accel":
                accelerator = accelerator ?? properties(value, bareKey: "accel")["accel"]
            case "enable-kvm":
                accelerator = accelerator ?? "kvm"
            case "machine", "M":
                let machine = properties(value, bareKey: "type")
                accelerator = accelerator ?? machine["accel"]
                hasMachine = hasMachine && machine["type"] != "none"
            default:
                break
            }
        }
        vhostUserSockets = vsockChardevs.compactMap { chardevPaths[$0] }
        // system/vl.c, configure_accelerators: without a choice, a program named …kvm tries KVM first, others TCG.
        accelerator = accelerator ?? (arguments.first?.hasSuffix("kvm") == true ? "kvm" : "tcg")
    }
}

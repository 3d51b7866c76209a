import Inventory
import Testing

/// One command line and what it says, as a row of a table.
struct CommandLineRow: Sendable, CustomTestStringConvertible {
    var vmm: VMM
    var line: String
    var expected: MachineOptions

    /// Arguments are separated by spaces; `edit` starts from what the monitor says by default.
    init(_ vmm: VMM, _ line: String, _ edit: (inout MachineOptions) -> Void) {
        self.vmm = vmm
        self.line = line
        expected = MachineOptions()
        if vmm == .qemu { expected.accelerator = "tcg" }
        if vmm == .firecracker { expected.apiSocket = "/run/firecracker.socket" }
        edit(&expected)
    }

    var testDescription: String { line }

    func check() {
        #expect(MachineOptions(line.split(separator: " ").map(String.init), of: vmm) == expected)
    }
}

struct MachineOptionsTests {
    @Test(arguments: [
        CommandLineRow(.qemu, "qemu-system-x86_64") { _ in },
        CommandLineRow(.qemu, "/usr/bin/kvm -name") { $0.accelerator = "kvm" },
        CommandLineRow(.qemu, "q -name web1 -enable-kvm") {
            $0.name = "web1"; $0.accelerator = "kvm"
        },
        CommandLineRow(.qemu, "q --name guest=a,,b=c,debug-threads=on -accel kvm,thread=single -accel tcg") {
            $0.name = "a,b=c"
            $0.accelerator = "kvm"
        },
        CommandLineRow(.qemu, "q -name debug-threads=on,guest=last -M q35,accel=kvm:tcg") {
            $0.name = "last"
            $0.accelerator = "kvm:tcg"
        },
        CommandLineRow(.qemu, "q -machine none") { $0.hasMachine = false },
        CommandLineRow(.qemu, "q -uuid C7A5FDBD-edaf-9455-926a-d65c16db1809") {
            $0.uuid = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
        },
        CommandLineRow(.qemu, "q -uuid not-a-uuid -smbios type=1,serial=x,uuid=c7a5fdbd-edaf-9455-926a-d65c16db1809") {
            $0.uuid = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
        },
        CommandLineRow(.qemu, "q -smbios type=2,uuid=c7a5fdbd-edaf-9455-926a-d65c16db1809") { _ in },
        CommandLineRow(.qemu, "q -device vhost-vsock-pci,id=v,guest-cid=42") { $0.cid = 42 },
        CommandLineRow(.qemu, "q -device vhost-vsock-ccw,guest-cid=0x2a") { $0.cid = 42 },
        CommandLineRow(.qemu, "q -device vhost-vsock-device,guest-cid=2") { _ in },
        CommandLineRow(.qemu, "q -device vhost-vsock-device,guest-cid=4294967295") { _ in },
        CommandLineRow(.qemu, #"q -device {"driver":"vhost-vsock-pci","guest-cid":3,"vhostfd":"28","x":{"y":[]}}"#) {
            $0.cid = 3
        },
        CommandLineRow(.qemu, #"q -device {"driver":"vhost-vsock-pci","guest-cid":"9"}"#) { $0.cid = 9 },
        CommandLineRow(.qemu, #"q -device {"driver":"vhost-vsock-pci","guest-cid":"9""#) { _ in },
        CommandLineRow(.qemu, "q -append guest-cid=7,mac=52:54:00:00:00:01 -serial mon:stdio") { _ in },
        CommandLineRow(
            .qemu, "q -netdev tap,id=n -device e1000,netdev=n,mac=52:54:00:AB:cd:01 -nic user,mac=52-54-00-00-00-02"
        ) {
            $0.macAddresses = ["52:54:00:ab:cd:01", "52:54:00:00:00:02"]
        },
        CommandLineRow(
            .qemu, "q -net nic,macaddr=52:54:00:00:00:03 -device e1000,mac=52:54:00:00:00 -device e1000,mac=x"
        ) {
            $0.macAddresses = ["52:54:00:00:00:03"]
        },
        CommandLineRow(
            .qemu, "q -device vhost-user-vsock-pci,chardev=c -chardev socket,id=d,path=/d -chardev socket,id=c,path=/c"
        ) {
            $0.vhostUserSockets = ["/c"]
        },
        CommandLineRow(.firecracker, "firecracker --id a-1 --config-file /etc/vm.json --no-api") {
            $0.name = "a-1"
            $0.configurationPath = "/etc/vm.json"
        },
        CommandLineRow(.firecracker, "/firecracker --api-sock=/run/x --id=b --start-time-us 1") {
            $0.name = "b"
            $0.apiSocket = "/run/x"
        },
        CommandLineRow(
            .cloudHypervisor,
            "cloud-hypervisor --vsock cid=3,socket=/run/ch.sock --net tap=,mac=12:34:56:78:90:AB tap=,mac=12:34:56:78:90:ac --serial tty"
        ) {
            $0.cid = 3
            $0.vsockPaths = ["/run/ch.sock"]
            $0.macAddresses = ["12:34:56:78:90:ab", "12:34:56:78:90:ac"]
        },
        CommandLineRow(.cloudHypervisor, "ch --vsock=socket=/s --platform uuid=c7a5fdbd-edaf-9455-926a-d65c16db1809") {
            $0.vsockPaths = ["/s"]
            $0.uuid = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
        },
        CommandLineRow(.crosvm, "crosvm run -c 4 --cid 35 --name box --mac 70:5a:0f:2f:16:4e vmlinux") {
            $0.cid = 35
            $0.name = "box"
            $0.macAddresses = ["70:5a:0f:2f:16:4e"]
        },
        CommandLineRow(.crosvm, "crosvm run --vsock 36 --net tap-name=t,mac=70:5a:0f:2f:16:4f vmlinux") {
            $0.cid = 36
            $0.macAddresses = ["70:5a:0f:2f:16:4f"]
        },
        CommandLineRow(.crosvm, "crosvm run --vsock=cid=37,device=/dev/vhost-vsock vmlinux") { $0.cid = 37 },
        CommandLineRow(.kvmtool, "lkvm run --name k1 --vsock 5 -n mode=tap,guest_mac=02:15:15:15:15:01") {
            $0.name = "k1"
            $0.cid = 5
            $0.macAddresses = ["02:15:15:15:15:01"]
        },
    ])
    func `a command line says what it says`(row: CommandLineRow) { row.check() }

    /// As libvirt 8 to 11 write it, shortened to one of each kind.
    @Test
    func `libvirt's command line is understood`() {
        let line = #"""
            /usr/bin/qemu-system-x86_64 -name guest=db-7,debug-threads=on -S -object
            {"qom-type":"secret","id":"masterKey0","format":"raw","file":"/var/lib/libvirt/qemu/domain-2-db-7/master-key.aes"}
            -machine pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram -accel kvm -cpu host,migratable=on -m 2048
            -object {"qom-type":"memory-backend-ram","id":"pc.ram","size":2147483648} -overcommit mem-lock=off
            -smp 2,sockets=2,cores=1,threads=1 -uuid ec9eebba-8ba1-4de3-8ec0-caa6fd808ad4 -no-user-config -nodefaults
            -chardev socket,id=charmonitor,fd=38,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control
            -rtc base=utc,driftfix=slew -global kvm-pit.lost_tick_policy=delay -no-shutdown -boot strict=on -device
            {"driver":"pcie-root-port","port":16,"chassis":1,"id":"pci.1","bus":"pcie.0","multifunction":true,"addr":"0x2"}
            -blockdev {"driver":"file","filename":"/images/a,b.qcow2","node-name":"libvirt-1-storage","discard":"unmap"}
            -netdev {"type":"tap","fd":"39","vhost":true,"vhostfd":"41","id":"hostnet0"} -device
            {"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","mac":"52:54:00:03:16:5A","bus":"pci.1","addr":"0x0"}
            -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny -device
            {"driver":"vhost-vsock-pci","id":"vsock0","guest-cid":7,"vhostfd":"28","bus":"pci.7","addr":"0x0"} -msg timestamp=on
            """#
        CommandLineRow(.qemu, line.split(separator: "\n").joined(separator: " ")) {
            $0.name = "db-7"
            $0.uuid = "ec9eebba-8ba1-4de3-8ec0-caa6fd808ad4"
            $0.cid = 7
            $0.macAddresses = ["52:54:00:03:16:5a"]
            $0.accelerator = "kvm"
        }.check()
    }

    @Test
    func `a configuration cut anywhere, changed anywhere or nested for ever never traps`() {
        let text = Array(
            #"{"vsock": {"guest_cid": 7, "uds_path": "/v\u0041\ud83d\ude80"}, "a": [true, false, null, -1.5e3, {}]}"#
                .utf8)
        var options = MachineOptions()
        options.addFirecracker(configuration: text)
        #expect(options.cid == 7)
        #expect(options.vsockPaths == ["/vA🚀"])
        for count in 0..<text.count {
            var options = MachineOptions()
            options.addFirecracker(configuration: Array(text[..<count]))
            #expect(options == MachineOptions(), "a prefix is no JSON text")
        }
        let seed = UInt64.random(in: .min ... .max)
        var random = SplitMix(state: seed)
        for _ in 0..<20_000 {
            var changed = text
            for _ in 0..<3 {
                changed[Int(random.next() % UInt64(text.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            var options = MachineOptions()
            options.addFirecracker(configuration: changed)
            #expect(options.macAddresses.isEmpty, "seed \(seed)")
        }
        for opening in ["[", #"{"a":"#] {
            var options = MachineOptions()
            options.addFirecracker(configuration: Array(String(repeating: opening, count: 200_000).utf8))
            #expect(options == MachineOptions())
        }
    }
}

/// Steele, Lea and Flood's generator: small, and the same everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

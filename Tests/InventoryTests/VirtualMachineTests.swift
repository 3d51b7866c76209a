import Inventory
import Testing
import TraceModel

struct VirtualMachineTests {
    @Test
    func `two QEMU machines are told apart, with named vCPU threads and without`() throws {
        let tree = try FixtureTree()
        try tree.process(
            100, comm: "qemu-system-x86", exe: "/usr/bin/qemu-system-x86_64",
            arguments: [
                "qemu-system-x86_64", "-name", "web1,debug-threads=on", "-device", "vhost-vsock-pci,guest-cid=3",
            ],
            descriptors: kvmDescriptors,
            threads: [
                .init(tid: 100, comm: "qemu-system-x86"), .init(tid: 103, comm: "CPU 1/KVM", guestTicks: 9),
                .init(tid: 104, comm: "CPU 0/KVM"), .init(tid: 105, comm: "IO mon_iothread"),
            ])
        try tree.process(
            200, comm: "web2", exe: "/opt/qemu-system-aarch64 (deleted)",
            arguments: ["qemu-system-aarch64", "-name", "guest=web2,process=web2"], descriptors: kvmDescriptors,
            threads: [
                .init(tid: 200, comm: "web2"), .init(tid: 201, comm: "web2"),
                .init(tid: 202, comm: "web2", guestTicks: 4),
            ])
        check(
            tree,
            finds: [
                VMFacts(
                    vmmPID: 100, vmm: "qemu", name: "web1", cid: 3,
                    vcpuThreads: [.init(tid: 104, vcpu: 0), .init(tid: 103, vcpu: 1)]),
                VMFacts(vmmPID: 200, vmm: "qemu", name: "web2", vcpuThreads: [.init(tid: 202, vcpu: nil)]),
            ])
        #expect(ProcFS(root: tree.root).limits.isEmpty)
    }

    @Test
    func `a nameless thread is known by the KVM_RUN that it sleeps in, a kernel worker with its registers is not`()
        throws
    {
        let tree = try FixtureTree()
        try tree.process(
            90, comm: "kvm", exe: "/usr/bin/kvm",
            descriptors: [
                "/dev/kvm", "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:1", "anon_inode:kvm-vcpu-stats:7",
                "anon_inode:kvm-vcpu:0",
            ],
            threads: [90, 91, 92, 93, 94, 95].map { .init(tid: $0, comm: "kvm") })
        let calls = [
            "16 0x4 0xae80 0x0 0x0 0x0 0x0 0x7fca05dfe460 0x7fca0e225d6b", "29 0x2 0xae80 0x0 0x0 0x0 0x0 0x1 0x2",
            "running", "16 0x3 0xae80 0x0 0x0 0x0 0x0 0x1 0x2", "16 0x2 0xae81 0x0 0x0 0x0 0x0 0x1 0x2", "-1 0x0 0x0",
        ]
        for (index, call) in calls.enumerated() { try tree.write("90/task/\(90 + index)/syscall", call + "\n") }
        try tree.process(97, comm: "other")
        try tree.write("90/task/97/stat", "97 (vhost-90) S 1 1 1 0 -1 \(0x40_4040) 0 0 0 0 0 0 0 0 20 0 2 0 5 0 0\n")
        try tree.write("90/task/97/syscall", calls[0])
        #expect(
            ProcFS(root: tree.root).virtualMachines() == [
                VMFacts(
                    vmmPID: 90, vmm: "qemu", name: "vm-90",
                    vcpuThreads: [.init(tid: 90, vcpu: 0), .init(tid: 91, vcpu: 1)])
            ])
    }

    @Test
    func `a translated machine is found and marked, by thread names or by what QEMU lacks`() throws {
        let tree = try FixtureTree()
        try tree.process(
            10, comm: "qemu-system-x86", exe: "/usr/bin/qemu-system-x86_64", arguments: ["qemu-system-x86_64"],
            threads: [.init(tid: 10, comm: "qemu-system-x86"), .init(tid: 12, comm: "ALL CPUs/TCG")])
        // Its executable and files are closed to us: regular files cannot be followed.
        try tree.process(
            20, comm: "qemu-system-ris", descriptors: [],
            threads: [.init(tid: 20, comm: "qemu-system-ris"), .init(tid: 22, comm: "CPU 3/TCG")])
        try tree.write("20/fd/0", "")
        check(
            tree,
            finds: [
                VMFacts(
                    vmmPID: 10, vmm: "qemu", name: "vm-10", vcpuThreads: [.init(tid: 12, vcpu: nil)], isEmulated: true),
                VMFacts(
                    vmmPID: 20, vmm: "qemu", name: "vm-20", vcpuThreads: [.init(tid: 22, vcpu: 3)], isEmulated: true),
            ])
    }

    @Test(arguments: ["-machine none", "-M none,accel=kvm:tcg", "-S -machine none -nodefaults"])
    func `a QEMU that is only asked what it can do is no machine`(arguments: String) throws {
        let tree = try FixtureTree()
        try tree.process(
            10, comm: "qemu-system-x86", exe: "/usr/bin/qemu-system-x86_64",
            arguments: ["qemu-system-x86_64"] + arguments.split(separator: " ").map(String.init))
        check(tree, finds: [])
    }

    @Test
    func `Firecracker's configuration tells its CID and socket, relative paths and escapes included`() throws {
        let tree = try FixtureTree()
        try tree.write(
            "srv/vm.json",
            #"""
            {"boot-source": {"kernel_image_path": "vmlinux", "boot_args": null}, "drives": [],
             "network-interfaces": [{"iface_id": "eth0", "guest_mac": "AA:FC:00:00:00:01", "host_dev_name": "tap0"}],
             "vsock": {"guest_cid": 7, "uds_path": "./v\u002d\ud83d\ude80.sock"}, "machine-config": {"vcpu_count": 2}}
            """#)
        try tree.process(
            300, comm: "firecracker", exe: "/usr/bin/firecracker-v1.13.1-x86_64",
            arguments: ["firecracker", "--id", "blue-1", "--api-sock", "/run/a.sock", "--config-file", "vm.json"],
            descriptors: kvmDescriptors,
            threads: [
                .init(tid: 300, comm: "firecracker"), .init(tid: 301, comm: "fc_api"),
                .init(tid: 302, comm: "fc_vcpu 0", guestTicks: 5), .init(tid: 303, comm: "fc_vcpu 1"),
            ])
        try tree.link("300/cwd", to: "\(tree.root)/srv")
        check(
            tree,
            finds: [
                VMFacts(
                    vmmPID: 300, vmm: "firecracker", name: "blue-1", cid: 7, macAddresses: ["aa:fc:00:00:00:01"],
                    vsockPaths: ["\(tree.root)/srv/v-🚀.sock"],
                    vcpuThreads: [.init(tid: 302, vcpu: 0), .init(tid: 303, vcpu: 1)])
            ])
    }

    @Test
    func `a jailed Firecracker's paths lead through its own root`() throws {
        let tree = try FixtureTree()
        try tree.write("jail/vm.json", #"{"vsock": {"guest_cid": 3, "uds_path": "/run/v.sock"}}"#)
        try tree.process(
            300, comm: "firecracker", exe: "/firecracker", arguments: ["firecracker", "--config-file=/vm.json"],
            descriptors: kvmDescriptors)
        try tree.link("300/root", to: "\(tree.root)/jail")
        check(
            tree,
            finds: [
                VMFacts(
                    vmmPID: 300, vmm: "firecracker", name: "vm-300", cid: 3,
                    vsockPaths: ["\(tree.root)/300/root/run/v.sock"])
            ])
    }

    @Test
    func `a Firecracker configured through its API shows its socket, and no forged line of the socket table does`()
        throws
    {
        let tree = try FixtureTree()
        try tree.process(
            300, comm: "firecracker", exe: "/usr/bin/firecracker",
            arguments: ["firecracker", "--api-sock", "/run/api.sock"],
            descriptors: kvmDescriptors + ["socket:[11]", "socket:[12]", "socket:[13]", "socket:[14]"])
        try tree.write(
            "300/net/unix",
            """
            Num       RefCount Protocol Flags    Type St Inode Path
            0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/api.sock
            0000000000000000: 00000002 00000000 00010000 0001 01 12 /run/the guest.sock
            0000000000000000: 00000003 00000000 00000000 0001 03 13 /run/connected.sock
            0000000000000000: 00000002 00000000 00010000 0001 01 14 /run/twice.sock
            0000000000000000: 00000002 00000000 00010000 0001 01 99 /run/evil
            0000000000000000: 00000002 00000000 00010000 0001 01 14 /run/evil.sock

            """)
        check(
            tree,
            finds: [VMFacts(vmmPID: 300, vmm: "firecracker", name: "vm-300", vsockPaths: ["/run/the guest.sock"])])
    }

    @Test
    func `a configuration that is a pipe or a device is not opened, and the limit says so`() throws {
        let tree = try FixtureTree()
        for (pid, path) in [(Int32(300), "\(tree.root)/pipe"), (301, "/dev/zero"), (302, "/no/such\u{1b}[31m")] {
            try tree.process(
                pid, comm: "firecracker", exe: "/usr/bin/firecracker",
                arguments: ["firecracker", "--config-file", path],
                descriptors: kvmDescriptors)
        }
        #expect(makePipe("\(tree.root)/pipe"))
        let (machines, limits) = ProcFS(root: tree.root).survey()
        #expect(machines.map(\.vmmPID) == [300, 301, 302])
        #expect(machines.allSatisfy { $0.cid == nil })
        #expect(limits.count == 3)
        #expect(limits.last?.hasSuffix("/no/such?[31m") == true)
    }

    @Test
    func `a vhost-user machine gets its CID and socket from the daemon`() throws {
        let tree = try FixtureTree()
        try tree.process(
            50, comm: "vhost-device-vs", exe: "/usr/bin/vhost-device-vsock",
            arguments: [
                "vhost-device-vsock", "--vm", "guest-cid=8,socket=/tmp/vhost8.socket,uds-path=/tmp/vm8.vsock", "--vm",
                "guest_cid=9,socket=/tmp/vhost9.socket,uds-path=/tmp/vm9.vsock",
            ])
        try tree.process(
            60, comm: "qemu-system-x86", exe: "/usr/bin/qemu-system-x86_64",
            arguments: [
                "qemu-system-x86_64", "-device", "vhost-user-vsock-pci,chardev=c0", "-chardev",
                "socket,id=c0,reconnect=0,path=/tmp/vhost9.socket",
            ], descriptors: kvmDescriptors)
        check(
            tree,
            finds: [VMFacts(vmmPID: 60, vmm: "qemu", name: "vm-60", cid: 9, vsockPaths: ["/tmp/vm9.vsock"])])
    }

    @Test
    func `a program of another name is found by its guest time, or by one of its threads`() throws {
        let tree = try FixtureTree()
        try tree.process(
            70, comm: "muvm", exe: "/usr/bin/muvm", descriptors: kvmDescriptors,
            threads: [.init(tid: 70, comm: "muvm"), .init(tid: 71, comm: "worker", guestTicks: 1)])
        try tree.process(80, comm: "new\u{1b}[2J", exe: "/usr/bin/new", descriptors: kvmDescriptors)
        let muvm = VMFacts(vmmPID: 70, vmm: "muvm", name: "vm-70", vcpuThreads: [.init(tid: 71, vcpu: nil)])
        check(tree, finds: [muvm])
        #expect(ProcFS(root: tree.root).facts(ofThread: 80) == VMFacts(vmmPID: 80, vmm: "new?[2J", name: "vm-80"))
        #expect(ProcFS(root: tree.root).facts(ofThread: 1) == nil)
        #expect(ProcFS(root: tree.root).facts(ofThread: 4711) == nil)
        #expect(ProcFS(root: tree.root).facts(ofThread: -1) == nil)
    }

    @Test
    func `names alone make no machine`() throws {
        let tree = try FixtureTree()
        // Started and without a guest; a helper of the same name; named threads of any program; its argv[0].
        try tree.process(
            10, comm: "firecracker", exe: "/usr/bin/firecracker", threads: [.init(tid: 10, comm: "fc_vcpu 0")])
        try tree.process(11, comm: "firecracker-con", exe: "/usr/bin/firecracker-containerd")
        try tree.process(12, comm: "evil", exe: "/usr/bin/evil", threads: [.init(tid: 13, comm: "CPU 0/KVM")])
        try tree.process(14, comm: "sleep", exe: "/usr/bin/sleep", arguments: ["qemu-system-x86_64", "1"])
        try tree.process(15, comm: "qemu-system-x86", flags: 0x20_0000)
        // crosvm's sandboxed devices inherit the machine, not its vCPUs.
        try tree.process(16, comm: "pcivirtio-blk", exe: "/usr/bin/crosvm", descriptors: ["anon_inode:kvm-vm"])
        check(tree, finds: [])
    }

    @Test
    func `names and numbers without measure are cut or left out`() throws {
        let tree = try FixtureTree()
        try tree.process(
            10, comm: "qemu-system-x86", exe: "/usr/bin/qemu-system-x86_64",
            arguments: ["qemu-system-x86_64", "-name", "ab" + String(repeating: "é", count: 5000)]
                + (0..<300).flatMap { ["-device", "e1000,mac=52:54:00:00:0\($0 / 100):\($0 % 90 + 10)"] },
            descriptors: kvmDescriptors,
            threads: [
                .init(tid: 11, comm: "CPU 65536/KVM"), .init(tid: 12, comm: "vcpu65535"),
                .init(tid: 13, comm: "vcpu-1x"),
            ])
        let machine = try #require(ProcFS(root: tree.root).virtualMachines().first)
        #expect(machine.name.hasPrefix("abéé"))
        #expect(machine.name.utf8.count <= 260)
        #expect(machine.macAddresses.count == 256)
        #expect(machine.vcpuThreads == [.init(tid: 12, vcpu: 65535)])
    }

    @Test
    func `processes that vanish while they are read leave the others alone`() throws {
        let tree = try FixtureTree()
        try tree.process(
            40, comm: "lkvm", exe: "/usr/bin/lkvm", arguments: ["lkvm", "run", "--name", "k"],
            descriptors: kvmDescriptors)
        // Gone after the folder was listed; after `stat`; a stat cut short; a zombie.
        try tree.write("41/nothing", "")
        try tree.write("42/stat", "42 (qemu-system-x86) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 5 0 0\n")
        try tree.link("42/exe", to: "/usr/bin/qemu-system-x86_64")
        try tree.write("43/stat", "43 (qemu-sys")
        try tree.write("44/stat", "44 (qemu-system-x86) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 5 0 0\n")
        try tree.write("99999999999/stat", "")
        check(tree, finds: [VMFacts(vmmPID: 40, vmm: "kvmtool", name: "k")])
    }

    @Test
    func `what cannot be seen is said`() throws {
        let tree = try FixtureTree()
        #expect(ProcFS(root: tree.root).limits.isEmpty)
        try tree.process(30, comm: "cloud-hyperviso", descriptors: [], threads: [.init(tid: 31, comm: "vcpu0")])
        try tree.write("30/fd/0", "")
        check(
            tree,
            finds: [VMFacts(vmmPID: 30, vmm: "cloud-hypervisor", name: "vm-30", vcpuThreads: [.init(tid: 31, vcpu: 0)])]
        )
        let closed = ProcFS(root: tree.root).limits
        #expect(closed.count == 1)
        #expect(closed.first?.contains("(processes 30)") == true)

        try tree.write("1/stat", "")
        #expect(ProcFS(root: tree.root).limits.first?.contains("hidepid") == true)
        #expect(ProcFS(root: "/no/such/folder").limits.first?.contains("cannot be listed") == true)
    }
}

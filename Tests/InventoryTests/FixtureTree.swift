import Foundation
import Inventory
import Testing
import TraceModel

/// A small /proc in a temporary folder: what a kernel would show of the processes that a test describes.
final class FixtureTree {
    struct Thread {
        var tid: Int32
        var comm: String
        var guestTicks = 0
    }

    let root: String

    init() throws {
        root = NSTemporaryDirectory() + "tandem-proc-\(UUID().uuidString)"
        // Every real /proc has these two.
        try process(1, comm: "systemd", exe: "/usr/lib/systemd/systemd", arguments: ["/sbin/init"])
        try process(2, comm: "kthreadd", flags: 0x0020_8040)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// `threads` nil: the one thread that every process has.
    func process(
        _ pid: Int32, comm: String, exe: String? = nil, arguments: [String] = [], descriptors: [String] = ["/dev/null"],
        threads: [Thread]? = nil, flags: UInt64 = 0x40_0100
    ) throws {
        let threads = threads ?? [Thread(tid: pid, comm: comm)]
        let guestTicks = threads.map(\.guestTicks).reduce(0, +)
        try write("\(pid)/stat", stat(pid, comm, guestTicks, flags))
        try write("\(pid)/cmdline", arguments.map { $0 + "\0" }.joined())
        if let exe { try link("\(pid)/exe", to: exe) }
        for (number, target) in descriptors.enumerated() { try link("\(pid)/fd/\(number)", to: target) }
        for thread in threads {
            try write("\(pid)/task/\(thread.tid)/stat", stat(thread.tid, thread.comm, thread.guestTicks, flags))
        }
        for tid in [pid] + threads.map(\.tid) {
            try write("\(tid)/status", "Name:\t\(comm)\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t\(pid)\nNgid:\t0\n")
        }
    }

    func write(_ path: String, _ text: String) throws {
        let place = URL(fileURLWithPath: "\(root)/\(path)")
        try FileManager.default.createDirectory(
            at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: place)
    }

    func link(_ path: String, to target: String) throws {
        let place = URL(fileURLWithPath: "\(root)/\(path)")
        try FileManager.default.createDirectory(
            at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: place.path, withDestinationPath: target)
    }

    /// The fields of Linux 6.18, proc_pid_stat(5).
    private func stat(_ number: Int32, _ comm: String, _ guestTicks: Int, _ flags: UInt64) -> String {
        "\(number) (\(comm)) S 1 \(number) \(number) 0 -1 \(flags) 89 180 0 2 0 200 0 0 20 0 2 0 163687 2613248 381 "
            + "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 \(guestTicks) 0 0 0 0 0 0 0 0 0\n"
    }
}

/// What is found in `tree` must be exactly `machines`; each of them must also be found by any of its threads.
func check(_ tree: FixtureTree, finds machines: [VMFacts], at location: SourceLocation = #_sourceLocation) {
    let proc = ProcFS(root: tree.root)
    let found = proc.virtualMachines()
    #expect(found == machines, sourceLocation: location)
    for machine in found {
        for tid in [machine.vmmPID] + machine.vcpuThreads.map(\.tid) {
            #expect(proc.facts(ofThread: tid) == machine, sourceLocation: location)
        }
    }
}

/// Two descriptors that make a KVM machine, among some that do not.
let kvmDescriptors = [
    "/dev/null", "pipe:[1]", "/dev/kvm", "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0", "anon_inode:[eventfd]",
]

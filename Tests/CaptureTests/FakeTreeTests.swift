import Capture
import Glibc
import Testing
import TraceModel

/// Kernels that lack something, played by folders of plain files.
struct FakeTreeTests {
    private let page = "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n"

    /// `body` fails, with a message that holds each of `parts`.
    private func check(_ parts: String..., body: () throws -> Void) {
        let error = #expect(throws: CaptureError.self) { try body() }
        for part in parts {
            #expect(error?.description.contains(part) == true, "\(error?.description ?? "") lacks '\(part)'")
        }
    }

    @Test
    func `nothing mounted, no instances, no such place`() throws {
        let empty = try FakeTree()
        check("cannot find", empty.path, "mount -t tracefs") { _ = try Tracefs(root: empty.path) }
        let old = try FakeTree(["available_events": ""])
        check("no trace instances") { _ = try Tracefs(root: old.path) }
        check("/nowhere", "No such file or directory (ENOENT)") { _ = try Tracefs(root: "/nowhere") }
        check("Not a directory (ENOTDIR)") { _ = try Tracefs(root: "\(old.path)/available_events") }
    }

    @Test
    func `the first usable place is taken, and the first real reason told`() throws {
        let empty = try FakeTree()
        let old = try FakeTree(["available_events": ""])
        let good = try FakeTree(["available_events": "a:b\n", "instances/": ""])
        #expect(try Tracefs.find(in: [empty.path, good.path]).root == good.path)
        check(old.path, "no trace instances") { _ = try Tracefs.find(in: [empty.path, old.path]) }
        check(empty.path) { _ = try Tracefs.find(in: [empty.path, "/nowhere"]) }
        #expect(try Tracefs(root: good.path).availableEvents() == [EventName(system: "a", name: "b")])
    }

    @Test
    func `a directory that does not become an instance is taken away again`() throws {
        let tree = try FakeTree(["available_events": "", "instances/": ""])
        let tracefs = try Tracefs(root: tree.path)
        check("cannot create the trace instance", "tracing_on", "ENOENT") {
            _ = try TraceInstance(in: tracefs, role: "test", settings: RealTracefs.settings)
        }
        #expect(rmdir("\(tree.path)/instances") == 0, "nothing was left in it")
    }

    @Test
    func `where no directory can be made the kernel's reason is told`() throws {
        let tree = try FakeTree(["available_events": ""])
        // sysfs: directories are the kernel's alone.
        try #require(symlink("/sys/kernel", "\(tree.path)/instances") == 0)
        defer { unlink("\(tree.path)/instances") }
        let tracefs = try Tracefs(root: tree.path)
        check("cannot create the trace instance", "(E") {
            _ = try TraceInstance(in: tracefs, role: "test", settings: RealTracefs.settings)
        }
        check("'Host 1' is no role") {
            _ = try TraceInstance(in: tracefs, role: "Host 1", settings: RealTracefs.settings)
        }
    }

    @Test
    func `a clock is set when the kernel has it`() throws {
        let tree = try FakeTree(["trace_clock": "[local] mono\n"])
        try InstanceFiles(path: tree.path).setClock(.mono)
        #expect(tree["trace_clock"].hasPrefix("mono"))
        let other = try FakeTree(["trace_clock": "[local] mono\n"])
        check("no clock 'x86-tsc'", "it has local, mono") { try InstanceFiles(path: other.path).setClock(.x86TSC) }
        #expect(other["trace_clock"] == "[local] mono\n")
        check("cannot set the trace clock", "/nowhere/trace_clock", "ENOENT") {
            try InstanceFiles(path: "/nowhere").setClock(.mono)
        }
    }

    @Test
    func `an older kernel has sub-buffers of one page`() throws {
        let tree = try FakeTree(["buffer_size_kb": "", "events/header_page": page])
        let geometry = try InstanceFiles(path: tree.path).setBuffer(kibibytesPerCPU: 1024, subBufferKibibytes: 64)
        #expect(geometry == BufferGeometry(subBufferBytes: 4096, kibibytesPerCPU: 1024))
        #expect(tree["buffer_size_kb"] == "1024")
    }

    @Test
    func `a newer kernel is asked for sub-buffers, and believed about their size`() throws {
        let tree = try FakeTree(["buffer_size_kb": "", "buffer_subbuf_size_kb": "", "events/header_page": page])
        let geometry = try InstanceFiles(path: tree.path).setBuffer(kibibytesPerCPU: 1024, subBufferKibibytes: 64)
        #expect(tree["buffer_subbuf_size_kb"] == "64")
        #expect(geometry.subBufferBytes == 4096)
    }

    @Test
    func `a sub-buffer of unknown size is not guessed`() throws {
        let tree = try FakeTree(["buffer_size_kb": "", "events/header_page": "field: gibberish"])
        check("events/header_page", "does not say") {
            _ = try InstanceFiles(path: tree.path).setBuffer(kibibytesPerCPU: 1, subBufferKibibytes: 4)
        }
    }

    @Test
    func `the reading style is set with what the kernel has`() throws {
        let old = try FakeTree(["options/overwrite": "0"])
        try InstanceFiles(path: old.path).setReadingStyle()
        #expect(old["options/overwrite"] == "1")
        #expect(!isThere("\(old.path)/buffer_percent"))
        let new = try FakeTree(["options/overwrite": "0", "buffer_percent": "50"])
        try InstanceFiles(path: new.path).setReadingStyle()
        #expect(new["buffer_percent"].hasPrefix("0"))
    }

    @Test
    func `a filter is set before its event is enabled, and a refused one enables nothing`() throws {
        let tree = try FakeTree(["events/s/e/filter": "", "events/s/e/enable": "", "events/s/f/enable": ""])
        let files = InstanceFiles(path: tree.path)
        try files.enable(SelectedEvent(EventName(system: "s", name: "e"), filter: "x == 1"))
        #expect(tree["events/s/e/filter"] == "x == 1")
        #expect(tree["events/s/e/enable"] == "1")
        check("cannot set the event's filter", "events/s/f/filter", "'x == 1'") {
            try files.enable(SelectedEvent(EventName(system: "s", name: "f"), filter: "x == 1"))
        }
        #expect(tree["events/s/f/enable"] == "")
        check("cannot enable the event", "events/s/g/enable") {
            try files.enable(SelectedEvent(EventName(system: "s", name: "g")))
        }
        check("cannot read the event's format", "events/s/e/format") {
            _ = try files.formatText(of: EventName(system: "s", name: "e"))
        }
    }

    @Test
    func `CPUs are those that have a directory, by number`() throws {
        let tree = try FakeTree([
            "per_cpu/cpu10/stats": "", "per_cpu/cpu2/stats": "", "per_cpu/cpux/stats": "", "per_cpu/readme": "",
        ])
        #expect(try InstanceFiles(path: tree.path).cpus() == [2, 10])
        check("per_cpu/cpu2/stats", "a counter is missing") {
            _ = try InstanceFiles(path: tree.path).statistics(cpu: 2)
        }
        check("cannot read the CPU's statistics", "ENOENT") {
            _ = try InstanceFiles(path: tree.path).statistics(cpu: 3)
        }
    }

    @Test
    func `a reader needs a file and a buffer that is large enough`() throws {
        let tree = try FakeTree(["per_cpu/cpu0/trace_pipe_raw": String(repeating: "x", count: 100)])
        let files = InstanceFiles(path: tree.path)
        check("cannot open the CPU's buffer", "cpu1/trace_pipe_raw", "ENOENT") {
            _ = try SubBufferReader(files: files, cpu: 1, subBufferBytes: 64)
        }
        let reader = try SubBufferReader(files: files, cpu: 0, subBufferBytes: 64)
        var bytes = [UInt8](repeating: 0, count: 80)
        check("63 bytes were offered for 64") {
            _ = try bytes.withUnsafeMutableBytes { try reader.read(into: .init(rebasing: $0[..<63])) }
        }
        #expect(try bytes.withUnsafeMutableBytes { try reader.read(into: $0) } == 64)
        #expect(bytes[64] == 0, "never more than one sub-buffer")
        reader.close()
        reader.close()
        #expect(try bytes.withUnsafeMutableBytes { try reader.read(into: $0) } == nil)
    }

    @Test
    func `task names are read up to the limit`() throws {
        let tree = try FakeTree([
            "1/task/1/comm": "init\n", "7/task/7/comm": "qemu\n", "7/task/8/comm": "CPU 0/KVM\n", "7/task/9/": "",
            "self/task/1/comm": "no\n", "version": "",
        ])
        let all = TaskNames.all(limit: 10, in: tree.path).sorted { $0.tid < $1.tid }
        #expect(all.map(\.tid) == [1, 7, 8])
        #expect(all.map(\.comm.text) == ["init", "qemu", "CPU 0/KVM"])
        #expect(TaskNames.all(limit: 2, in: tree.path).count == 2)
        #expect(TaskNames.all(limit: 2, in: "/nowhere").isEmpty)
        #expect(TaskNames.all(limit: 100_000).contains { $0.tid == getpid() })
    }
}

import Capture
import Glibc
import Testing
import TraceModel

/// What a kill leaves, and what must not be taken for it. One after another: each clean-up would take the others' cases.
@Suite(.serialized, .enabled(if: RealTracefs.isUsable, RealTracefs.need))
struct AbandonedInstancesTests {
    private let tracefs: Tracefs

    init() throws { tracefs = try RealTracefs.found.get() }

    /// A process that only waits; killed and reaped by `end`.
    private final class Child {
        let identity: ProcessIdentity
        private var isOver = false

        init() throws {
            var pid = pid_t()
            let words = ["sleep", "1000"]
            var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
            defer { for argument in arguments { free(argument) } }
            try #require(posix_spawnp(&pid, "sleep", nil, nil, &arguments, environ) == 0)
            let status = try #require(ProcessStatus(parsing: text(ofFile: "/proc/\(pid)/stat") ?? ""))
            identity = ProcessIdentity(pid: pid, startTicks: status.startTicks)
        }

        func kill(isReaped: Bool = true) {
            guard !isOver else { return }
            Glibc.kill(identity.pid, SIGKILL)
            var status: Int32 = 0
            if isReaped {
                waitpid(identity.pid, &status, 0)
                isOver = true
            } else {
                var information = siginfo_t()
                waitid(P_PID, id_t(identity.pid), &information, WEXITED | WNOWAIT)
            }
        }

        deinit { kill() }
    }

    /// The instance that `owner` would have made, made by hand and with `openFile` of it held open, is removed or is not.
    private func check(_ owner: ProcessIdentity, openFile: String? = nil, isRemoved: Bool) throws {
        let name = InstanceName(role: "test", owner: owner, number: 50)
        let path = "\(tracefs.root)/instances/\(name)"
        try #require(mkdir(path, 0o750) == 0)
        defer { rmdir(path) }
        let descriptor = openFile.map { open("\(path)/\($0)", O_RDONLY) }
        defer { if let descriptor { close(descriptor) } }
        let removed = AbandonedInstances.remove(in: tracefs, role: "test")
        #expect(removed.contains(name.description) == isRemoved)
        #expect(isThere(path) == !isRemoved)
        if !isRemoved { #expect(text(ofFile: "\(path)/tracing_on") == "1\n", "and is not even silenced") }
    }

    @Test
    func `what a killed process left is removed`() throws {
        let child = try Child()
        child.kill()
        try check(child.identity, isRemoved: true)
    }

    @Test
    func `a process that has ended and waits to be reaped is gone`() throws {
        let child = try Child()
        child.kill(isReaped: false)
        try check(child.identity, isRemoved: true)
        child.kill()
    }

    @Test
    func `a number that was given to another process does not keep the old one's instance`() throws {
        let reused = ProcessIdentity(pid: getpid(), startTicks: 1)
        try check(reused, isRemoved: true)
    }

    @Test
    func `a living process's instance stays, although no file of it is open`() throws {
        let child = try Child()
        try check(child.identity, isRemoved: false)
    }

    @Test
    func `an instance with an open file stays as it is, although its process looks dead`() throws {
        let child = try Child()
        child.kill()
        try check(child.identity, openFile: "tracing_on", isRemoved: false)
    }

    @Test
    func `other roles and other tools are left alone`() throws {
        let child = try Child()
        child.kill()
        let instances = "\(tracefs.root)/instances"
        let names = [
            InstanceName(role: "testother", owner: child.identity).description, "tandem-test-byhand-\(getpid())",
        ]
        for name in names { try #require(mkdir("\(instances)/\(name)", 0o750) == 0) }
        defer { for name in names { rmdir("\(instances)/\(name)") } }
        _ = AbandonedInstances.remove(in: tracefs, role: "test")
        for name in names { #expect(isThere("\(instances)/\(name)")) }
    }

    @Test
    func `a living session of this process survives a clean-up`() throws {
        let instance = try TraceInstance(in: tracefs, role: "test", settings: RealTracefs.settings)
        try instance.start()
        #expect(!AbandonedInstances.remove(in: tracefs, role: "test").contains(instance.name.description))
        #expect(text(ofFile: "\(instance.files.path)/tracing_on") == "1\n")
        try instance.remove()
    }
}

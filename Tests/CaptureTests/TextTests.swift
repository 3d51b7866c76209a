import Capture
import Glibc
import Testing
import TraceModel

/// The small texts of tracefs, proc and sysfs, read by pure functions.
struct TextTests {
    private func check(_ text: String, _ expected: [Int]?) { #expect(CPUList.parse(text) == expected, "'\(text)'") }

    @Test
    func `sets of CPUs`() {
        check("0-3,5\n", [0, 1, 2, 3, 5])
        check("0", [0])
        check("7,1-2,1", [1, 2, 7])
        check("\n", [])
        check("", [])
        for text in [
            "a", "1-", "-1", "3-1", "1-2-3", "1,", ",", "+1", "0-4294967295", "99999999999999999999", "0-3:1/2",
        ] {
            check(text, nil)
        }
    }

    @Test
    func `per-CPU statistics of a clock in nanoseconds`() {
        let text = """
            entries: 12
            overrun: 18446744073709551615
            commit overrun: 1
            bytes: 4000
            oldest event ts:  1678.405504
            now ts:  1679.000001
            dropped events: 3
            read events: 99

            """
        #expect(
            RingBufferStatistics(parsing: text)
                == RingBufferStatistics(
                    entries: 12, overrun: .max, commitOverrun: 1, bytes: 4000, droppedEvents: 3, readEvents: 99,
                    oldestTicks: TraceTicks(1_678_405_504_000), nowTicks: TraceTicks(1_679_000_001_000)))
    }

    @Test
    func `per-CPU statistics of a clock that counts, of an older and of a newer kernel`() {
        let counters = "entries: 0\noverrun: 0\ncommit overrun: 0\nbytes: 0\ndropped events: 0\nread events: 0\n"
        let counted = RingBufferStatistics(parsing: "now ts: 12173611535047\n" + counters)
        #expect(counted?.nowTicks == TraceTicks(12_173_611_535_047))
        #expect(counted?.oldestTicks == nil)
        #expect(RingBufferStatistics(parsing: counters + "shiny: new\nno colon\n") != nil)
        for stamp in ["1.5", "1.", "a.000000", "99999999999.999999", ""] {
            #expect(RingBufferStatistics(parsing: "now ts: \(stamp)\n" + counters)?.nowTicks == nil, "'\(stamp)'")
        }
    }

    @Test(arguments: ["entries", "overrun", "commit overrun", "bytes", "dropped events", "read events"])
    func `a missing or unreadable counter is no zero`(missing: String) {
        let names = ["entries", "overrun", "commit overrun", "bytes", "dropped events", "read events"]
        let others = names.filter { $0 != missing }.map { "\($0): 1\n" }.joined()
        #expect(RingBufferStatistics(parsing: others) == nil)
        #expect(RingBufferStatistics(parsing: others + "\(missing): -1\n") == nil)
        #expect(RingBufferStatistics(parsing: others + "\(missing): 1\n") != nil)
    }

    @Test
    func `trace clocks`() {
        let list = TraceClockList(parsing: "local global [mono] x86-tsc\n")
        #expect(list.available == ["local", "global", "mono", "x86-tsc"])
        #expect(list.chosen == "mono")
        #expect(TraceClockList(parsing: "").chosen == nil)
    }

    @Test
    func `the size of a sub-buffer`() {
        func page(_ data: String) -> String {
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\n\(data)\n"
        }
        #expect(
            HeaderPage(parsing: page("\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;"))?.subBufferBytes == 4096)
        #expect(
            HeaderPage(parsing: page("\tfield: char data;\toffset:12;\tsize:4084;\tsigned:1;"))?.subBufferBytes == 4096)
        for data in [
            "", "\tfield: char data;", "\tfield: char data;\toffset:16;", "\tfield: char data;\toffset:16;\tsize:-1;",
            "\tfield: char data;\toffset:16;\tsize:99999999999;",
            "\tfield: char data;\toffset:9223372036854775807;\tsize:4080;",
        ] {
            #expect(HeaderPage(parsing: page(data)) == nil, "'\(data)'")
        }
    }

    @Test
    func `what the kernel says about a filter`() {
        #expect(
            FilterAnswer.message(parsing: "prev_pidx == 1\n          ^\nparse_error: Field not found\n\n")
                == "Field not found after 'prev_pidx'")
        #expect(FilterAnswer.message(parsing: "x\nparse_error: No filter found\n") == "No filter found")
        #expect(FilterAnswer.message(parsing: "none\n") == nil)
        #expect(FilterAnswer.message(parsing: "") == nil)
        #expect(FilterAnswer.message(parsing: "a\n          ^\nparse_error: far\n") == "far after 'a'")
    }

    @Test
    func `a process's start is read behind whatever its name holds`() {
        let rest = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234567 8 9"
        #expect(ProcessStatus(parsing: "42 (cat) \(rest)")?.startTicks == 1_234_567)
        #expect(ProcessStatus(parsing: "42 (a) b) (c) \(rest)\n")?.startTicks == 1_234_567)
        #expect(ProcessStatus(parsing: "42 (cat) \(rest)")?.isDead == false)
        #expect(ProcessStatus(parsing: "42 (cat) Z\(rest.dropFirst())")?.isDead == true)
        for text in ["", "42 (cat", "42 (cat) S 1 2 3", "42 (cat) " + rest.replacing("1234567", with: "x")] {
            #expect(ProcessStatus(parsing: text) == nil, "'\(text)'")
        }
    }

    @Test
    func `an instance's name says whose it is`() {
        let owner = ProcessIdentity(pid: 42, startTicks: 1_234_567)
        for name in [InstanceName(role: "agent", owner: owner), InstanceName(role: "host", owner: owner, number: 3)] {
            #expect(InstanceName(parsing: name.description) == name)
        }
        #expect(InstanceName(role: "agent", owner: owner).description == "tandem-agent-42-1234567")
        for text in [
            "", "tandem", "tandem-agent-42", "tandem-agent-42-", "tandem--42-1", "tandem-agent-+42-1",
            "tandem-agent-042-1",
            "tandem-agent-42-1-1", "tandem-agent-42-1-x", "tandem-agent-42-1-2-3", "tandem-agent-0-1",
            "tandem-agent--1-1", "Tandem-agent-42-1", "tandem-Agent-42-1", "tandem-a b-42-1",
        ] {
            #expect(InstanceName(parsing: text) == nil, "'\(text)'")
        }
    }

    @Test
    func `a kernel worker is named as in events, without what it works on`() {
        func name(_ text: String) -> String { TaskNames.comm(parsing: Array(text.utf8)).text }
        #expect(name("bash\n") == "bash")
        #expect(name("kworker/0:1-events\n") == "kworker/0:1")
        #expect(name("kworker/u8:2+flush-8:0\n") == "kworker/u8:2")
        #expect(name("kworker/0:1H\n") == "kworker/0:1H")
        #expect(name("kworker/R-rcu_gp\n") == "kworker/R-rcu_g")
        #expect(name("my-task\n") == "my-task")
        #expect(name("") == "")
    }

    @Test(arguments: [
        (CaptureError.Operation.find, ENOENT, "mount -t tracefs"), (.find, EACCES, "run as root"),
        (.create, EACCES, "run as root"), (.create, EPERM, "lockdown"), (.start, EROFS, "ReadWritePaths"),
        (.setBuffer, ENOMEM, "ask for less"), (.setBuffer, EINVAL, "128 pages"), (.filter, EINVAL, "prev_pid == 1"),
        (.enable, ENOENT, "module unloaded"), (.remove, EBUSY, "fuser"), (.open, EMFILE, "LimitNOFILE"),
    ])
    func `a failure says what to try`(operation: CaptureError.Operation, code: Int32, part: String) {
        let error = CaptureError(operation, "/x", .system(code, detail: nil))
        #expect(error.advice?.contains(part) == true, "\(error)")
        #expect(error.description.hasPrefix("cannot \(operation.rawValue) /x: "))
    }

    @Test
    func `a failure names the error by its text and its constant, and what the kernel said beside it`() {
        let error = CaptureError(.filter, "/x", .system(EINVAL, detail: "Field not found"))
        #expect(error.description.contains("Invalid argument (EINVAL): Field not found"))
    }
}

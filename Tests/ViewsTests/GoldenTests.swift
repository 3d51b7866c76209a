import Testing
import TraceModel
import Views

/// The screens, as people see them.
struct GoldenTests {
    @Test(arguments: [80, 120, 200])
    func `two machines compete for the CPUs of a host`(width: Int) throws {
        try check(.competing, "competing", width: width)
    }

    @Test(arguments: [80, 120, 200])
    func `an idle machine looks calm`(width: Int) throws {
        try check(.idle, "idle", width: width)
    }

    @Test(arguments: [80, 120, 200])
    func `loss, a gone agent and an unbounded clock are seen at once`(width: Int) throws {
        try check(.loss, "loss", width: width)
    }

    @Test(arguments: [80, 120, 200])
    func `without machines the host is shown as it is`(width: Int) throws {
        try check(.noMachine, "no-machine", width: width)
    }

    @Test(arguments: [80, 120, 200])
    func `without kvm events the split is left out, not invented`(width: Int) throws {
        try check(.noKVM, "no-kvm", width: width)
    }

    @Test(arguments: [80, 120, 200])
    func `hostile names and numbers stay in their cells`(width: Int) throws {
        try check(.hostile, "hostile", width: width)
    }

    /// The screen of a rich session after some keys.
    private func screen(_ scenario: Scenario, _ keys: [Key], width: Int, height: Int) throws -> Frame {
        var model = TopModel()
        model.show(try #require(scenario.previous))
        model.show(scenario.current)
        for key in keys {
            _ = model.handle(key)
            // As on a terminal: a page learns its length when it is drawn.
            _ = model.frame(width: width, height: height)
        }
        return model.frame(width: width, height: height)
    }

    @Test(arguments: [(80, 24), (80, 90), (120, 40), (200, 60)])
    func `the page of a vCPU says where its time went, who took it and who suffered`(width: Int, height: Int) throws {
        try checkGolden(
            screen(.rich, [.down, .down, .enter], width: width, height: height), "vcpu-\(width)x\(height)")
    }

    @Test
    func `the end of a page that is higher than the screen is reached by scrolling`() throws {
        try checkGolden(screen(.rich, [.down, .enter, .end], width: 80, height: 24), "vcpu-end-80x24")
    }

    @Test(arguments: [80, 120])
    func `what a page cannot know it says, and never shows as none`(width: Int) throws {
        try checkGolden(screen(.noKVM, [.down, .enter], width: width, height: 40), "vcpu-no-kvm-\(width)")
        try checkGolden(screen(.hostOnly, [.down, .down, .enter], width: width, height: 40), "vcpu-host-only-\(width)")
    }

    @Test(arguments: [(80, 24), (120, 40)])
    func `the page of a machine shows its clock and its victims`(width: Int, height: Int) throws {
        try checkGolden(
            screen(.rich, [.character("t"), .character("t"), .down, .enter], width: width, height: height),
            "machine-\(width)x\(height)")
    }

    @Test(arguments: [80, 120])
    func `one row per machine`(width: Int) throws {
        try checkGolden(
            screen(.rich, [.character("t"), .character("t"), .down], width: width, height: 24), "machines-\(width)")
    }

    @Test(arguments: [80, 120])
    func `the matrix shows who took the CPU from whom`(width: Int) throws {
        try checkGolden(screen(.rich, [.character("m")], width: width, height: 24), "matrix-\(width)")
    }

    @Test(arguments: [80, 200])
    func `a matrix of many machines keeps the worst in sight`(width: Int) throws {
        try checkGolden(screen(.crowded, [.character("m")], width: width, height: 30), "matrix-crowded-\(width)")
    }

    @Test
    func `bars, shades and arrows have an ASCII form`() throws {
        try checkGolden(screen(.rich, [.down, .enter], width: 120, height: 40).ascii, "vcpu-ascii-120")
        try checkGolden(screen(.rich, [.character("m")], width: 120, height: 24).ascii, "matrix-ascii-120")
    }

    @Test(arguments: [80, 120])
    func `the help explains keys, this session and the columns`(width: Int) throws {
        var model = TopModel()
        model.show(Scenario.loss.current)
        _ = model.handle(.character("h"))
        try checkGolden(model.frame(width: width, height: 50), "help-\(width)")
    }

    @Test
    func `many machines scroll below a fixed heading, sorted by ready time`() throws {
        var model = TopModel()
        model.show(try #require(Scenario.crowded.previous))
        model.show(Scenario.crowded.current)
        for key: Key in [.character("s"), .pageDown, .pageDown] { _ = model.handle(key) }
        try checkGolden(model.frame(width: 120, height: 24), "crowded-120")
        for key: Key in [.character("t"), .home] { _ = model.handle(key) }
        try checkGolden(model.frame(width: 120, height: 24), "crowded-flat-120")
    }

    @Test
    func `a stream that is no terminal gets every row, no cursor and no keys`() throws {
        let scenario = Scenario.competing
        try checkGolden(
            TopView.text(current: scenario.current, previous: scenario.previous, options: TopOptions(), width: 132),
            "text-132")
    }

    @Test
    func `a terminal without UTF-8 gets the same cells in ASCII`() throws {
        let scenario = Scenario.loss
        let frame = TopView.render(
            current: scenario.current, previous: scenario.previous, options: TopOptions(), width: 120, height: 24)
        try checkGolden(frame.ascii, "loss-ascii-120")
    }

    @Test(arguments: [80, 120])
    func `a recording ends with a summary`(width: Int) throws {
        try checkGolden(SummaryView.render(Scenario.loss.current, width: width), "summary-\(width)")
    }

    @Test(arguments: [80, 120])
    func `a summary of everything that can be found out`(width: Int) throws {
        try checkGolden(SummaryView.render(Scenario.rich.current, width: width), "summary-rich-\(width)")
    }

    @Test(arguments: [80, 120])
    func `the state at an instant`(width: Int) throws {
        try checkGolden(InstantView.render(Scenario.rich.current, width: width), "instant-\(width)")
    }

    @Test(arguments: [80, 120])
    func `a list of intervals follows on without gaps`(width: Int) throws {
        let start = 8_000 * second
        let view = IntervalsView(start: start, width: width)
        let list: [(VCPUState, Int64, Int64, String?, String?)] = [
            (.running, 12_000_204_112, 12_003_614_900, nil, "php-fpm: pool w"),
            (.preempted, 12_003_614_900, 12_011_819_012, "db2/1", "php-fpm: pool w"),
            (.hypervisor, 12_011_819_012, 12_011_821_100, "EPT_VIOLATION", "php-fpm: pool w"),
            (.running, 12_011_821_100, 12_012_000_000, nil, nil),
        ]
        let lines = list.map { state, from, to, detail, task in
            view.line(
                StateInterval(
                    guest: "web1", vcpu: 1, hostTID: 4713, state: state, startNanoseconds: start + from,
                    endNanoseconds: start + to, detail: detail, hostCPU: 1, guestTask: task,
                    guestTID: task == nil ? nil : 903))
        }
        try checkGolden(Frame(lines: [view.heading] + lines), "intervals-\(width)")
    }

    @Test
    func `a summary without machines says so`() throws {
        try checkGolden(SummaryView.render(Scenario.noMachine.current, width: 80), "summary-no-machine-80")
    }

    @Test(arguments: [80, 120])
    func `the machines of a host are listed with what is known of each`(width: Int) throws {
        let qemu = VMFacts(
            vmmPID: 4701, vmm: "qemu", name: "web1", cid: 3,
            vcpuThreads: [.init(tid: 4712, vcpu: 0), .init(tid: 4713, vcpu: 1)])
        let firecracker = VMFacts(
            vmmPID: 902, vmm: "firecracker", name: "build-runner-with-a-long-name", vsockPaths: ["/run/v.sock"],
            vcpuThreads: [.init(tid: 910, vcpu: 0)])
        let other = VMFacts(vmmPID: 77, vmm: "cloud-hypervisor", name: "vm-77")
        let guests: [GuestsView.Guest] = [
            .init(facts: qemu, agent: .answers("tandem-agent 0.1, Linux 6.18")),
            .init(facts: firecracker, agent: .silent("connection refused: is tandem-agent running in it?")),
            .init(facts: other),
        ]
        try checkGolden(GuestsView.render(guests, width: width), "guests-\(width)")
    }

    private func check(_ scenario: Scenario, _ name: String, width: Int) throws {
        let frame = TopView.render(
            current: scenario.current, previous: scenario.previous, options: TopOptions(), width: width, height: 24)
        try checkGolden(frame, "\(name)-\(width)")
    }
}

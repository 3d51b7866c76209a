import Testing
import TraceModel
import Views

struct FrameTests {
    private static let scenarios: [(String, Scenario)] = [
        ("competing", .competing), ("idle", .idle), ("loss", .loss), ("no machine", .noMachine), ("no kvm", .noKVM),
        ("rich", .rich), ("hostile", .hostile), ("crowded", .crowded),
        ("empty", Scenario(current: Snapshot(window: .init(startNanoseconds: 0, endNanoseconds: 0)), previous: nil)),
        (
            "backwards",
            Scenario(current: Snapshot(window: .init(startNanoseconds: .max, endNanoseconds: .min)), previous: nil)
        ),
    ]

    @Test
    func `no frame is larger than its screen, whatever the screen, the data and the options`() {
        for (name, scenario) in FrameTests.scenarios {
            for overlay: TopOptions.Overlay in [.none, .help, .detail, .matrix] {
                for grouping in TopOptions.Grouping.allCases {
                    var options = TopOptions()
                    options.overlay = overlay
                    options.grouping = grouping
                    options.filter = grouping == .grouped ? "" : "e"
                    options.firstRow = grouping == .grouped ? .max : .min
                    options.firstPageLine = options.firstRow
                    options.selection = scenario.current.guests.last.flatMap { guest in
                        grouping == .machines
                            ? .machine(GuestKey(guest)) : guest.vcpus.last.map { .vcpu(VCPUKey($0, of: guest)) }
                    }
                    for width in [0, 1, 2, 7, 40, 80, 133, 500] {
                        for height in [0, 1, 3, 10, 40] {
                            check(scenario, options, width: width, height: height, name)
                        }
                    }
                }
            }
        }
    }

    private func check(_ scenario: Scenario, _ options: TopOptions, width: Int, height: Int, _ name: String) {
        let frame = TopView.render(
            current: scenario.current, previous: scenario.previous, options: options, width: width, height: height)
        let place = "\(name), \(options.overlay), \(width) × \(height)"
        #expect(frame.lines.count <= height, "\(place)")
        for line in frame.lines {
            #expect(line.cells <= width, "\(place): \(line.text)")
            #expect(line.cells == line.text.cells, "\(place)")
        }
        let ascii = frame.ascii
        #expect(ascii.lines.allSatisfy { $0.text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f } }, "\(place)")
        #expect(ascii.lines.map(\.cells) == frame.lines.map(\.cells), "\(place)")
    }

    @Test
    func `nothing but printable characters is in any view of hostile names`() {
        let scenario = Scenario.hostile
        let current = scenario.current
        let facts = VMFacts(
            vmmPID: 1, vmm: "\u{1b}[2J", name: "a\nb", vcpuThreads: [.init(tid: 1, vcpu: 0)])
        let guest = GuestKey(current.guests[0])
        let interval = StateInterval(
            guest: "\u{1b}[2J", vcpu: nil, hostTID: nil, state: .waking, startNanoseconds: .min, endNanoseconds: .max,
            detail: "a\rb", hostCPU: .min, guestTask: "\u{202e}", guestTID: .min)
        let list = IntervalsView(start: .max, width: 100)
        var frames = [
            MatrixPage.render(current, width: 100), InstantView.render(current, width: 100),
            Frame(lines: [list.heading, list.line(interval)]),
            TopView.text(current: current, previous: nil, options: TopOptions(), width: 200),
            SummaryView.render(current, width: 100),
            Frame(lines: [ProgressLine.render(current: current, previous: nil, bytesWritten: .max, width: 100)]),
            GuestsView.render([.init(facts: facts, agent: .silent("\u{9b}31m"))], width: 100),
        ]
        frames += [DetailPage.render(current, guest: guest, vcpu: nil, width: 100)].compactMap { $0 }
        frames += [DetailPage.render(current, guest: guest, vcpu: 3, width: 100)].compactMap { $0 }
        let tables = CSVTable.allCases.map { $0.rows(current) } + [CSVTable.row(interval)]
        for text in frames.map(\.plainText) + tables {
            for scalar in text.unicodeScalars where scalar != "\n" {
                #expect(scalar.properties.generalCategory != .control, "U+\(String(scalar.value, radix: 16))")
                #expect(scalar.properties.generalCategory != .format, "U+\(String(scalar.value, radix: 16))")
            }
        }
    }

    @Test
    func `a wider screen shows every column that a narrower one shows`() {
        let scenario = Scenario.competing
        var before: Set<Substring> = []
        for width in 40...220 {
            let frame = TopView.render(
                current: scenario.current, previous: scenario.previous, options: TopOptions(), width: width, height: 24)
            let title = frame.lines.first { $0.text.contains("VCPU") }?.text ?? ""
            let columns = Set(
                title.replacing("TOP CULPRIT", with: "CULPRIT")
                    .replacing("WHERE TIME GOES", with: "STRIP").split(separator: " "))
            #expect(before.isSubset(of: columns), "at \(width) columns")
            before = columns
        }
        #expect(before.count == 19)
    }

    @Test
    func `nothing lost looks calm, something lost does not`() {
        func health(_ scenario: Scenario) -> Line {
            TopView.render(
                current: scenario.current, previous: nil, options: TopOptions(), width: 120, height: 24
            ).lines[0]
        }
        #expect(health(.competing).text.contains("lost 0"))
        #expect(!health(.competing).spans.contains { $0.style == .alarm || $0.style == .notice })
        #expect(health(.loss).spans.contains { $0.style == .alarm && $0.text == "▲ lost ≥120,403" })
    }

    @Test(arguments: [
        (0, Style.dim, "0"), (49, .plain, "4.9"), (50, .notice, "5.0"), (100, .notice, "10.0"), (101, .alarm, "▲10.1"),
    ])
    func `ready time warns at 5 percent and alarms above 10, with a glyph`(permille: Int64, style: Style, text: String)
    {
        var snapshot = Scenario.idle.current
        snapshot.guests[0].vcpus = [snapshot.guests[0].vcpus[0]]
        snapshot.guests[0].vcpus[0].times = times([.running: 1_000 - permille, .preempted: permille])
        let frame = TopView.render(
            current: snapshot, previous: nil, options: TopOptions(), width: 80, height: 24)
        #expect(
            frame.lines.contains {
                $0.spans.contains { $0.style == style && $0.text.split(separator: " ").first.map(String.init) == text }
            })
    }

    @Test
    func `rates are differences, and totals without an earlier snapshot or with one of another session`() throws {
        var scenario = Scenario.competing
        func percentages(_ previous: Snapshot?) throws -> String {
            let frame = TopView.render(
                current: scenario.current, previous: previous, options: TopOptions(), width: 120, height: 24)
            return try #require(frame.lines.first { $0.text.contains("php-fpm") }).text
        }
        // In its last second the vCPU only waited.
        scenario.current.guests[0].vcpus[1].times = scenario.previous?.guests[0].vcpus[1].times ?? StateTimes()
        scenario.current.guests[0].vcpus[1].times[.preempted] += second
        #expect(try percentages(scenario.previous).contains("▲100"))
        #expect(try !percentages(nil).contains("▲100"))
        var other = try #require(scenario.previous)
        other.window.startNanoseconds += 1
        #expect(try percentages(other) == percentages(nil))
    }

    @Test
    func `a culprit of an earlier interval stands in brackets`() throws {
        let scenario = Scenario.competing
        let frame = TopView.render(
            current: scenario.current, previous: scenario.previous, options: TopOptions(), width: 160, height: 24)
        let line = try #require(frame.lines.first { $0.text.contains("postgres") })
        #expect(line.text.contains("([migration/1])"))
    }

    @Test
    func `a culprit is shown as loudly as what it did`() throws {
        let scenario = Scenario.competing
        let frame = TopView.render(
            current: scenario.current, previous: scenario.previous, options: TopOptions(), width: 160, height: 24)
        func style(of culprit: String, beside task: String) -> Style? {
            frame.lines.first { $0.text.contains(task) }?.spans.last { $0.text.contains(culprit) }?.style
        }
        #expect(style(of: "db2/0", beside: "nginx") == .plain)
        #expect(style(of: "web1/0", beside: "swapper/0") == .notice)
        #expect(style(of: "db2/1", beside: "php-fpm") == .ready)
    }

    @Test
    func `a stream of unknown or enormous width gets every column`() {
        let scenario = Scenario.competing
        for width in [0, -1, Int.max] {
            let frame = TopView.text(
                current: scenario.current, previous: scenario.previous, options: TopOptions(), width: width)
            #expect(frame.plainText.contains("EXITS/s"))
            #expect(frame.lines.allSatisfy { $0.cells <= 256 })
        }
    }

    @Test
    func `without context switches preemption is unknown, not none`() throws {
        var snapshot = Scenario.idle.current
        snapshot.host.sees.scheduling = false
        for index in snapshot.guests[0].vcpus.indices {
            snapshot.guests[0].vcpus[index].state = .init(.running)
            // Without switches, the time after a halt counts as halted.
            snapshot.guests[0].vcpus[index].times = times([.running: 10, .hypervisor: 5, .halted: 7])
        }
        let frame = TopView.render(current: snapshot, previous: nil, options: TopOptions(), width: 160, height: 24)
        let line = try #require(frame.lines.first { $0.text.contains("running") })
        // CPU, %RDY, %HALT, %BLK, PREEMPT/s, PREEMPTIONS and WORST.
        #expect(line.text.split(separator: " ").count { $0 == "?" } == 7)
    }

    @Test
    func `a cut line keeps its styles and ends in an ellipsis`() {
        var line = Line("name ", .strong)
        line.append("value", .alarm)
        #expect(line.cut(to: 10) == line)
        #expect(line.cut(to: 7).text == "name v…")
        #expect(line.cut(to: 7).spans.map(\.style) == [.strong, .alarm])
        #expect(line.cut(to: 5).text == "name…")
        #expect(line.cut(to: 0).text == "")
    }
}

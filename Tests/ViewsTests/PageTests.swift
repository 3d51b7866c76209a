import Testing
import TraceModel
import Views

/// Pages in place of the table: of a vCPU, of a machine, the matrix.
struct PageTests {
    private func model(
        _ keys: [Key], of scenario: Scenario = .rich, width: Int = 120, height: Int = 24
    ) -> TopModel {
        var model = TopModel()
        if let previous = scenario.previous { model.show(previous) }
        model.show(scenario.current)
        for key in keys {
            _ = model.handle(key)
            _ = model.frame(width: width, height: height)
        }
        return model
    }

    /// The text below the health lines.
    private func body(_ model: TopModel, width: Int = 120, height: Int = 24) -> [String] {
        var model = model
        return model.frame(width: width, height: height).lines.dropFirst(2).map(\.text)
    }

    @Test
    func `a page is left where it was entered, and the selection is still there`() {
        for key: Key in [.enter, .character("m")] {
            var model = model([.down, .down, key])
            let page = model.options.overlay
            #expect(page != .none)
            _ = model.handle(.character("h"))
            #expect(model.options.overlay == .help)
            _ = model.handle(.character("x"))
            #expect(model.options.overlay == page)
            _ = model.handle(.escape)
            #expect(model.options.overlay == .none)
            #expect(model.options.selection == .vcpu(.thread(4713)))
        }
    }

    @Test
    func `a report's page has no column for the present, a live one has`() throws {
        let snapshot = Scenario.rich.current
        let page = try #require(
            DetailPage.render(snapshot, guest: GuestKey(snapshot.guests[0]), vcpu: 1, width: 120))
        #expect(!page.plainText.contains("NOW %"))
        #expect(body(model([.down, .down, .enter])).contains { $0.contains("NOW %") })
    }

    @Test
    func `culprits of one name are told apart by their threads`() throws {
        var scenario = Scenario.rich
        func culprit(_ tid: Int32) -> Snapshot.Culprit {
            Snapshot.Culprit(kind: .task, name: "qemu-system-x86", tid: tid, count: 3, nanoseconds: 5_000_000)
        }
        scenario.current.guests[0].vcpus[1].culprits = [culprit(161), culprit(165)]
        let rows = body(model([.down, .down, .enter], of: scenario))
        #expect(rows.contains { $0.contains("qemu-system-x86 161") })
        #expect(rows.contains { $0.contains("qemu-system-x86 165") })
        scenario.current.guests[0].vcpus[1].culprits = [culprit(161)]
        #expect(!body(model([.down, .down, .enter], of: scenario)).contains { $0.contains("qemu-system-x86 161") })
    }

    @Test
    func `the neighbour's page is one key away, in the order of the table`() {
        var model = model([.down, .enter, .right])
        #expect(body(model)[0].hasPrefix("── web1/1 "))
        _ = model.handle(.character(">"))
        #expect(body(model)[0].hasPrefix("── db2/0 "))
        _ = model.handle(.left)
        #expect(body(model)[0].hasPrefix("── web1/1 "))
        let sorted = self.model([.character("s"), .character("t"), .down, .enter])
        #expect(body(sorted)[0].hasPrefix("── web1/1 "))
    }

    @Test
    func `scrolling moves by lines, by half a screen and to the ends, and never beyond them`() {
        var model = model([.down, .enter])
        func first(_ key: Key) -> Int {
            _ = model.handle(key)
            _ = model.frame(width: 120, height: 24)
            return model.options.firstPageLine
        }
        let top = body(model)
        #expect(first(.up) == 0)
        #expect(first(.down) == 1)
        // The heading is two lines and the footer one; what was the second line is the first now.
        #expect(body(model)[2] == top[3])
        #expect(first(.pageDown) == 13)
        let end = first(.end)
        #expect(end > 13)
        #expect(first(.character("j")) == end)
        #expect(first(.pageUp) == end - 12)
        #expect(first(.home) == 0)
        #expect(body(model) == top)
    }

    @Test
    func `the layout of a page depends on its width and on nothing that changes from second to second`() throws {
        func titles(_ snapshot: Snapshot, width: Int) throws -> [[String]] {
            let page = try #require(
                DetailPage.render(snapshot, guest: GuestKey(snapshot.guests[0]), vcpu: 1, width: width))
            let names = [
                "STATE", "WHO HAD THE CPU", "EXIT REASON", "WOKEN BY", "TASK ON IT", "STEAL", "GUEST CODE",
                "WAITS FOR", "WAKE-UP TO", "EXITS HANDLED",
            ]
            return page.lines.map { line in names.filter { line.text.contains($0) } }.filter { !$0.isEmpty }
        }
        for width in stride(from: 60, through: 220, by: 20) {
            let now = Scenario.rich.current
            var later = now
            // Names and numbers of another length, longer and shorter lists.
            later.guests[0].vcpus[1].culprits = (0..<30).map {
                .init(kind: .task, name: "a-rather-long-name-\($0)", tid: $0, count: .max, nanoseconds: 12_345_678_901)
            }
            later.guests[0].vcpus[1].exits.removeLast()
            later.guests[0].tasks.removeLast(2)
            later.guests[0].vcpus[1].ready?.countsByPowerOfTwo = [1, 2, 3]
            #expect(try titles(now, width: width) == titles(later, width: width), "at \(width) columns")
        }
    }

    @Test
    func `everything since the start is the view without an earlier snapshot`() throws {
        let scenario = Scenario.rich
        for key: Key in [.character("t"), .character("m")] {
            let cumulative = model([key, .character("c")])
            var options = TopOptions()
            options.overlay = cumulative.options.overlay
            options.grouping = cumulative.options.grouping
            let expected = TopView.render(
                current: scenario.current, previous: nil, options: options, width: 120, height: 24)
            #expect(body(cumulative).dropLast() == expected.lines.dropFirst(2).dropLast().map(\.text)[...])
            let back = model([key, .character("c"), .character("c")])
            #expect(body(back) == body(model([key])))
        }
    }

    @Test
    func `the rows of the matrix add up to the ready time, whatever is missing`() {
        var snapshot = Scenario.rich.current
        // Half of the cells are gone: the rest of the time is not known, and not nothing.
        snapshot.guests[0].takenBy.removeFirst()
        let text = MatrixPage.render(snapshot, width: 120).plainText
        #expect(text.contains("unknown"))
        let ready = snapshot.guests[0].vcpus.map { $0.times[.preempted] + $0.times[.waking] }.reduce(0, +)
        let row = text.split(separator: "\n").first { $0.contains("1 web1") }
        #expect(row?.contains("\(Format.duration(ready)) ") == true)
        snapshot.guests[0].takenBy = []
        snapshot.guests[1].takenBy = []
        #expect(!MatrixPage.render(snapshot, width: 120).plainText.contains("No machine has waited"))
    }

    @Test
    func `a matrix without context switches says that it cannot know`() {
        var snapshot = Scenario.rich.current
        snapshot.host.sees.scheduling = false
        for guest in snapshot.guests.indices {
            for vcpu in snapshot.guests[guest].vcpus.indices {
                snapshot.guests[guest].vcpus[vcpu].times = times([.running: 5])
                snapshot.guests[guest].vcpus[vcpu].state = .init(.running)
                snapshot.guests[guest].vcpus[vcpu].preemptions = 0
            }
        }
        #expect(MatrixPage.render(snapshot, width: 120).plainText.contains("Cannot be known"))
    }

    @Test
    func `lower bounds carry their sign on the page of the vCPU that lost events, and on no other`() throws {
        let snapshot = Scenario.rich.current
        let guest = GuestKey(snapshot.guests[0])
        let lossy = try #require(DetailPage.render(snapshot, guest: guest, vcpu: 0, width: 120)).plainText
        let whole = try #require(DetailPage.render(snapshot, guest: guest, vcpu: 1, width: 120)).plainText
        #expect(lossy.contains("≥TIMES") && lossy.contains("lower bounds"))
        #expect(!whole.contains("≥"))
    }

    @Test
    func `robbed time is explained to the last nanosecond`() throws {
        // nginx: 19 ms of exits a second of which 12 have a reason, and 18 ms preempted.
        let snapshot = Scenario.rich.current
        let page = try #require(
            DetailPage.render(snapshot, guest: GuestKey(snapshot.guests[0]), vcpu: nil, width: 121)
        ).plainText
        let line = try #require(page.split(separator: "\n").first { $0.hasPrefix("nginx") })
        #expect(line.contains("preempted 1.49 s, EPT_MISCONFIG 996 ms, other exits 5"))
    }

    @Test(
        arguments: [
            ([.running: 500, .preempted: 500], 18, "▓▓▓▓▓▓▓▓▓█████████"),
            ([.halted: 1_000], 18, "░░░░░░░░░░░░░░░░░░"),
            // A third of a cell is not shown as a whole one, and the cells are all given out.
            ([.running: 980, .waking: 20], 18, "▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓"),
            ([.running: 334, .hypervisor: 333, .unknown: 333], 20, "▓▓▓▓▓▓▓▒▒▒▒▒▒▒??????"),
        ] as [([VCPUState: Int64], Int, String)])
    func `the strip shares its cells out as the time was`(milliseconds: [VCPUState: Int64], width: Int, strip: String) {
        var snapshot = Scenario.idle.current
        snapshot.guests[0].vcpus = [snapshot.guests[0].vcpus[0]]
        snapshot.guests[0].vcpus[0].times = times(milliseconds)
        // The narrowest terminal whose strip has `width` cells.
        let text = (100...260).lazy.compactMap { screen -> String? in
            let frame = TopView.render(
                current: snapshot, previous: nil, options: TopOptions(), width: screen, height: 24)
            let row = frame.lines.first { $0.text.contains("halted  ") }?.text ?? ""
            let cells = row.split(separator: " ").last.map(String.init) ?? ""
            return cells.count == width && "▓▒█░│?".contains(cells.first ?? " ") ? cells : nil
        }.first
        #expect(text == strip)
    }

    @Test
    func `a machine or vCPU that is not in the snapshot has no page`() {
        let snapshot = Scenario.rich.current
        #expect(DetailPage.render(snapshot, guest: .named("nobody"), vcpu: nil, width: 120) == nil)
        #expect(DetailPage.render(snapshot, guest: GuestKey(snapshot.guests[0]), vcpu: 7, width: 120) == nil)
    }

    @Test
    func `machines are sorted like vCPUs, and a filter finds them`() {
        let sorted = model([.character("t"), .character("t"), .character("s")], of: .crowded, height: 60)
        let names = body(sorted, height: 60).dropFirst().compactMap { $0.split(separator: " ").first }
        #expect(names.prefix(2) == ["vm17", "vm4"])
        let filtered = model(
            [.character("t"), .character("t"), .character("/"), .character("2"), .character("9"), .enter], of: .crowded)
        #expect(body(filtered).filter { $0.hasPrefix("  vm") }.count == 1)
    }
}

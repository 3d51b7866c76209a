import Testing
import TraceModel
import Views

/// Keys in, what the view does out.
struct TopModelTests {
    private static func model(_ scenario: Scenario = .competing) -> TopModel {
        var model = TopModel()
        if let previous = scenario.previous { model.show(previous) }
        model.show(scenario.current)
        return model
    }

    /// Types `keys` and returns the last action.
    private func type(_ keys: [Key], into model: inout TopModel) -> TopModel.Action {
        var action = TopModel.Action.none
        for key in keys { action = model.handle(key) }
        return action
    }

    private static func vcpu(_ tid: Int32) -> TopRowID { .vcpu(.thread(tid)) }

    @Test(
        arguments: [
            ([.character("q")], .quit),
            ([.character("h"), .character("q")], .redraw),
            ([.enter, .character("q")], .quit),
            ([.character("/"), .character("q")], .redraw),
            ([.character("x")], .none),
            ([.tab], .none),
            ([.character("+")], .setInterval(milliseconds: 2_000)),
            ([.character("-")], .setInterval(milliseconds: 500)),
            ([.character("-"), .character("-"), .character("-"), .character("-")], .none),
            (
                [.character("d"), .character("0"), .character("."), .character("3"), .enter],
                .setInterval(milliseconds: 300)
            ),
            ([.character("d"), .character("0"), .enter], .redraw),
            ([.character("d"), .character("n"), .character("a"), .character("n"), .enter], .redraw),
            ([.character("d"), .character("5"), .escape], .redraw),
            (
                [.character("d"), .character("5"), .backspace, .character("7"), .enter],
                .setInterval(milliseconds: 7_000)
            ),
        ] as [([Key], TopModel.Action)])
    func `what a key does`(keys: [Key], action: TopModel.Action) {
        var model = TopModelTests.model()
        #expect(type(keys, into: &model) == action)
    }

    @Test(
        arguments: [
            ([.down], 4712), ([.character("j"), .down], 4713), ([.down, .down, .down], 5212),
            ([.down, .down, .up], 4712), ([.down, .character("k")], 4712), ([.end], 5213), ([.end, .home], 4712),
            ([.pageDown, .pageUp], 4712), ([.end, .down], 5213), ([.enter], 4712),
            ([.character("s"), .down], 4713),
        ] as [([Key], Int32)])
    func `the cursor moves over vCPUs only, and stops at the ends`(keys: [Key], tid: Int32) {
        var model = TopModelTests.model()
        _ = type(keys, into: &model)
        #expect(model.options.selection == TopModelTests.vcpu(tid))
    }

    @Test
    func `the selection follows its vCPU when the order changes`() throws {
        var model = TopModelTests.model()
        _ = type([.down, .down, .character("t"), .character("s")], into: &model)
        #expect(model.options.selection == TopModelTests.vcpu(4713))
        let frame = model.frame(width: 120, height: 24)
        let selected = try #require(frame.lines.first { $0.isSelected })
        #expect(selected.text.hasPrefix("› web1 "))
        #expect(frame.lines.filter(\.isSelected).count == 1)
    }

    @Test
    func `a vCPU that is gone is not selected any more, and its details close`() {
        var model = TopModelTests.model()
        _ = type([.down, .enter], into: &model)
        #expect(model.options.overlay == .detail)
        var next = Scenario.competing.current
        next.window.endNanoseconds += second
        next.guests.removeFirst()
        model.show(next)
        #expect(model.options.selection == nil)
        #expect(model.options.overlay == .none)
    }

    @Test
    func `escape closes details, then the filter, then the selection`() {
        var model = TopModelTests.model()
        _ = type([.character("/"), .character("w"), .enter, .down, .enter], into: &model)
        #expect(model.options.overlay == .detail && model.options.filter == "w" && model.options.selection != nil)
        _ = model.handle(.escape)
        #expect(model.options.overlay == .none && model.options.filter == "w")
        _ = model.handle(.escape)
        #expect(model.options.filter.isEmpty && model.options.selection != nil)
        _ = model.handle(.escape)
        #expect(model.options.selection == nil)
    }

    @Test
    func `sorting walks through the columns, inverts, and is stable`() {
        var model = TopModelTests.model(.crowded)
        _ = model.handle(.character(">"))
        #expect(model.options.sort == .tid)
        _ = type([.character("<"), .left], into: &model)
        #expect(model.options.sort == .exitRate || model.options.sort == .culprit)
        _ = type([.character("s"), .character("t")], into: &model)
        #expect(model.options.sort == .ready)
        func order() -> [String] {
            model.frame(width: 200, height: 200).lines.filter { $0.text.contains("running") }
                .map { $0.text.split(separator: " ").prefix(2).joined(separator: "/") }
        }
        // Machines 17 (7·17 mod 30 = 29) and 4 lead; 29 is ready for 290 of 1,000 ms.
        let sorted = order()
        #expect(sorted.count == 60)
        #expect(sorted.prefix(2) == ["vm17/1", "vm17/0"])
        _ = model.handle(.character("r"))
        #expect(order().prefix(2) == ["vm0/0", "vm0/1"])
        _ = type([.character("I"), .character("r")], into: &model)
        #expect(order().last == "vm17/1")
    }

    @Test
    func `equal rows keep their order in both directions`() {
        var model = TopModelTests.model(.idle)
        _ = type([.character("s"), .character("t")], into: &model)
        func order() -> [Substring] {
            model.frame(width: 120, height: 24).lines.filter { $0.text.contains("halted") }
                .map { $0.text.split(separator: " ")[1] }
        }
        #expect(order() == ["0", "1", "2", "3"])
        _ = model.handle(.character("r"))
        #expect(order() == ["0", "1", "2", "3"])
    }

    @Test
    func `a paused view stands still, and resumes with the present`() {
        var model = TopModelTests.model()
        _ = model.handle(.character("p"))
        let paused = model.frame(width: 120, height: 24)
        #expect(paused.lines[0].text.contains("PAUSED"))
        var next = Scenario.competing.current
        for _ in 0..<3 {
            next.window.endNanoseconds += second
            next.guests[0].vcpus[0].guestTask = "newcomer"
            model.show(next)
            #expect(model.frame(width: 120, height: 24) == paused)
        }
        _ = model.handle(.character(" "))
        let resumed = model.frame(width: 120, height: 24)
        #expect(resumed.lines.contains { $0.text.contains("newcomer") })
        // The rates are those of the last second and not of the pause.
        #expect(resumed.lines[0].text.contains("last 1.00 s"))
    }

    @Test
    func `a filter shows what contains it while it is typed, and says when nothing does`() {
        var model = TopModelTests.model()
        _ = type([.character("/"), .character("P"), .character("o"), .character("s")], into: &model)
        var text = model.frame(width: 120, height: 24).plainText
        #expect(text.contains("postgres") && !text.contains("nginx"))
        #expect(text.contains("show only names that contain: Pos_"))
        _ = type([.character("x"), .enter], into: &model)
        text = model.frame(width: 120, height: 24).plainText
        #expect(text.contains("Nothing matches 'Posx'."))
    }

    @Test
    func `the table scrolls just far enough, and keeps the heading`() {
        var model = TopModelTests.model(.crowded)
        let top = model.frame(width: 120, height: 20)
        _ = model.handle(.end)
        let bottom = model.frame(width: 120, height: 20)
        #expect(top.lines.prefix(3) == bottom.lines.prefix(3))
        #expect(bottom.lines.dropLast().last?.isSelected == true)
        #expect(bottom.plainText.contains("75–90 of 90"))
        _ = model.handle(.up)
        let up = model.frame(width: 120, height: 20)
        // The cursor moved, the table did not.
        #expect(zip(up.lines, bottom.lines).count { $0.text != $1.text } == 2)
    }

    @Test
    func `before the first snapshot every key is harmless`() {
        var model = TopModel()
        for key: Key in [.down, .end, .enter, .character("s"), .character(">"), .character("t"), .escape] {
            #expect(model.handle(key) == .redraw)
            #expect(model.frame(width: 40, height: 5).lines.count == 1)
        }
        #expect(model.handle(.character("q")) == .quit)
    }
}

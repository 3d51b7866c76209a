import Capture
import Testing

/// Which events a request means, on a small kernel.
struct EventSelectionTests {
    private let kernel = EventName.list(
        parsing: """
            kvm:kvm_entry
            kvm:kvm_exit
            kvmmmu:kvm_mmu_get_page
            sched:sched_switch
            sched:sched_waking
            sched:sched_wakeup
            irq:irq_handler_entry
            timer:timer_start
            old:sched_switch
            signal:signal
            """)

    /// Selected events as `system:name` or `system:name[filter]`, in order.
    private func check(_ patterns: [EventPattern], _ expected: [String]) throws {
        let selected = try EventSelection.resolve(patterns, available: kernel)
        let words = selected.map { each in
            each.filter.map { "\(each.event)[\($0)]" } ?? each.event.description
        }
        #expect(words == expected)
    }

    private func check(_ pattern: String, _ expected: [String]) throws { try check([EventPattern(pattern)], expected) }

    @Test
    func `the list of events is read line by line`() {
        #expect(EventName.list(parsing: "a:b\nnonsense\n\nc:d:e\n").map(\.description) == ["a:b", "c:d:e"])
    }

    @Test
    func `one event, a system, a bare event name`() throws {
        try check("kvm:kvm_exit", ["kvm:kvm_exit"])
        try check("kvm/kvm_exit", ["kvm:kvm_exit"])
        try check("kvm", ["kvm:kvm_entry", "kvm:kvm_exit"])
        try check("sched_switch", ["sched:sched_switch", "old:sched_switch"])
        try check("signal", ["signal:signal"])
    }

    @Test
    func `globs`() throws {
        try check("sched:sched_wak*", ["sched:sched_waking", "sched:sched_wakeup"])
        try check("*:sched_switch", ["sched:sched_switch", "old:sched_switch"])
        try check("kvm*", ["kvm:kvm_entry", "kvm:kvm_exit", "kvmmmu:kvm_mmu_get_page"])
        try check("kvm:kvm_e?it", ["kvm:kvm_exit"])
        try check("kvm:kvm_e[a-n]*", ["kvm:kvm_entry"])
        try check("kvm:kvm_e[!a-n]*", ["kvm:kvm_exit"])
        try check("kvm:kvm_e[^a-n]*", ["kvm:kvm_exit"])
        try check("irq:*entry", ["irq:irq_handler_entry"])
        try check("*:*", kernel.map(\.description))
        try check("all", kernel.map(\.description))
    }

    @Test
    func `an event that several patterns select comes once, with the last one's filter`() throws {
        let switching = EventPattern("sched_switch", filter: "prev_pid == 1")
        try check(
            [EventPattern("sched"), EventPattern("sched:sched_switch", filter: "prev_pid == 1")],
            ["sched:sched_switch[prev_pid == 1]", "sched:sched_waking", "sched:sched_wakeup"])
        try check(
            [switching, EventPattern("sched:sched_switch")],
            ["sched:sched_switch", "old:sched_switch[prev_pid == 1]"])
        try check([EventPattern("signal", filter: "")], ["signal:signal"])
        try check([], [])
    }

    @Test
    func `whatever matches nothing is told, all of it, with what it may have meant`() {
        let patterns = ["sched:sched_swich", "kvm", "sched_wakin", "shced", "kvm:timer_start", "xyzzy", ""]
        let error = #expect(throws: EventSelectionError.self) {
            try EventSelection.resolve(patterns.map { EventPattern($0) }, available: kernel)
        }
        #expect(
            error?.description == """
                no event 'sched:sched_swich'; similar: sched:sched_switch
                no event 'sched_wakin'; similar: sched:sched_waking
                no event 'shced'; similar: sched
                no event 'kvm:timer_start'; similar: timer:timer_start
                no event 'xyzzy'
                no event ''
                """)
    }

    @Test(arguments: [":", "/", "kvm:", ":kvm_exit", "a:b:c", "[", "kvm:[", "kvm:[]", "[z-a]", "*:", "\u{0}", "?"])
    func `odd patterns match nothing and trap nowhere`(pattern: String) {
        #expect(throws: EventSelectionError.self) {
            try EventSelection.resolve([EventPattern(pattern)], available: kernel)
        }
    }

    @Test
    func `an unclosed bracket is a bracket, and a bracket can be in a set`() throws {
        let odd = [
            EventName(system: "s", name: "a[b"), EventName(system: "s", name: "a]b"),
            EventName(system: "s", name: "a-b"),
        ]
        func names(_ pattern: String) throws -> [String] {
            try EventSelection.resolve([EventPattern(pattern)], available: odd).map(\.event.name)
        }
        #expect(try names("s:a[b") == ["a[b"])
        #expect(try names("s:a[]]b") == ["a]b"])
        #expect(try names("s:a[-x]b") == ["a-b"])
        #expect(try names("s:a[x-]b") == ["a-b"])
    }

    @Test
    func `a hostile pattern takes no longer than its length times the name's`() throws {
        let long = EventName(system: "s", name: String(repeating: "a", count: 4000))
        let pattern = "s:" + String(repeating: "a*", count: 2000) + "b"
        let clock = ContinuousClock()
        let time = clock.measure {
            _ = #expect(throws: EventSelectionError.self) {
                try EventSelection.resolve([EventPattern(pattern)], available: [long])
            }
        }
        // 8 M steps; exponential time would not end in a life.
        #expect(time < .seconds(30))
    }

    @Test
    func `a glob agrees with a slow and simple matcher`() {
        func slow(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "*" {
                return slow(pattern.dropFirst(), text) || (!text.isEmpty && slow(pattern, text.dropFirst()))
            }
            guard let letter = text.first, first == "?" || first == letter else { return false }
            return slow(pattern.dropFirst(), text.dropFirst())
        }
        var random = Seeded(seed: 0x610b)
        for _ in 0..<5000 {
            let pattern = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                "ab*?".randomElement(using: &random) ?? "a"
            }
            let name = (0..<Int.random(in: 1...6, using: &random)).map { _ in "ab".randomElement(using: &random) ?? "a"
            }
            let selected = try? EventSelection.resolve(
                [EventPattern("s:" + String(pattern))], available: [EventName(system: "s", name: String(name))])
            #expect(
                (selected != nil) == slow(pattern[...], name[...]),
                "seed \(random.seed): \(String(pattern)) on \(String(name))")
        }
    }
}

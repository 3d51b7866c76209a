import Testing
import TraceModel
import Views

/// What the sections of a guest with an agent say, and what they must not.
struct GuestSectionTests {
    private func report(_ change: (inout Snapshot.Guest) -> Void) -> String {
        var snapshot = Scenario.rich.current
        for guest in snapshot.guests.indices { change(&snapshot.guests[guest]) }
        // How the columns are set is the golden files' matter.
        return SummaryView.render(snapshot, width: 160).plainText.split(separator: "\n").map { line in
            line.split(separator: " ").joined(separator: " ")
        }.joined(separator: "\n")
    }

    private func report(steal: Snapshot.Steal?) -> String {
        report { guest in
            for vcpu in guest.vcpus.indices { guest.vcpus[vcpu].steal = vcpu == 0 ? steal : nil }
        }
    }

    private let second: Int64 = 1_000_000_000

    /// Told 3 s of 10: the verdict is only as sure as what the host measured.
    @Test(
        arguments: [
            (3, 0, "they agree"), (5, 0, "it was not told 2.00 s"), (1, 0, "told too much 2.00 s"),
            (1, 1, "told too much ≥1.00 s"), (5, 1, "it was not told ≥2.00 s"),
            (1, 4, "too much is unknown to compare them"), (nil, 4, "the host cannot measure"),
        ] as [(Int64?, Int64, String)])
    func `a guest is told of a lie only when it is one`(ready: Int64?, unknown: Int64, verdict: String) {
        let text = report(
            steal: Snapshot.Steal(
                toldNanoseconds: 3 * second, readyNanoseconds: ready.map { $0 * second },
                unknownNanoseconds: unknown * second, fromNanoseconds: 0, untilNanoseconds: 10 * second))
        #expect(text.contains(verdict), "\(text)")
        let verdicts = ["they agree", "it was not told", "told too much", "too much is unknown", "cannot measure"]
        if !verdict.contains("agree") { #expect(verdicts.count { text.contains($0) } == 1) }
    }

    @Test
    func `after a loss in the guest all its tasks' times are lower bounds`() {
        func lines(hasTaskGaps: Bool) -> [Substring] {
            report { $0.hasTaskGaps = hasTaskGaps }.split(separator: "\n").filter { $0.contains("nginx") }
        }
        #expect(lines(hasTaskGaps: true).contains { $0.count { $0 == "≥" } >= 3 })
        #expect(!lines(hasTaskGaps: false).contains { $0.contains("≥") })
    }

    @Test
    func `what the clock cannot tell of a task is named as uncertain`() {
        let text = report { guest in
            for task in guest.tasks.indices { guest.tasks[task].uncertainNanoseconds = 7_700_000 }
        }
        #expect(text.contains("of all uncertain 7.70 ms"))
        #expect(!report { _ in }.contains("of all uncertain"))
    }
}

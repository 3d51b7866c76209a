import CTF
import Testing
import TraceModel

/// LTTng's live sessions, as far as they can be tried without its daemons.
struct LiveTests {
    @Test func `a relay daemon that is not there is one readable message, and nothing is told`() {
        // Port 1 is nobody's.
        let feed = LiveFeed(
            source: SourceID(1), name: "web", url: "net://127.0.0.1:1/host/here/session",
            tell: { _ in Issue.record("there is nothing to tell") }, notice: { _ in })
        #expect {
            _ = try feed.prepare()
        } throws: { error in
            let text = "\(error)"
            return text.contains(" failed: ") && !text.contains("\n") && !text.contains("-addr=")
        }
    }
}

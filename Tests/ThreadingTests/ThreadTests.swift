import Glibc
import Testing
import Threading

@Suite(.timeLimit(.minutes(10))) struct ThreadTests {
    /// What the kernel calls a thread that was started as `name`.
    private func check(_ name: String, is expected: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let answer = BoundedQueue<[UInt8]>(maximumWeight: 1)
        Thread.start(name) {
            var buffer = [UInt8](repeating: 0, count: 64)
            let descriptor = open("/proc/thread-self/comm", O_RDONLY)
            let count = read(descriptor, &buffer, buffer.count)
            close(descriptor)
            answer.put(Array(buffer.prefix(max(0, count))), weight: 1)
        }
        let bytes = answer.pop(timeoutNanoseconds: 10_000_000_000) ?? []
        #expect(String(decoding: bytes, as: UTF8.self) == expected + "\n", sourceLocation: sourceLocation)
    }

    @Test func `a thread bears the name it was given, cut to what the kernel keeps`() {
        check("tandem-read", is: "tandem-read")
        check("fifteen letters", is: "fifteen letters")
        check("more than fifteen letters", is: "more than fifte")
    }

    @Test func `sleep takes at least as long as it says, and no time when there is none left`() {
        let begin = MonotonicClock.nanoseconds()
        MonotonicClock.sleep(nanoseconds: 10_000_000)
        #expect(MonotonicClock.nanoseconds() - begin >= 10_000_000)
        MonotonicClock.sleep(nanoseconds: 0)
        MonotonicClock.sleep(nanoseconds: .min)
    }
}

@Suite(.timeLimit(.minutes(10))) struct LatchTests {
    private func check(
        _ steps: [Latch.Value], end expected: Latch.Value, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let latch = Latch()
        for step in steps { latch.set(step) }
        #expect(latch.value == expected, sourceLocation: sourceLocation)
    }

    @Test func `abandon overrules drain, and nothing is taken back`() {
        check([], end: .none)
        check([.drain], end: .drain)
        check([.drain, .abandon], end: .abandon)
        check([.abandon, .drain], end: .abandon)
        check([.drain, .none], end: .drain)
        check([.abandon, .none], end: .abandon)
    }

    @Test func `a wait ends with its time, or when the latch is set`() {
        let latch = Latch()
        let begin = MonotonicClock.nanoseconds()
        latch.wait(nanoseconds: 20_000_000)
        #expect(MonotonicClock.nanoseconds() - begin >= 20_000_000)
        Thread.start("setter") {
            MonotonicClock.sleep(nanoseconds: 5_000_000)
            latch.set(.drain)
        }
        latch.wait(nanoseconds: .max)
        #expect(latch.value == .drain)
        latch.wait(nanoseconds: 60_000_000_000)
        #expect(MonotonicClock.nanoseconds() - begin < 30_000_000_000)
    }
}

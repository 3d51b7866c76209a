/// Which offsets put a guest's events into one thread's windows of guest mode.
///
/// Each event votes, for each window, for the offsets that would put it there, and the answer is where nearly all votes
/// meet. Of times of which nothing is known each event may be as well; an offset that puts half of them there is none. To add up four seconds of offsets in steps of microseconds for every event takes a hundred milliseconds; so a few
/// events look through steps of 64 µs first, and all of them only at what is left. A coarse step has every vote of the
/// fine ones in it, so nothing is missed.
struct OffsetVotes {
    private let events: [UInt64]
    private let spans: [ClockSurvey.Span]
    private let margin: Int64
    /// So many events may lie elsewhere: guests have exits that were lost, and kernels events outside of guest mode.
    private let strays: Int32

    private static let fineNanoseconds: Int64 = 2_000
    private static let coarseNanoseconds: Int64 = 64_000
    /// Events that look first.
    private static let scouts = 64
    /// Of 64 µs; where more are left, all events look at them once.
    private static let mostCoarse = 2_048
    /// What a single answer may be wide.
    private static let widestNanoseconds: Int64 = 2_000_000

    /// Both ascending.
    init(_ events: [UInt64], _ spans: [ClockSurvey.Span], margin: Int64) {
        self.events = events
        self.spans = spans
        self.margin = margin
        strays = Int32(events.count / 100)
    }

    /// The offsets around `guess` that all events agree on; nil when they do not, or agree on several.
    func agreement(around guess: Int64, reach: Int64) -> (middle: Int64, halfWidth: Int64)? {
        let all = guess - reach..<guess + reach
        let step = max(1, events.count / Self.scouts)
        let scouts = stride(from: 0, to: events.count, by: step).map { events[$0] }
        var left = stretches(in: all, scouts)
        if left.reduce(0, { $0 + $1.count }) > Self.mostCoarse * Int(Self.coarseNanoseconds) {
            left = stretches(in: all, events)
        }
        var most = Int32(events.count) - strays
        var peak: (first: Int64, end: Int64)?
        for stretch in left {
            tally(events, in: stretch, step: Self.fineNanoseconds) { offset, votes in
                guard votes >= most else { return }
                if votes > most || peak == nil { peak = (offset, offset) }
                most = votes
                peak?.end = offset + Self.fineNanoseconds
            }
        }
        guard let peak, peak.end - peak.first < Self.widestNanoseconds else { return nil }
        let width = peak.end - peak.first
        return (peak.first + width / 2, width / 2)
    }

    /// Where all but the strays of these events may agree, in coarse steps.
    private func stretches(in offsets: Range<Int64>, _ events: [UInt64]) -> [Range<Int64>] {
        var found: [Range<Int64>] = []
        tally(events, in: offsets, step: Self.coarseNanoseconds) { offset, votes in
            guard votes >= Int32(events.count) - strays else { return }
            let end = min(offset + Self.coarseNanoseconds, offsets.upperBound)
            if let last = found.last, last.upperBound == offset {
                found[found.count - 1] = last.lowerBound..<end
            } else {
                found.append(offset..<end)
            }
        }
        return found
    }

    /// The votes that each step of these offsets gets.
    private func tally(_ events: [UInt64], in offsets: Range<Int64>, step: Int64, _ body: (Int64, Int32) -> Void) {
        let span = offsets.upperBound - offsets.lowerBound
        let steps = Int((span + step - 1) / step)
        var changes = [Int32](repeating: 0, count: steps + 1)
        /// Of these, for times of which nothing is known.
        var unknownChanges = changes
        for event in events {
            let zero = Int64(clamping: event) &+ offsets.lowerBound
            var index = spans.partitionPoint { Int64(clamping: $0.exit) < zero &- margin }
            var end = 0
            while index < spans.count {
                let low = max(0, Int64(clamping: spans[index].entry) &- zero &- margin)
                guard low < span else { break }
                let exit = Int64(clamping: spans[index].exit)
                let high = exit &- zero < span ? exit &- zero &+ margin : span - 1
                // Spans widened by the margin may overlap: an event has one vote for each offset.
                let from = max(Int(low / step), end)
                let to = Int(min(high, span - 1) / step) + 1
                if from < to {
                    changes[from] += 1
                    changes[to] -= 1
                    if !spans[index].isKnown {
                        unknownChanges[from] += 1
                        unknownChanges[to] -= 1
                    }
                    end = to
                }
                index += 1
            }
        }
        var votes: Int32 = 0
        var unknown: Int32 = 0
        for place in 0..<steps {
            votes += changes[place]
            unknown += unknownChanges[place]
            body(offsets.lowerBound + Int64(place) * step, 2 * unknown > events.count ? 0 : votes)
        }
    }
}

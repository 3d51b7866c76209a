/// From one epoch to the next: which of two clocks stamped an event that was under way when the step became known.
///
/// Events of the old clock are from before `end`, those of the new one from after `begin`. Where KVM told the step, it was at
/// `begin`, and no vCPU was in guest mode since `end`; where a measurement betrayed it, it was after `begin`, the last that
/// agreed, and before `end`, the first that did not. So a reading that the old clock would have shown only after `end` is
/// one of the new clock, and one that the new clock would have shown before `begin` one of the old.
///
/// Both can be possible after a clock was set back. Then order tells: events of one CPU come as they were written, so that
/// behind one of the new clock there are only such, and a reading that goes back is one. The guest's watermark, behind
/// which nothing older comes, passes for all CPUs at once. What is still undecided stays with the old clock, and its bound
/// reaches to where the other would put it.
///
/// A clock may have been set twice before a probe told of it, with the guest running in between. Of the clock between,
/// nothing is ever known: what it can have stamped has a bound that reaches over its whole time. That is over when a
/// CPU's readings went back twice, or when nothing that old can arrive any more.
///
/// No event is later than the present of the host, which waits for it: a reading that would be is not of that clock.
import TraceModel

struct ClockPassage: Sendable, Codable {
    typealias Placed = (time: HostTime, boundNanoseconds: Int64)

    /// What the map was before.
    enum Former: Codable {
        case line(ClockLine)
        case kvm([KVMLine?])

        func hostTime(_ ticks: TraceTicks, cpu: Int?) -> Placed? {
            switch self {
            case .line(let line): (line.hostTime(ticks), Int64(saturating: line.boundNanoseconds(ticks)))
            case .kvm(let lines):
                if let cpu {
                    lines.indices.contains(cpu) ? lines[cpu]?.hostTime(ticks) : nil
                } else {
                    lines.compactMap { $0?.hostTime(ticks) }.min { $0.time < $1.time }
                }
            }
        }
    }

    let former: Former?
    private(set) var begin: HostTime
    /// `.max` until a measurement tells.
    var end: HostTime
    /// From here to `begin` the guest ran by a clock that is neither the former nor the new one.
    private var unknownSince: HostTime?
    /// The old clock's last watermark: nothing that it stamped earlier is still to come.
    let least: TraceTicks?
    /// The passage to the clock before, when that was not over: what was stamped even earlier may still be to come. One or
    /// none.
    private let earlier: [ClockPassage]
    private var crossed: [Bool] = []
    /// Readings of a CPU have gone back once, where that can have been to the clock between.
    private var hasGoneBack: [Bool] = []
    private var latest: [TraceTicks] = []
    private(set) var isOver = false

    /// For readings of a clock that was never known: years.
    private static let unknownNanoseconds = Int64.max / 4

    private static let deepest = 4

    private var depth: Int { 1 + (earlier.first?.depth ?? 0) }

    init(
        from former: Former?, begin: HostTime, end: HostTime, unknownSince: HostTime?, least: TraceTicks?,
        after earlier: ClockPassage?
    ) {
        self.earlier = earlier.map { $0.isOver || $0.depth >= Self.deepest ? [] : [$0] } ?? []
        self.former = former
        self.begin = begin
        self.end = end
        self.unknownSince = unknownSince
        self.least = self.earlier.isEmpty ? least : nil
    }

    func isOver(_ cpu: Int) -> Bool { isOver || crossed.indices.contains(cpu) && crossed[cpu] }

    /// KVM has set the clock once more, before any probe told what it was.
    mutating func changedAgain(at time: HostTime) {
        guard !isOver, time > begin else { return }
        unknownSince = unknownSince ?? begin
        begin = time
    }

    /// What was stamped before `time` has all arrived.
    mutating func pass(_ time: HostTime) { if unknownSince != nil, begin <= time { isOver = true } }

    /// The next event of a CPU. `isBeforeStepBack`: a later one of this CPU has a smaller reading.
    mutating func next(
        _ ticks: TraceTicks, cpu: Int, isBeforeStepBack: Bool, new: Placed, present: HostTime
    ) -> Placed {
        guard !isOver(cpu) else { return new }
        let missing = cpu + 1 - crossed.count
        if missing > 0 {
            crossed += repeatElement(false, count: missing)
            hasGoneBack += repeatElement(false, count: missing)
            latest += repeatElement(TraceTicks(0), count: missing)
        }
        if ticks < latest[cpu] {
            crossed[cpu] = unknownSince == nil || hasGoneBack[cpu]
            hasGoneBack[cpu] = true
        }
        latest[cpu] = ticks
        guard !crossed[cpu] else { return new }
        let (place, isNew) = resolve(ticks, cpu: cpu, isBeforeStepBack: isBeforeStepBack, new: new, present: present)
        if isNew { crossed[cpu] = true }
        return place
    }

    /// The guest's watermark: what comes behind one of the new clock is of the new clock.
    mutating func passWatermark(_ ticks: TraceTicks, new: Placed, present: HostTime) {
        guard !isOver else { return }
        isOver = resolve(ticks, cpu: nil, isBeforeStepBack: false, new: new, present: present).isNew
    }

    /// Of a reading whose place in the order is not known: the earlier of what it can be.
    func earliest(_ ticks: TraceTicks, cpu: Int?, new: Placed, present: HostTime) -> Placed {
        guard !(cpu.map(isOver) ?? isOver) else { return new }
        return resolve(ticks, cpu: cpu, isBeforeStepBack: false, new: new, present: present).place
    }

    private func resolve(
        _ ticks: TraceTicks, cpu: Int?, isBeforeStepBack: Bool, new: Placed, present: HostTime
    ) -> (place: Placed, isNew: Bool) {
        let isNewPossible =
            new.time.advanced(by: new.boundNanoseconds) >= begin
            && new.time.advanced(by: -new.boundNanoseconds) <= present
        var before = former?.hostTime(ticks, cpu: cpu)
        if let earlier = earlier.first, let latest = before {
            before = earlier.earliest(ticks, cpu: cpu, new: latest, present: present)
        }
        if unknownSince == nil, before == nil {
            if isNewPossible { return (place: new, isNew: true) }
            return (place: (time: begin, boundNanoseconds: Self.unknownNanoseconds), isNew: false)
        }
        let old = before.flatMap {
            $0.time.advanced(by: -$0.boundNanoseconds) <= end && least.map { $0 <= ticks } != false ? $0 : nil
        }
        if let unknownSince {
            let span = old?.time ?? unknownSince
            var reach = max(old?.boundNanoseconds ?? 0, begin - span, unknownSince - span, span - unknownSince)
            if isNewPossible, !isBeforeStepBack { reach = max(reach, Self.reach(from: span, to: new)) }
            return (place: (time: span, boundNanoseconds: reach), isNew: false)
        }
        guard let old else {
            if isNewPossible { return (place: new, isNew: true) }
            // Neither: of a clock that was set once more on the way.
            var reach = max(begin - end, end - begin)
            if present.nanoseconds < .max { reach = max(reach, present - begin) }
            if new.time <= present { reach = max(reach, Self.reach(from: begin, to: new)) }
            return (place: (time: begin, boundNanoseconds: reach), isNew: false)
        }
        if isBeforeStepBack || !isNewPossible { return (place: old, isNew: false) }
        let reach = max(old.boundNanoseconds, Self.reach(from: old.time, to: new))
        return (place: (time: old.time, boundNanoseconds: reach), isNew: false)
    }

    private static func reach(from time: HostTime, to other: Placed) -> Int64 {
        HostTime(nanoseconds: Int64(clamping: (other.time - time).magnitude))
            .advanced(by: other.boundNanoseconds).nanoseconds
    }
}

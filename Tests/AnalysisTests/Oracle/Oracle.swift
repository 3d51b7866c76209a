import TraceModel

/// A second analysis, slow and simple, to compare the first one with.
///
/// It is written from the design's table of states, not from `Analyzer`'s code, and works the other way round: it looks at
/// the whole story at once, makes lists of intervals (who had which CPU, which state each thread was in, which guest task
/// was current), and lays them over each other. Nothing is incremental, no row is ever updated.
///
/// What it takes for granted: steps in the order of their times, as one kernel would write them. Losses may be anywhere.
struct Oracle {
    struct Span {
        var start: Int64
        var end: Int64
        var length: Int64 { end - start }
    }

    struct StateSpan {
        var span: Span
        var state: VCPUState
        /// The exit that is handled or slept on, and which one in the order of exits.
        var exit: Int64?
        var exitNumber: Int?
        /// The CPU for which a ready thread waits.
        var queue: Int?
        /// The guest asked to sleep, and its thread has not slept yet.
        var isHalting: Bool
        var waker: Int32?
    }

    /// One vCPU, as `Analyzer` should see it.
    struct Figures {
        var times: [VCPUState: Int64] = [:]
        var culprits: [Int32: Int64] = [:]
        var exitCounts: [Int64: UInt64] = [:]
        var exitTimes: [Int64: Int64] = [:]
        var handled: [Int64: [Int64]] = [:]
        var ready: [Int64] = []
        var wakeUpLatencies: [Int64] = []
        /// When the longest of `ready` began.
        var longestReadyAt: Int64 = 0
        var worstPreemption: Int64 = 0
        var worstPreemptionAt: Int64 = 0
        /// In how many ready intervals each thread had the CPU at some time.
        var culpritCounts: [Int32: UInt64] = [:]
        var migrations: UInt64 = 0
        /// How many halts each thread ended (nil: nobody, or nobody knows), and how long they were.
        var wakers: [Int32?: (count: UInt64, halted: Int64)] = [:]
        var preemptions: UInt64 = 0
        var wakeups: UInt64 = 0
        var polled: UInt64 = 0
        var slept: UInt64 = 0
        /// Guest tasks by thread id: what the vCPU did while they were current.
        var tasks: [Int32: [VCPUState: Int64]] = [:]
        /// And on which exits that went, of the time outside of guest mode.
        var robbed: [Int32: [Int64: Int64]] = [:]
        /// Time in guest mode with a task, and with the idle one.
        var busy: Int64 = 0
        var idle: Int64 = 0
    }

    let steps: [Observation]
    let start: Int64
    let end: Int64
    private let occupancy: [Int: [(from: Int64, tid: Int32?)]]

    init(_ steps: [Observation], start: Int64, end: Int64? = nil) {
        self.steps = steps
        self.start = start
        self.end = end ?? max(start, steps.filter { !$0.happening.isGuests }.map(\.at).max() ?? start)
        occupancy = Self.occupancy(steps)
    }

    // MARK: Who had the CPU

    private static func occupancy(_ steps: [Observation]) -> [Int: [(from: Int64, tid: Int32?)]] {
        var lists: [Int: [(from: Int64, tid: Int32?)]] = [:]
        var lastEvent: [Int: Int64] = [:]
        for step in steps where !step.happening.isGuests {
            if case .lost = step.happening {
                lists[step.cpu, default: []].append((lastEvent[step.cpu] ?? .min, nil))
                continue
            }
            if lists[step.cpu]?.last?.tid == nil { lists[step.cpu, default: []].append((step.at, step.current)) }
            if case .switched(_, let next, _) = step.happening { lists[step.cpu, default: []].append((step.at, next)) }
            lastEvent[step.cpu] = step.at
        }
        return lists
    }

    /// Who had `cpu` in `span`, piece by piece; nil where nobody knows.
    private func occupants(of cpu: Int, in span: Span) -> [(tid: Int32?, length: Int64)] {
        guard let list = occupancy[cpu] else { return [(nil, span.length)] }
        var pieces: [(tid: Int32?, length: Int64)] = []
        // The last entry that begins at or before the span.
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if list[middle].from <= span.start { low = middle + 1 } else { high = middle }
        }
        var from = span.start
        var tid: Int32? = low > 0 ? list[low - 1].tid : nil
        while low < list.count, list[low].from < span.end {
            pieces.append((tid, list[low].from - from))
            (from, tid) = (list[low].from, list[low].tid)
            low += 1
        }
        pieces.append((tid, span.end - from))
        return pieces.filter { $0.length > 0 }
    }

    // MARK: What a thread did

    /// The states of one vCPU thread from the start to the end, without gaps.
    func states(of tid: Int32, knownFrom: Int64, into figures: inout Figures) -> [StateSpan] {
        var story = ThreadStory(tid: tid, start: knownFrom)
        for step in steps where !step.happening.isGuests {
            if step.at < knownFrom {
                story.pass(step)
            } else if case .lost = step.happening {
                story.lost(on: step.cpu)
            } else {
                story.tell(step)
            }
        }
        figures.preemptions = story.preemptions
        figures.wakeups = story.wakeups
        figures.migrations = story.migrations
        return story.spans(until: end)
    }

    // MARK: Laid over each other

    func figures(of tid: Int32, knownFrom: Int64, guestCPU: Int? = nil) -> Figures {
        var figures = Figures()
        let spans = states(of: tid, knownFrom: knownFrom, into: &figures)
        for step in steps {
            guard case .exit(let thread, let reason, _, _) = step.happening, thread == tid else { continue }
            figures.exitCounts[reason, default: 0] += 1
        }
        for span in spans where span.span.length > 0 {
            figures.times[span.state, default: 0] += span.span.length
            if let queue = span.queue {
                for piece in occupants(of: queue, in: span.span) {
                    figures.culprits[piece.tid ?? -1, default: 0] += piece.length
                }
            } else if span.state.isReady {
                figures.culprits[-1, default: 0] += span.span.length
            }
            if let exit = span.exit, [.hypervisor, .userspace, .polling].contains(span.state) {
                figures.exitTimes[exit, default: 0] += span.span.length
            }
        }
        addIntervals(spans, to: &figures)
        if let guestCPU { addTasks(spans, guestCPU, to: &figures) }
        return figures
    }

    /// Whole ready intervals, whole handlings, whole halts: what began and ended with nothing unknown in between.
    private func addIntervals(_ spans: [StateSpan], to figures: inout Figures) {
        var handling: (exit: Int64, number: Int, length: Int64)?
        var isHaltOpen = false
        var halted: (number: Int?, length: Int64) = (nil, 0)
        var index = 0
        while index < spans.count {
            let span = spans[index]
            let next = index + 1 < spans.count ? spans[index + 1].state : nil
            if span.state == .polling || span.state == .halted {
                if halted.number != span.exitNumber { halted = (span.exitNumber, 0) }
                halted.length += span.span.length
            }
            switch span.state {
            case .preempted, .waking:
                // The same wait on another CPU's queue is the same wait.
                var length = span.span.length
                var culprits = culprits(in: span)
                while index + 1 < spans.count, spans[index + 1].state == span.state, spans[index + 1].queue != nil {
                    index += 1
                    length += spans[index].span.length
                    culprits.formUnion(self.culprits(in: spans[index]))
                }
                for culprit in culprits { figures.culpritCounts[culprit, default: 0] += 1 }
                if span.state == .preempted, length > figures.worstPreemption {
                    figures.worstPreemption = length
                    figures.worstPreemptionAt = span.span.start
                }
                let after = index + 1 < spans.count ? spans[index + 1].state : nil
                if let after, after != .unknown {
                    if length > figures.ready.max() ?? -1 { figures.longestReadyAt = span.span.start }
                    figures.ready.append(length)
                    if span.state == .waking { figures.wakeUpLatencies.append(length) }
                }
            case .halted:
                if let next, next != .unknown {
                    figures.slept += 1
                    figures.add(halted.length, endedBy: spans[index + 1].waker)
                    halted.length = 0
                }
                isHaltOpen = false
            case .polling: isHaltOpen = true
            case .hypervisor: isHaltOpen = span.isHalting
            case .running, .userspace, .blocked, .onCPU, .unknown: break
            }
            if let number = span.exitNumber, let exit = span.exit {
                if handling?.number != number { handling = (exit, number, 0) }
                if [.hypervisor, .userspace, .polling].contains(span.state) { handling?.length += span.span.length }
            } else if span.state == .running, let done = handling {
                figures.handled[done.exit, default: []].append(done.length)
                handling = nil
            } else {
                handling = nil
            }
            if span.state == .running {
                if isHaltOpen {
                    figures.polled += 1
                    figures.add(halted.number == spans[index - 1].exitNumber ? halted.length : 0, endedBy: nil)
                }
                isHaltOpen = false
            } else if span.state == .unknown || span.state == .userspace {
                isHaltOpen = false
            }
            index += 1
        }
    }

    /// Who had the CPU at some time of a ready span.
    private func culprits(in span: StateSpan) -> Set<Int32> {
        guard span.span.length > 0 else { return [] }
        guard let queue = span.queue else { return [-1] }
        return Set(occupants(of: queue, in: span.span).map { $0.tid ?? -1 })
    }

    private func addTasks(_ spans: [StateSpan], _ guestCPU: Int, to figures: inout Figures) {
        var tasks: [(from: Int64, tid: Int32?)] = [(.min, nil)]
        for step in steps where step.cpu == guestCPU {
            if case .guestSwitched(_, let next) = step.happening { tasks.append((step.at, next)) }
        }
        // Both lists ascend: what ended before a task needs no look for the tasks behind it.
        var first = 0
        for (place, task) in tasks.enumerated() {
            let until = place + 1 < tasks.count ? tasks[place + 1].from : end
            while first < spans.count, spans[first].span.end <= task.from { first += 1 }
            for span in spans[first...] {
                if span.span.start >= until { break }
                let length = min(span.span.end, until) - max(span.span.start, task.from)
                guard length > 0 else { continue }
                if span.state == .running {
                    switch task.tid {
                    case nil: break
                    case 0: figures.idle += length
                    default: figures.busy += length
                    }
                }
                guard let tid = task.tid, tid != 0 else { continue }
                figures.tasks[tid, default: [:]][span.state, default: 0] += length
                if let exit = span.exit, !span.state.isReady, span.state != .running, span.state != .unknown {
                    figures.robbed[tid, default: [:]][exit, default: 0] += length
                }
            }
        }
    }
}

extension Oracle.Figures {
    fileprivate mutating func add(_ halted: Int64, endedBy waker: Int32?) {
        wakers[waker, default: (0, 0)].count += 1
        wakers[waker]?.halted += halted
    }
}

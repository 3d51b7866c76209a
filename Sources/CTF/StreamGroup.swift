import Threading
import TraceModel

/// Some of a machine's streams, read in time: the one that is farthest behind is read next, so that what is held is about one
/// turn of each.
///
/// Most of what reading costs is spent in libbabeltrace2, which needs one thread for a graph; so a second core helps where
/// the streams are in two graphs. Which thread reads what makes no difference to what comes out.
final class StreamGroup: @unchecked Sendable {
    // @unchecked: it belongs to whoever calls `next`: the thread that made it, or the one that `ReadingThread` starts.

    /// What one stream gave.
    struct Turn: Sendable {
        /// Its number among all of its machine.
        let stream: Int
        let batches: [EventBatch]
        let notes: ExportNotes
        let status: StreamStatus
    }

    struct Member {
        let number: Int
        let trace: TraceReader
        let sink: StreamSink
    }

    private let members: [Member]
    private var statuses: [StreamStatus]

    init(_ members: [Member]) {
        self.members = members
        statuses = Array(repeating: StreamStatus(), count: members.count)
    }

    /// The streams of these traces in so many parts, or in fewer; a part that gets streams of a trace which another one reads
    /// already opens it again.
    static func divide(_ traces: [TraceReader], among threads: Int) -> [[Member]] {
        let count = max(1, min(threads, traces.reduce(0) { $0 + $1.streams.count }))
        var parts: [[Member]] = Array(repeating: [], count: count)
        var number = 0
        for trace in traces {
            let numbers = number..<number + trace.streams.count
            number = numbers.upperBound
            for part in 0..<count {
                let own = zip(numbers, trace.streams).filter { $0.0 % count == part }
                guard !own.isEmpty else { continue }
                let home = numbers.lowerBound % count
                let reader = part == home ? trace : (try? trace.again(streams: Set(own.map { $0.1.name })))
                for (number, sink) in own {
                    let same = reader?.streams.first { $0.name == sink.name }
                    // What cannot be opened again is read where it is open.
                    parts[same == nil ? home : part].append(
                        Member(number: number, trace: same == nil ? trace : reader ?? trace, sink: same ?? sink))
                }
            }
        }
        return parts.filter { !$0.isEmpty }
    }

    /// Nil when all have ended.
    func next() -> Turn? {
        guard let place = statuses.slowest else { return nil }
        let member = members[place]
        if !member.sink.hasEnded {
            do throws(CTFError) {
                try member.trace.run(member.sink, .read(events: BatchBuilder.mostEvents))
            } catch {
                // It is in the problems of the trace's streams.
            }
        }
        let batches = member.sink.takePending()
        statuses[place] = member.status
        return Turn(
            stream: member.number, batches: batches, notes: member.sink.takeNotes(), status: statuses[place])
    }
}

extension StreamGroup.Member {
    fileprivate var status: StreamStatus {
        StreamStatus(
            reached: sink.reached, hasEnded: sink.hasEnded,
            problem: sink.problem.map { "'\(trace.path)': \($0); what came before is used" }, events: sink.eventsRead,
            stepsBack: sink.stepsBack, eventsWithoutFormat: sink.eventsWithoutFormat)
    }
}

/// A thread that reads a group ahead of whoever wants its turns, as far as a bounded queue goes.
final class ReadingThread {
    private let turns = BoundedQueue<StreamGroup.Turn>(maximumWeight: Limits.readAheadBytes)

    init(_ group: StreamGroup) {
        Thread.start("ctf reader") { [turns] in
            while let turn = group.next() {
                let weight = turn.batches.reduce(64) {
                    $0 + $1.records.count + $1.headers.count * MemoryLayout<EventHeader>.stride
                }
                // Nobody wants more.
                guard turns.push(turn, weight: weight) else { return }
            }
            turns.close()
        }
    }

    deinit { turns.close() }

    /// Waits for it; nil at the end.
    func next() -> StreamGroup.Turn? { turns.pop() }
}

import CTF
import Glibc
import RecordingSupport
import TraceModel

/// Reading and writing CTF, beside babeltrace2 on the same trace in the same run.
///
/// The trace is written first, by ourselves: four CPUs, `sched_switch`, `kvm_entry` and `kvm_exit` as LTTng names them.
enum CTFBenchmark {
    private static let cpus = 4

    /// `arguments`: how many events to write, or a directory of CTF to read instead.
    static func run(_ arguments: ArraySlice<String>) throws {
        if let path = arguments.first, Int(path) == nil { return try compareReading(of: path) }
        let events = arguments.first.flatMap { Int($0) } ?? 2_000_000
        var name = Array("/tmp/tandem-bench-ctf-XXXXXX".utf8CString)
        guard mkdtemp(&name) != nil else { throw CTFError("no temporary directory") }
        let directory = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { CTFWriter.discard(directory) }
        print("write    \(figures(try write(events, into: directory), events))")
        try compareReading(of: directory)
    }

    /// The best of five, each in turn with babeltrace2's, so that what disturbs one disturbs the others: CPU time of one thread
    /// that does it all, and the time that passes when one reads for each CPU of this machine. babeltrace2 has one thread.
    private static func compareReading(of directory: String) throws {
        let commands = ["-o dummy", ""].map { "babeltrace2 \($0) '\(directory)' > /dev/null" }
        var ours = (cpu: Double.infinity, elapsed: Double.infinity, cpuOfAll: Double.infinity)
        var theirs = Array(repeating: (cpu: Double.infinity, elapsed: Double.infinity), count: commands.count)
        var events = 0
        for _ in 0..<5 {
            let alone = Stopwatch()
            events = try read(directory, threads: 1)
            ours.cpu = min(ours.cpu, alone.cpu)
            let together = Stopwatch()
            _ = try read(directory, threads: CTFExperiment.processors)
            ours.elapsed = min(ours.elapsed, together.elapsed)
            ours.cpuOfAll = min(ours.cpuOfAll, together.cpu)
            for (index, command) in commands.enumerated() {
                let watch = Stopwatch()
                guard let cpu = childTime(command) else {
                    print("read, one thread  \(figures(ours.cpu, events))")
                    print("babeltrace2 is not here (Debian: babeltrace2): nothing to compare with")
                    return
                }
                theirs[index].cpu = min(theirs[index].cpu, cpu)
                theirs[index].elapsed = min(theirs[index].elapsed, watch.elapsed)
            }
        }
        print("\(events) events")
        print("read, one thread          CPU      \(figures(ours.cpu, events))")
        print("read, \(CTFExperiment.processors) threads           CPU      \(figures(ours.cpuOfAll, events))")
        print("                          elapsed  \(figures(ours.elapsed, events))")
        for (label, times) in zip(["dummy", "text "], theirs) {
            print(
                "babeltrace2 \(label)         CPU      \(figures(times.cpu, events))  "
                    + "one thread of ours is \(rounded(times.cpu / ours.cpu)) times as fast")
            print(
                "                          elapsed  \(figures(times.elapsed, events))  "
                    + "we are \(rounded(times.elapsed / ours.elapsed)) times as fast")
        }
    }

    // MARK: The trace

    private static let formats: FormatTable = {
        func integer(_ name: String, _ offset: Int, _ size: Int, signed: Bool) -> EventField {
            EventField(name: name, type: "int", offset: offset, size: size, isSigned: signed, kind: .integer)
        }
        func comm(_ name: String, _ offset: Int) -> EventField {
            EventField(name: name, type: "char[16]", offset: offset, size: 16, isSigned: false, kind: .text)
        }
        return FormatTable(
            byteOrder: .native, longSize: 8,
            formats: [
                EventFormat(
                    kernelID: 40, system: "sched", name: "sched_switch",
                    fields: [
                        comm("prev_comm", 8), integer("prev_pid", 24, 4, signed: true),
                        integer("prev_prio", 28, 4, signed: true), integer("prev_state", 32, 8, signed: true),
                        comm("next_comm", 40), integer("next_pid", 56, 4, signed: true),
                        integer("next_prio", 60, 4, signed: true),
                    ], text: ""),
                EventFormat(
                    kernelID: 41, system: "kvm", name: "kvm_entry",
                    fields: [integer("vcpu_id", 8, 4, signed: false), integer("rip", 16, 8, signed: false)], text: ""),
                EventFormat(
                    kernelID: 42, system: "kvm", name: "kvm_exit",
                    fields: [
                        integer("exit_reason", 8, 4, signed: false), integer("guest_rip", 16, 8, signed: false),
                        integer("isa", 24, 4, signed: false), integer("vcpu_id", 28, 4, signed: false),
                    ], text: ""),
            ])
    }()

    /// What it took, without making up the events.
    private static func write(_ events: Int, into directory: String) throws(CTFError) -> Double {
        let bootID = "01234567-89ab-cdef-0123-456789abcdef"
        let writer = try CTFWriter(
            directory: directory,
            machines: [
                ExportedMachine(
                    name: "host", hostname: "bench", bootID: bootID, kernelRelease: "", isHost: true, formats: formats)
            ], clock: ExportedClock(hostBootID: bootID, epochOffsetNanoseconds: 0))
        var time: UInt64 = 1_000_000_000
        var left = events
        var spent = 0.0
        while left > 0 {
            for cpu in 0..<cpus where left > 0 {
                let batch = batch(cpu, min(left, 1000), &time)
                let times = batch.headers.map { HostTime(nanoseconds: Int64($0.ticks.rawValue)) }
                let writing = Stopwatch()
                try writer.append(
                    batch, times: times, range: 0..<batch.headers.count, boundNanoseconds: 0, machine: 0)
                spent += writing.cpu
                left -= batch.headers.count
            }
        }
        let writing = Stopwatch()
        try writer.finish()
        return spent + writing.cpu
    }

    /// Two of three events are kvm's, as on a busy host.
    private static func batch(_ cpu: Int, _ count: Int, _ time: inout UInt64) -> EventBatch {
        var batch = EventBatch(cpu: cpu)
        for index in 0..<count {
            time += 250
            let type = index % 3
            let length = [64, 24, 32][type]
            var record = [UInt8](repeating: 0, count: length)
            record[0] = UInt8(40 + type)
            record[4] = UInt8(cpu + 1)
            if type == 0 {
                record.replaceSubrange(8..<13, with: Array("tandm".utf8))
                record.replaceSubrange(40..<45, with: Array("bench".utf8))
                record[24] = UInt8(cpu + 1)
                record[56] = UInt8(cpu + 1)
            }
            batch.headers.append(
                EventHeader(
                    ticks: TraceTicks(time), offset: UInt32(batch.records.count), length: UInt32(length),
                    pid: Int32(cpu + 1), typeIndex: UInt16(type), flags: 0, preemptCount: 0))
            batch.records += record
        }
        return batch
    }

    private static func read(_ directory: String, threads: Int) throws(CTFError) -> Int {
        var problems: [String] = []
        var count = 0
        let machines = try CTFExperiment.open(directory, threads: threads, problems: &problems)
        for machine in machines { machine.begin() }
        for machine in machines {
            while let step = machine.next() { for batch in step.batches { count += batch.headers.count } }
        }
        return count
    }

    // MARK: Measuring

    /// Time since it was made, in nanoseconds: of this process's CPUs, and of the clock.
    private struct Stopwatch {
        private let start = (cpu: cpuTime(RUSAGE_SELF), elapsed: Double(Clock.nanoseconds()))

        var cpu: Double { cpuTime(RUSAGE_SELF) - start.cpu }
        var elapsed: Double { Double(Clock.nanoseconds()) - start.elapsed }
    }

    private static func cpuTime(_ who: __rusage_who) -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(who.rawValue), &usage)
        let seconds = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        return seconds * 1e9 + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3
    }

    /// CPU time of a command; nil when it fails.
    private static func childTime(_ command: String) -> Double? {
        let before = cpuTime(RUSAGE_CHILDREN)
        guard system(command) == 0 else { return nil }
        return cpuTime(RUSAGE_CHILDREN) - before
    }

    private static func figures(_ nanoseconds: Double, _ events: Int) -> String {
        let each = nanoseconds / Double(events)
        return "\(rounded(each)) ns/event, \(rounded(1000 / each)) M events/s"
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}

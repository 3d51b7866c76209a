import Compression
import Decoding
import SessionLog
import TraceDat
import TraceModel
import Wire

/// One source on its way into a trace.dat file.
final class TraceDatSourceOutput {
    let facts: SourceFacts
    /// The latest of each agent.
    var statistics: [SourceID: SourceStatistics] = [:]
    private(set) var notices: [String] = []
    private let formats: [FormatMessage]
    private var names: TaskNames
    private var writers: [Int: SubBufferWriter] = [:]
    private let subBufferBytes: Int
    private let spool: OutputFile
    /// Pieces of the spool, in the order in which they belong to a CPU's data.
    private var pieces: [Int: [(place: UInt64, bytes: Int)]] = [:]
    private var output: [UInt8] = []
    /// How each guest CPU's clock lay to the host's, along the session.
    private var samples: [Int: [(ticks: TraceTicks, time: HostTime)]] = [:]
    private var lastSeen: [Int: (ticks: TraceTicks, time: HostTime)] = [:]
    private var kvm: [Int: [KVMClock.VCPU]] = [:]
    private var given: [GivenClock] = []
    /// Of each CPU, where events are put on the host's clock.
    private var latestTicks: [Int: UInt64] = [:]
    /// zstd
    private var symbols: [UInt8] = []

    /// trace-cmd interpolates in 64 bits: ticks between two samples times the difference of their offsets, which for a
    /// cycle counter beside nanoseconds is as large. A quarter of a second leaves a factor of ten.
    private static let sampleNanoseconds: Int64 = 250_000_000

    init(
        _ facts: SourceFacts, _ formats: [FormatMessage], _ names: TaskNamesMessage, spool path: String
    ) throws(TraceDatError) {
        self.facts = facts
        self.formats = formats
        self.names = TaskNames(names, formats, byteOrder: facts.prepared.byteOrder)
        subBufferBytes = max(4096, facts.prepared.subBufferBytes)
        spool = try OutputFile(creating: path, isTemporary: true)
    }

    var clockName: String { facts.prepared.clock.rawValue }

    var cpuCount: Int {
        max(facts.prepared.cpus.count, (writers.keys.max() ?? -1) + 1, (facts.prepared.cpus.max() ?? -1) + 1)
    }

    /// `per_cpu/cpuN/stats` as far as the session has it: trace-cmd prints it with `report --stat`.
    var cpuStatistics: [String] {
        let all = statistics.values.flatMap(\.cpus)
        return Set(all.map(\.cpu)).sorted().map { cpu in
            let own = all.filter { $0.cpu == cpu }
            let overrun = own.reduce(0) { $0 &+ $1.overrun }
            let read = own.reduce(0) { $0 &+ $1.read }
            return
                "CPU: \(cpu)\nentries: 0\noverrun: \(overrun)\ncommit overrun: 0\ndropped events: 0\nread events: \(read)\n"
        }
    }

    func addNames(_ names: TaskNamesMessage) { self.names.add(names) }

    /// The batch's events at these readings of the host's clock, which never go back.
    func append(_ batch: EventBatch, at ticks: [UInt64]) throws(TraceDatError) {
        var batch = batch
        for (index, ticks) in zip(batch.headers.indices, ticks) {
            let ticks = max(ticks, latestTicks[batch.cpu] ?? 0)
            latestTicks[batch.cpu] = ticks
            batch.headers[index].ticks = TraceTicks(ticks)
        }
        try append(batch)
    }

    func append(_ batch: EventBatch) throws(TraceDatError) {
        names.learn(from: batch)
        var writer =
            writers.removeValue(forKey: batch.cpu)
            ?? SubBufferWriter(
                subBufferBytes: subBufferBytes, longSize: facts.prepared.longSize, byteOrder: facts.prepared.byteOrder)
        writer.append(batch, to: &output)
        writers[batch.cpu] = writer
        try flush(batch.cpu)
    }

    private func flush(_ cpu: Int) throws(TraceDatError) {
        guard !output.isEmpty else { return }
        pieces[cpu, default: []].append((spool.bytesWritten, output.count))
        try spool.write(output)
        output.removeAll(keepingCapacity: true)
    }

    // MARK: Clock

    func learn(_ facts: ClockFacts) {
        switch facts {
        case .kvm(let clock): for vcpu in clock.vcpus { kvm[vcpu.vcpu, default: []].append(vcpu) }
        case .given(let clock):
            given.removeAll { $0.cpu == clock.cpu }
            given.append(clock)
        case .scale, .partialEntries: break
        }
    }

    /// Keeps where the batch's ends lie on the host's time line: the first at once, others now and then.
    func sampleClock(of batch: EventBatch, _ place: (TraceTicks) -> HostTime?) {
        for header in [batch.headers.first, batch.headers.last] {
            guard let header, let time = place(header.ticks) else { continue }
            let last = samples[batch.cpu]?.last
            if let last, header.ticks <= last.ticks || time <= last.time { continue }
            lastSeen[batch.cpu] = (header.ticks, time)
            if let last, time - last.time < Self.sampleNanoseconds { continue }
            samples[batch.cpu, default: []].append((header.ticks, time))
        }
    }

    /// KVM's own numbers where both sides count the same cycles and nothing is scaled: exact, and what trace-cmd's own kvm
    /// plugin leaves. Otherwise the sampled line, between whose points trace-cmd interpolates. (It cannot be given a
    /// scaling: it would apply it in the wrong direction.)
    func timeShift(
        peer: UInt64, hostTicks: (HostTime) -> Int64, isHostTSC: Bool
    ) -> TraceDatOptions.TimeShift? {
        let cpus = samples.keys.max().map { 0...$0 } ?? 0...0
        guard !samples.isEmpty else { return nil }
        let isExact =
            isHostTSC && facts.prepared.clock == .x86TSC
            && cpus.allSatisfy {
                kvm[$0]?.count == 1 && kvm[$0]?[0].ratio == UInt64(1) << UInt64(kvm[$0]?[0].fractionBits ?? 0)
            }
        var shift = TraceDatOptions.TimeShift(peerTraceID: peer, isInterpolated: !isExact, cpus: [])
        // A CPU without events needs no line, but a place in the list, and trace-cmd wants a sample in each.
        let fallback = samples.min { $0.key < $1.key }?.value ?? []
        for cpu in cpus {
            if isExact {
                let offset = 0 &- (kvm[cpu]?[0].offset ?? 0)
                shift.cpus.append([TraceDatOptions.ClockSample(ticks: 1, offset: offset)])
                continue
            }
            var points = samples[cpu] ?? fallback
            if let last = lastSeen[cpu], last.ticks > points.last?.ticks ?? last.ticks { points.append(last) }
            // A line that came with the session goes on as it came: sampling would round it.
            if let line = given.first(where: { $0.cpu == cpu }) ?? given.first(where: { $0.cpu == nil }),
                line.knots.count > 1
            {
                points = line.knots.map { ($0.ticks, $0.host) }
            }
            shift.cpus.append(
                points.map {
                    TraceDatOptions.ClockSample(
                        ticks: $0.ticks.rawValue, offset: hostTicks($0.time) &- Int64(bitPattern: $0.ticks.rawValue))
                })
        }
        return shift
    }

    /// Of events that have the host's time.
    func identity(peer: UInt64) -> TraceDatOptions.TimeShift {
        let none = [TraceDatOptions.ClockSample(ticks: 1, offset: 0)]
        return TraceDatOptions.TimeShift(
            peerTraceID: peer, isInterpolated: false, cpus: Array(repeating: none, count: cpuCount))
    }

    // MARK: Symbols

    func addSymbols(_ part: [UInt8]) {
        if symbols.count + part.count <= Limits.traceDatSectionBytes { symbols += part }
    }

    /// Whoever recorded them may not have looked at them.
    private func plainSymbols() -> [UInt8] {
        guard !symbols.isEmpty, let codec = Codec(.zstd) else { return [] }
        do throws(CompressionError) {
            let block = symbols
            let plain = try codec.decompress(block.span.bytes, maximumBytes: Limits.traceDatSectionBytes)
            let length = UInt32(clamping: plain.count - 4)
            let head = plain.prefix(4)
            // The text itself begins with sixteen digits, which would be a length of gigabytes.
            let isLengthFirst = [length.littleEndian, length.bigEndian].contains { word in
                withUnsafeBytes(of: word) { head.elementsEqual($0) }
            }
            return isLengthFirst ? Array(plain.dropFirst(4)) : plain
        } catch {
            notices.append("\(facts.name): its kernel's symbols were left out: \(error)")
            return []
        }
    }

    // MARK: Writing

    /// Puts the spooled sub-buffers of each CPU behind the head; the spool goes away.
    func write(to path: String, _ options: TraceDatOptions) throws(TraceDatError) {
        var refused: UInt64 = 0
        for cpu in writers.keys.sorted() {
            writers[cpu]?.finish(to: &output)
            refused += writers[cpu]?.refused ?? 0
            try flush(cpu)
        }
        if refused > 0 {
            notices.append("\(facts.name): \(refused) events are longer than a sub-buffer and were left out")
        }
        var head = TraceDatHead(
            byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize, subBufferBytes: subBufferBytes)
        head.headerPage = facts.prepared.headerPage
        head.headerEvent = facts.prepared.headerEvent
        head.formats = formats.map { ($0.system, $0.text) }
        head.tasks = names.all
        head.symbols = plainSymbols()
        head.options = options
        let cpus = pieces.keys.sorted()
        let file = try OutputFile(creating: path)
        try file.write(
            head.bytes(cpus: cpus.map { cpu in (cpu, pieces[cpu, default: []].reduce(0) { $0 + $1.bytes }) }))
        for cpu in cpus {
            for piece in pieces[cpu] ?? [] { try file.copy(piece.bytes, from: spool, at: piece.place) }
        }
        try file.finish()
    }
}

/// Names of a source's threads: those known at its opening, and those that switches tell.
private struct TaskNames {
    private var names: [Int32: String] = [:]
    /// `sched:sched_switch`: the kernel's number for it, who comes, and its name.
    private var comer: (kernelID: UInt16, tid: IntegerField, comm: CommField)?
    private let order: ByteOrder
    private var last: [Int32: Comm] = [:]

    init(_ message: TaskNamesMessage, _ formats: [FormatMessage], byteOrder: ByteOrder) {
        order = byteOrder
        add(message)
        for message in formats where message.system == "sched" && message.text.contains("sched_switch") {
            guard let format = try? EventFormatParser.parse(message.text, system: message.system),
                format.name == "sched_switch",
                let tid = IntegerField("next_pid", of: format, byteOrder: byteOrder),
                let comm = CommField("next_comm", of: format)
            else { continue }
            comer = (format.kernelID, tid, comm)
        }
    }

    mutating func add(_ message: TaskNamesMessage) {
        for task in message.tasks { names[task.tid] = task.comm }
    }

    mutating func learn(from batch: EventBatch) {
        guard let comer else { return }
        let records = batch.records.span.bytes
        for header in batch.headers {
            let raw = unsafe records.unsafeLoadUnaligned(fromByteOffset: Int(header.offset), as: UInt16.self)
            guard (order == .native ? raw : raw.byteSwapped) == comer.kernelID,
                let tid = comer.tid.value(in: records, of: header).map({ Int32(truncatingIfNeeded: $0) }), tid != 0,
                let comm = comer.comm.value(in: records, of: header), last[tid] != comm
            else { continue }
            if last.count < Limits.taskNames { last[tid] = comm }
            names[tid] = comm.text
        }
    }

    var all: [TraceDatFile.Task] {
        names.sorted { $0.key < $1.key }.map { TraceDatFile.Task(tid: $0.key, comm: $0.value) }
    }
}

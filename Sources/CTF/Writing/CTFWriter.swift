import CBabeltrace2
import Glibc
package import TraceModel

/// Writes an export: one CTF 1.8 trace for each machine, in directories of one directory, through `sink.ctf.fs`.
///
/// All times are host time, so that the traces line up as they are: guests' clocks were put on the host's already, and
/// each trace says so. What a trace says of itself is written by the library when everything else is, so an export that
/// was cut short cannot be read. Belongs to one thread.
package final class CTFWriter {
    private var machines: [MachineWriter] = []
    package private(set) var eventsWritten: UInt64 = 0

    /// Makes the directory, which must be new or empty.
    package init(directory: String, machines: [ExportedMachine], clock: ExportedClock) throws(CTFError) {
        guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
            throw CTFError("creating '\(directory)' failed: \(String(cString: strerror(errno)))")
        }
        guard CTFWriter.isEmpty(directory) else {
            throw CTFError("'\(directory)' is not an empty directory; give another -o")
        }
        let plugin = try CTFPlugin.loaded()
        for machine in machines {
            self.machines.append(
                try MachineWriter(machine, clock: clock, path: "\(directory)/\(machine.name)", plugin))
        }
    }

    private static func isEmpty(_ path: String) -> Bool { TraceDirectories.names(in: path)?.isEmpty ?? false }

    /// Takes an export back: the traces in the directory, and the directory.
    package static func discard(_ directory: String) {
        for trace in TraceDirectories.names(in: directory) ?? [] {
            for file in TraceDirectories.names(in: "\(directory)/\(trace)") ?? [] {
                unlink("\(directory)/\(trace)/\(file)")
            }
            rmdir("\(directory)/\(trace)")
        }
        rmdir(directory)
    }

    /// Events `range` of the batch, with the loss marks that belong to them, in host time.
    package func append(
        _ batch: EventBatch, times: [HostTime], range: Range<Int>, boundNanoseconds: Int64, machine: Int
    ) throws(CTFError) {
        try machines[machine].append(batch, times: times, range: range, boundNanoseconds: boundNanoseconds)
        eventsWritten &+= UInt64(range.count)
    }

    /// Steal time that a guest was told of, since its boot; samples of a guest come in the order of time.
    package func sample(_ cpus: [StealSample.CPU], at time: HostTime, machine: Int) {
        for cpu in cpus { machines[machine].hold(cpu, at: time) }
    }

    /// Everything is written, the metadata last.
    package func finish() throws(CTFError) {
        for machine in machines { try machine.finish() }
        machines = []
    }
}

/// One machine's trace: its packets being filled, and the graph that writes them.
private final class MachineWriter {
    private let source: MachineSource
    private let graph: Graph
    private let name: String
    private var open: [Int: PacketBuffer] = [:]
    /// By CPU: samples are of a time to which its events have yet to come.
    private var samples: [Int: [StealRecord]] = [:]
    private let stealType: Int?

    init(
        _ machine: ExportedMachine, clock: ExportedClock, path: String, _ plugin: CTFPlugin
    ) throws(CTFError) {
        name = path
        var machine = machine
        stealType = machine.isHost ? nil : machine.formats.append(CTFMark.stealFormat(machine.formats))
        source = MachineSource(machine: machine, clock: clock)
        graph = try Graph()
        try Library.alone { () throws(CTFError) in try connect(try plugin.sink("fs"), path) }
    }

    private func connect(_ sinkClass: OpaquePointer, _ path: String) throws(CTFError) {
        let what = "writing the CTF trace '\(path)'"
        let sourceClass = try MachineSource.makeClass()
        defer { bt_component_class_source_put_ref(sourceClass) }
        var component: OpaquePointer?
        let added = bt_graph_add_source_component_with_initialize_method_data(
            graph.pointer, sourceClass, "tandem", nil, Unmanaged.passUnretained(source).toOpaque(),
            BT_LOGGING_LEVEL_NONE, &component)
        guard added == BT_GRAPH_ADD_COMPONENT_STATUS_OK, let component else {
            let library = CTFError.library(what)
            throw source.problem ?? library
        }
        let parameters = try Value.parameters([("path", path)])
        try parameters.insert("assume-single-trace", bool: true)
        try parameters.insert("quiet", bool: true)
        var sink: OpaquePointer?
        guard
            bt_graph_add_sink_component(
                graph.pointer, sinkClass, "trace", parameters.pointer, BT_LOGGING_LEVEL_NONE, &sink)
                == BT_GRAPH_ADD_COMPONENT_STATUS_OK, let sink,
            let output = bt_component_source_borrow_output_port_by_index_const(component, 0),
            let input = bt_component_sink_borrow_input_port_by_index_const(sink, 0),
            bt_graph_connect_ports(graph.pointer, output, input, nil) == BT_GRAPH_CONNECT_PORTS_STATUS_OK
        else { throw .library(what) }
    }

    func append(
        _ batch: EventBatch, times: [HostTime], range: Range<Int>, boundNanoseconds: Int64
    ) throws(CTFError) {
        var packet = open[batch.cpu] ?? PacketBuffer(cpu: batch.cpu)
        open[batch.cpu] = nil
        var nextLoss = batch.losses.partitionPoint { $0.index < range.lowerBound }
        var index = range.lowerBound
        while index < range.upperBound {
            while nextLoss < batch.losses.count, batch.losses[nextLoss].index <= index {
                try lose(batch.losses[nextLoss].count, &packet)
                nextLoss += 1
            }
            let nextGap = nextLoss < batch.losses.count ? batch.losses[nextLoss].index : range.upperBound
            // A packet has one bound for all of its events.
            if packet.boundNanoseconds != boundNanoseconds, !packet.times.isEmpty { try write(&packet) }
            packet.boundNanoseconds = boundNanoseconds
            let nextSample = takeSamples(before: times, index..<range.upperBound, into: &packet)
            let end = min(range.upperBound, nextGap, nextSample, index + packet.room)
            packet.append(index..<end, of: batch, at: times)
            if packet.isFull { try write(&packet) }
            index = end
        }
        // Those behind the last event belong to the run that ends the batch.
        if range.upperBound == batch.headers.count {
            while nextLoss < batch.losses.count {
                try lose(batch.losses[nextLoss].count, &packet)
                nextLoss += 1
            }
        }
        open[batch.cpu] = packet
    }

    func hold(_ sample: StealSample.CPU, at time: HostTime) {
        guard let stealType else { return }
        samples[sample.cpu, default: []].append(
            StealRecord(typeIndex: stealType, time: time, nanoseconds: sample.nanoseconds, order: source.byteOrder))
    }

    /// The samples that are due at the first of these events; returns the first event at which another one is.
    private func takeSamples(before times: [HostTime], _ range: Range<Int>, into packet: inout PacketBuffer) -> Int {
        while let sample = samples[packet.cpu]?.first, !packet.isFull {
            guard sample.time <= times[range.lowerBound] else {
                return range.first { times[$0] >= sample.time } ?? range.upperBound
            }
            packet.append(sample)
            samples[packet.cpu]?.removeFirst()
        }
        return range.upperBound
    }

    /// The present packet ends before the loss. A loss of unknown size counts as one event: at least that.
    private func lose(_ count: UInt64?, _ packet: inout PacketBuffer) throws(CTFError) {
        if !packet.times.isEmpty { try write(&packet) }
        packet.lost = (packet.lost ?? 0) &+ (count ?? 1)
    }

    private func write(_ packet: inout PacketBuffer) throws(CTFError) {
        source.push(packet)
        packet = PacketBuffer(cpu: packet.cpu)
        while !source.isIdle { try run() }
    }

    private func run() throws(CTFError) {
        let status = bt_graph_run_once(graph.pointer)
        switch status {
        case BT_GRAPH_RUN_ONCE_STATUS_OK, BT_GRAPH_RUN_ONCE_STATUS_AGAIN, BT_GRAPH_RUN_ONCE_STATUS_END: return
        default:
            let library = CTFError.library("writing the CTF trace '\(name)'")
            throw source.problem ?? library
        }
    }

    func finish() throws(CTFError) {
        for cpu in Set(open.keys).union(samples.keys).sorted() {
            var packet = open[cpu] ?? PacketBuffer(cpu: cpu)
            for sample in samples[cpu] ?? [] {
                if packet.isFull { try write(&packet) }
                packet.append(sample)
            }
            guard !packet.times.isEmpty || packet.lost != nil else { continue }
            try write(&packet)
        }
        (open, samples) = ([:], [:])
        source.end()
        while true {
            let status = bt_graph_run_once(graph.pointer)
            if status == BT_GRAPH_RUN_ONCE_STATUS_END { return }
            guard status == BT_GRAPH_RUN_ONCE_STATUS_OK else {
                let library = CTFError.library("finishing the CTF trace '\(name)'")
                throw source.problem ?? library
            }
        }
    }
}

extension Array where Element == LossMark {
    fileprivate func partitionPoint(_ isBefore: (LossMark) -> Bool) -> Int {
        firstIndex { !isBefore($0) } ?? count
    }
}

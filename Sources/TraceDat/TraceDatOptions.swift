import TraceModel

/// What the options of a trace.dat file say: who recorded what, when, by which clock, together with whom.
///
/// Source: trace-cmd.dat.v7(5); which file holds which option was seen in files of `trace-cmd record -A`.
package struct TraceDatOptions: Hashable, Sendable {
    /// One vCPU of a guest, and the host thread that is it.
    package struct GuestCPU: Hashable, Sendable {
        package var vcpu: Int
        /// -1 when trace-cmd did not find the thread.
        package var tid: Int32

        package init(vcpu: Int, tid: Int32) {
            self.vcpu = vcpu
            self.tid = tid
        }
    }

    /// In the host's file: a guest that was traced in the same session.
    package struct Guest: Hashable, Sendable {
        package var name: String
        package var traceID: UInt64
        package var cpus: [GuestCPU]

        package init(name: String, traceID: UInt64, cpus: [GuestCPU]) {
            self.name = name
            self.traceID = traceID
            self.cpus = cpus
        }
    }

    /// One measurement of a guest CPU's clock against the host's.
    package struct ClockSample: Hashable, Sendable {
        /// On the guest's clock.
        package var ticks: UInt64
        package var offset: Int64
        /// KVM's TSC scaling ratio, with `fraction` bits behind the point; 1 and 0 when the clocks run alike.
        package var scaling: Int64
        package var fraction: Int64

        package init(ticks: UInt64, offset: Int64, scaling: Int64 = 1, fraction: Int64 = 0) {
            self.ticks = ticks
            self.offset = offset
            self.scaling = scaling
            self.fraction = fraction
        }
    }

    /// In a guest's file: how its clocks relate to the host's.
    package struct TimeShift: Hashable, Sendable {
        package var peerTraceID: UInt64
        /// The offset changes between two measurements as on a line (ptp); otherwise it holds until the next (kvm).
        package var isInterpolated: Bool
        /// By guest CPU, ascending in time.
        package var cpus: [[ClockSample]]

        package init(peerTraceID: UInt64, isInterpolated: Bool, cpus: [[ClockSample]]) {
            self.peerTraceID = peerTraceID
            self.isInterpolated = isInterpolated
            self.cpus = cpus
        }
    }

    /// `nanoseconds = ticks × multiplier >> shift`: perf's conversion of TSC cycles (perf_event_mmap_page).
    ///
    /// The option's third number, an offset, is always 0 since trace-cmd 3.0 and ignored by its report.
    package struct TicksToNanoseconds: Hashable, Sendable {
        package var multiplier: UInt32
        package var shift: UInt32

        package init(multiplier: UInt32, shift: UInt32) {
            self.multiplier = multiplier
            self.shift = shift
        }
    }

    package var traceID: UInt64?
    /// The clock in use: the bracketed one of tracefs' `trace_clock`.
    package var clock: String?
    package var uname: String?
    /// The version of the recording trace-cmd.
    package var version: String?
    package var cpuCount: Int?
    /// `per_cpu/cpuN/stats` at the end, as text. A guest's file has none.
    package var cpuStatistics: [String] = []
    package var guests: [Guest] = []
    package var timeShift: TimeShift?
    package var ticksToNanoseconds: TicksToNanoseconds?
    /// `record --date`: microseconds from the trace clock to the Unix epoch.
    package var dateMicroseconds: Int64?
    /// `record --ts-offset`: nanoseconds to be added to each time.
    package var offsetNanoseconds: Int64?

    package init() {}
}

extension TraceDatOptions {
    /// Numbers of the options (trace-cmd.dat.v7(5)).
    enum Code: UInt16 {
        case done = 0
        case date = 1
        case cpuStatistics = 2
        case buffer = 3
        case traceClock = 4
        case uname = 5
        case offset = 7
        case cpuCount = 8
        case version = 9
        case traceID = 11
        case timeShift = 12
        case guest = 13
        case ticksToNanoseconds = 14
        case headerInfo = 16
        case ftraceEvents = 17
        case eventFormats = 18
        case kallsyms = 19
        case printk = 20
        case commandLines = 21
        case latencyText = 22
    }

    /// Takes in one option. Those that point to sections are the file's matter, not ours.
    mutating func read(_ code: Code, _ bytes: RawSpan, order: ByteOrder) throws(TraceDatError) {
        var cursor = ByteCursor(bytes, order: order)
        func text() throws(TraceDatError) -> String {
            try cursor.text(bytes, cursor.remaining, "the option \(code)")
        }
        switch code {
        case .date: dateMicroseconds = Self.integer(try text())
        case .offset: offsetNanoseconds = Self.integer(try text())
        case .cpuStatistics: if cpuStatistics.count < Limits.cpus { cpuStatistics.append(try text()) }
        case .traceClock: clock = Self.clockInUse(try text())
        case .uname: uname = try text()
        case .version: version = try text()
        case .cpuCount: cpuCount = Int(try cursor.word32(bytes, "the number of CPUs"))
        case .traceID: traceID = try cursor.word64(bytes, "the trace id")
        case .timeShift: timeShift = try Self.timeShift(bytes, &cursor)
        case .guest:
            guard guests.count < Limits.traceDatGuests else {
                throw TraceDatError("the guests of the session", "there are more than \(Limits.traceDatGuests)")
            }
            guests.append(try Self.guest(bytes, &cursor))
        case .ticksToNanoseconds:
            let multiplier = try cursor.word32(bytes, "the clock's multiplier")
            let shift = try cursor.word32(bytes, "the clock's shift")
            ticksToNanoseconds = TicksToNanoseconds(multiplier: multiplier, shift: shift)
        case .done, .buffer, .headerInfo, .ftraceEvents, .eventFormats, .kallsyms, .printk, .commandLines, .latencyText:
            break
        }
    }

    private static func guest(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(TraceDatError) -> Guest {
        let name = try cursor.terminatedText(bytes, "a guest's name")
        let traceID = try cursor.word64(bytes, "a guest's trace id")
        let count = try cursor.count(bytes, unit: 8, "a guest's number of CPUs")
        var cpus: [GuestCPU] = []
        for _ in 0..<count {
            let vcpu = Int(try cursor.word32(bytes, "a guest's CPU"))
            cpus.append(GuestCPU(vcpu: vcpu, tid: Int32(bitPattern: try cursor.word32(bytes, "a vCPU's thread"))))
        }
        return Guest(name: name, traceID: traceID, cpus: cpus)
    }

    private static func timeShift(_ bytes: RawSpan, _ cursor: inout ByteCursor) throws(TraceDatError) -> TimeShift {
        let peer = try cursor.word64(bytes, "the host's trace id")
        let flags = try cursor.word32(bytes, "the flags of the clock measurements")
        let count = try cursor.count(bytes, unit: 4, "the number of CPUs with clock measurements")
        var cpus: [[ClockSample]] = []
        for _ in 0..<count {
            let samples = try cursor.count(bytes, unit: 24, "a CPU's number of clock measurements")
            let columns = try (
                cursor.range(samples * 8, "times"), cursor.range(samples * 8, "offsets"),
                cursor.range(samples * 8, "ratios")
            )
            var times = ByteCursor(bytes, from: columns.0.lowerBound, order: cursor.order)
            var offsets = ByteCursor(bytes, from: columns.1.lowerBound, order: cursor.order)
            var ratios = ByteCursor(bytes, from: columns.2.lowerBound, order: cursor.order)
            var list: [ClockSample] = []
            for _ in 0..<samples {
                list.append(
                    ClockSample(
                        ticks: try times.word64(bytes, "the time of a clock measurement"),
                        offset: Int64(bitPattern: try offsets.word64(bytes, "a clock's offset")),
                        scaling: Int64(bitPattern: try ratios.word64(bytes, "a clock's ratio"))))
            }
            cpus.append(list)
        }
        // Files of older versions end here.
        if cursor.remaining > 0 {
            for cpu in cpus.indices {
                for sample in cpus[cpu].indices where cursor.remaining >= 8 {
                    cpus[cpu][sample].fraction = Int64(bitPattern: try cursor.word64(bytes, "a ratio's fraction"))
                }
            }
        }
        for cpu in cpus.indices { cpus[cpu].sort { $0.ticks < $1.ticks } }
        return TimeShift(peerTraceID: peer, isInterpolated: flags & 1 != 0, cpus: cpus)
    }

    /// The word in brackets: `local [mono] boot`. Without any, the text is the clock's name itself.
    static func clockInUse(_ text: String) -> String? {
        guard let open = text.firstIndex(of: "[") else {
            let words = text.split { $0 == " " || $0 == "\n" }
            return words.count == 1 ? String(words[0]) : nil
        }
        return String(text[text.index(after: open)...].prefix { $0 != "]" })
    }

    /// A number as strtoll(3) with base 0 takes it: `-12`, `0x1f`.
    private static func integer(_ text: String) -> Int64? {
        let words = text.split { $0 == " " || $0 == "\n" || $0 == "\t" }
        guard let word = words.first else { return nil }
        let isNegative = word.hasPrefix("-")
        let digits = word.drop { $0 == "-" || $0 == "+" }
        let magnitude = digits.hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits)
        guard let magnitude else { return nil }
        let value = Int64(bitPattern: magnitude)
        return isNegative ? 0 &- value : value
    }
}

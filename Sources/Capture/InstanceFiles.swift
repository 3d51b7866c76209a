import Glibc
package import TraceModel

/// The control files of one trace instance, each written and, where the kernel may do otherwise than asked, read back.
///
/// A value over a directory, so that every way in which a kernel lacks or refuses a file can be tried on a folder of
/// plain files. Whose life the instance has is `TraceInstance`'s business. Facts: Documentation/trace/ftrace.rst.
package struct InstanceFiles: Hashable, Sendable {
    /// The instance's directory, without a slash at its end.
    package let path: String

    package init(path: String) { self.path = path }

    /// Chooses the clock that stamps events. The kernel empties the buffers when it changes, so this comes first.
    package func setClock(_ clock: TraceClock) throws(CaptureError) {
        let clocks = TraceClockList(parsing: try read("trace_clock", .setClock))
        guard clocks.available.contains(clock.rawValue) else {
            let list = clocks.available.joined(separator: ", ")
            throw CaptureError(
                .setClock, file("trace_clock"),
                .unsuitable("this kernel has no clock '\(clock.rawValue)' for traces; it has \(list)"))
        }
        try write(clock.rawValue, to: "trace_clock", .setClock)
    }

    /// Sizes the buffers and says what came of it.
    ///
    /// Sub-buffers larger than a page exist since Linux 6.8 and need memory in one piece: where there is none (ENOMEM)
    /// half as much is tried, down to what the kernel has by itself. The whole buffer comes second, because its size is
    /// rounded to whole sub-buffers.
    package func setBuffer(kibibytesPerCPU: Int, subBufferKibibytes: Int) throws(CaptureError) -> BufferGeometry {
        var wanted = subBufferKibibytes
        while has("buffer_subbuf_size_kb") {
            do throws(CaptureError) {
                try write("\(wanted)", to: "buffer_subbuf_size_kb", .setBuffer)
                break
            } catch {
                guard case .system(ENOMEM, _) = error.cause, wanted > 1 else { throw error }
                wanted /= 2
            }
        }
        try write("\(kibibytesPerCPU)", to: "buffer_size_kb", .setBuffer)
        let size = try read("buffer_size_kb", .setBuffer)
        let header = HeaderPage(parsing: try read("events/header_page", .setBuffer))
        guard let header else {
            throw CaptureError(.setBuffer, file("events/header_page"), .unsuitable("it does not say where data begins"))
        }
        return BufferGeometry(
            subBufferBytes: header.subBufferBytes,
            // "1408", or a word when CPUs differ, which they do not in an instance of our own.
            kibibytesPerCPU: Int(size.prefix { $0.isNumber }) ?? kibibytesPerCPU)
    }

    /// What a reader on a short tick needs: the newest events stay when the buffer is full, so that the gap is counted as
    /// overrun, and a reader that waits wakes on any event instead of a half-full buffer (`buffer_percent`, Linux 5.0).
    ///
    /// Set and not taken for granted: a new instance inherits the top level's options (kernel/trace/trace.c,
    /// trace_array_create), which another tool may have changed.
    package func setReadingStyle() throws(CaptureError) {
        try write("1", to: "options/overwrite", .configure)
        if has("buffer_percent") { try write("0", to: "buffer_percent", .configure) }
    }

    package func setTracing(on isOn: Bool) throws(CaptureError) {
        try write(isOn ? "1" : "0", to: "tracing_on", .start)
    }

    /// Sets the filter, then enables the event, so that nothing unfiltered gets in between.
    package func enable(_ selected: SelectedEvent) throws(CaptureError) {
        let directory = "events/\(selected.event.system)/\(selected.event.name)"
        if let filter = selected.filter {
            do throws(Errno) {
                try KernelFile.write(filter, to: file("\(directory)/filter"))
            } catch {
                // After a filter was refused its file says why, in three lines: the filter, a caret, the words.
                let answer = (try? KernelFile.read(file("\(directory)/filter"))) ?? ""
                let detail = FilterAnswer.message(parsing: answer) ?? "'\(filter)'"
                throw CaptureError(.filter, file("\(directory)/filter"), error, detail: detail)
            }
        }
        try write("1", to: "\(directory)/enable", .enable)
    }

    package func disableEvents() throws(CaptureError) { try write("0", to: "events/enable", .enable) }

    /// The event's `format` file as it is.
    package func formatText(of event: EventName) throws(CaptureError) -> String {
        try read("events/\(event.system)/\(event.name)/format", .readFormat)
    }

    /// The CPUs that have a buffer: every possible one, which can be many more than there are.
    package func cpus() throws(CaptureError) -> [Int] {
        do {
            let names = try KernelFile.names(in: file("per_cpu"))
            return names.compactMap { $0.hasPrefix("cpu") ? Int($0.dropFirst(3)) : nil }.sorted()
        } catch {
            throw CaptureError(.open, file("per_cpu"), error)
        }
    }

    package func statistics(cpu: Int) throws(CaptureError) -> RingBufferStatistics {
        let name = "per_cpu/cpu\(cpu)/stats"
        guard let statistics = RingBufferStatistics(parsing: try read(name, .readStatistics)) else {
            throw CaptureError(.readStatistics, file(name), .unsuitable("a counter is missing"))
        }
        return statistics
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    private func has(_ name: String) -> Bool { KernelFile.exists(file(name)) }

    private func read(_ name: String, _ operation: CaptureError.Operation) throws(CaptureError) -> String {
        do {
            return try KernelFile.read(file(name))
        } catch {
            throw CaptureError(operation, file(name), error)
        }
    }

    private func write(_ text: String, to name: String, _ operation: CaptureError.Operation) throws(CaptureError) {
        do {
            try KernelFile.write(text, to: file(name))
        } catch {
            throw CaptureError(operation, file(name), error)
        }
    }
}

/// What a trace instance's buffers became.
package struct BufferGeometry: Hashable, Sendable {
    /// What one read of a `SubBufferReader` gives.
    package var subBufferBytes: Int
    package var kibibytesPerCPU: Int

    package init(subBufferBytes: Int, kibibytesPerCPU: Int) {
        self.subBufferBytes = subBufferBytes
        self.kibibytesPerCPU = kibibytesPerCPU
    }
}

import RecordingSupport
import TraceDat
import TraceModel

/// A file of one event's format, made by our own writer, for what no recording at hand has.
enum SyntheticFile {
    static let format = """
        name: tick
        ID: 77
        format:
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
        \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

        \tfield:u32 number;\toffset:8;\tsize:4;\tsigned:0;

        print fmt: "%u", REC->number

        """

    /// `events` are the times of each CPU's events, which are numbered.
    static func bytes(
        order: ByteOrder = .little, longSize: Int = 8, events: [Int: [UInt64]],
        losses: [Int: [LossMark]] = [:], options: (inout TraceDatOptions) -> Void
    ) -> [UInt8] {
        var head = TraceDatHead(byteOrder: order, longSize: longSize, subBufferBytes: 4096)
        head.formats = [("test", format)]
        head.tasks = [TraceDatFile.Task(tid: 42, comm: "a task")]
        head.options.clock = "mono"
        head.options.cpuCount = (events.keys.max() ?? 0) + 1
        options(&head.options)
        var data: [(cpu: Int, bytes: [UInt8])] = []
        for (cpu, times) in events.sorted(by: { $0.key < $1.key }) {
            var batch = EventBatch(cpu: cpu)
            batch.losses = losses[cpu] ?? []
            for (number, ticks) in times.enumerated() {
                func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
                    withUnsafeBytes(of: order == .little ? value.littleEndian : value.bigEndian) { Array($0) }
                }
                batch.headers.append(
                    EventHeader(
                        ticks: TraceTicks(ticks), offset: UInt32(batch.records.count), length: 12, pid: 42,
                        typeIndex: 0, flags: 1, preemptCount: 2))
                batch.records += bytes(UInt16(77)) + [1, 2] + bytes(Int32(42)) + bytes(UInt32(number))
            }
            var writer = SubBufferWriter(subBufferBytes: 4096, longSize: longSize, byteOrder: order)
            var pages: [UInt8] = []
            writer.append(batch, to: &pages)
            writer.finish(to: &pages)
            data.append((cpu, pages))
        }
        return head.bytes(cpus: data.map { ($0.cpu, $0.bytes.count) }) + data.flatMap(\.bytes)
    }

    /// The same file with every section, and every CPU's data in chunks, compressed.
    static func compressed(
        _ plain: [UInt8], _ algorithm: String, _ compress: ([UInt8]) throws -> [UInt8]
    ) rethrows -> [UInt8] {
        func number(_ place: Int, _ size: Int) -> Int {
            plain[place..<place + size].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        func word(_ value: Int, _ size: Int) -> [UInt8] {
            (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        func block(_ body: [UInt8]) throws -> [UInt8] {
            let small = try compress(body)
            return word(small.count, 4) + word(body.count, 4) + small
        }
        var file = Array(plain[..<18]) + Array(algorithm.utf8) + [0, UInt8(ascii: "1"), 0]
        let optionsPlace = file.count
        file += word(0, 8)
        var moved: [Int: Int] = [:]
        let options = number(24, 8)
        var place = 32
        while place < options {
            let body = Array(plain[place + 16..<place + 16 + number(place + 8, 8)])
            moved[place] = file.count
            let packed = try block(body)
            file += Array(plain[place..<place + 2]) + word(1, 2) + word(-1, 4) + word(packed.count, 8) + packed
            place += 16 + body.count
        }
        let section = file.count
        file += [3, 0, 1, 0] + word(-1, 4) + word(0, 8)
        var body: [UInt8] = []
        place = options + 16
        while number(place, 2) != 0 {
            var data = Array(plain[place + 6..<place + 6 + number(place + 2, 4)])
            switch number(place, 2) {
            case 16...21: data = word(moved[number(place + 6, 8)] ?? 0, 8)
            case 3:
                var at = 8 + 2 + (data[9...].firstIndex(of: 0) ?? 9) - 9
                data.replaceSubrange(0..<8, with: word(section, 8))
                let count = number(place + 6 + at + 4, 4)
                at += 8
                for _ in 0..<count {
                    let (start, length) = (number(place + 6 + at + 4, 8), number(place + 6 + at + 12, 8))
                    let from = file.count
                    let chunks = stride(from: start, to: start + length, by: 4096 * 3).map {
                        Array(plain[$0..<min($0 + 4096 * 3, start + length)])
                    }
                    file += word(chunks.count, 4)
                    for chunk in chunks { file += try block(chunk) }
                    data.replaceSubrange(at + 4..<at + 20, with: word(from, 8) + word(file.count - from - 4, 8))
                    at += 20
                }
            default: break
            }
            body += Array(plain[place..<place + 2]) + word(data.count, 4) + data
            place += 6 + number(place + 2, 4)
        }
        file.replaceSubrange(section + 8..<section + 16, with: word(file.count - section - 16, 8))
        file.replaceSubrange(optionsPlace..<optionsPlace + 8, with: word(file.count, 8))
        body += word(0, 2) + word(8, 4) + word(0, 8)
        let packed = try block(body)
        return file + word(0, 2) + word(1, 2) + word(-1, 4) + word(packed.count, 8) + packed
    }
}

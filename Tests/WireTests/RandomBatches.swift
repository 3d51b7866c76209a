import TraceModel

/// Formats and batches as no kernel would make them, from a seed.
extension SeededRandom {
    /// Between none and `limit` fields of all kinds and widths, with holes, overlaps now and then, and shared names.
    mutating func format(_ number: Int, fields limit: Int) -> EventFormat {
        var fields: [EventField] = []
        var offset = 8
        for index in 0..<below(limit + 1) {
            if chance(20) { offset += below(9) }
            let name = pick([
                "pid", "comm", "prev_x", "next_x", "next_pid", "prev_pid", "guest_rip", "rip", "f\(index)",
            ])
            var size = pick([1, 2, 4, 8])
            var kind = EventField.Kind.integer
            switch below(10) {
            case 0:
                kind = .text
                size = 16
            case 1:
                kind = .bytes
                size = 1 + below(70)
            case 2:
                kind = pick([.dynamic, .relativeDynamic])
                size = 4
            default: break
            }
            fields.append(
                EventField(name: name, type: "u\(size)", offset: offset, size: size, isSigned: chance(50), kind: kind))
            // An overlap: the next field begins inside of this one.
            offset += chance(5) ? size / 2 : size
        }
        if chance(10) {
            fields.append(EventField(name: "buf", type: "u8", offset: offset, size: 0, isSigned: false, kind: .bytes))
        }
        if chance(20) { fields.shuffle(using: &self) }
        return EventFormat(kernelID: UInt16(number), system: "random", name: "event\(number)", fields: fields, text: "")
    }

    mutating func table(formats count: Int, fields limit: Int) -> FormatTable {
        var table = FormatTable(byteOrder: pick([.little, .big]), longSize: 8)
        for number in 0..<count { table.append(format(100 + number * 7, fields: limit)) }
        return table
    }

    /// Records of any length from the eight common bytes on; contents repeat, drift or are anything at all.
    mutating func batch(_ formats: FormatTable, events: Int) -> EventBatch {
        var batch = EventBatch(cpu: below(Limits.cpus))
        var ticks = chance(10) ? 0 : hostile() >> 8
        var lastBodies: [Int: [UInt8]] = [:]
        var pid = Int32(truncatingIfNeeded: next())
        for _ in 0..<events {
            if batch.records.count > Limits.batchRecordBytes - 4096 { break }
            let (sum, overflow) = ticks.addingReportingOverflow(chance(3) ? hostile() : UInt64(below(100_000)))
            if !overflow { ticks = sum }
            if chance(30) { pid = Int32(truncatingIfNeeded: hostile()) }
            let type = below(formats.formats.count)
            let usual = formats.formats[type].minimumLength - 8
            let length = chance(90) ? usual + below(2) * below(12) : below(usual + 40)
            var body = lastBodies[type] ?? []
            if body.count != length { body = bytes(length) }
            for _ in 0..<below(4) where !body.isEmpty {
                body[below(body.count)] = chance(50) ? UInt8(below(256)) : 0
            }
            if chance(5) { body = [UInt8](repeating: pick([0, 0xff]), count: length) }
            lastBodies[type] = body
            batch.append(
                formats, type: type, ticks: ticks, pid: pid, flags: UInt8(below(3)), preemptCount: UInt8(below(2)),
                body: body)
        }
        batch.losses = losses(before: batch.headers.count)
        return batch
    }

    mutating func losses(before count: Int) -> [LossMark] {
        (0..<below(6)).map { _ in chance(30) ? count : below(count + 1) }.sorted().map {
            LossMark(index: $0, place: pick(LossMark.Place.allCases), count: chance(60) ? hostile() : nil)
        }
    }
}

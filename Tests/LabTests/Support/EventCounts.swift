import Decoding
import SessionLog
import TraceModel
import Wire

/// How many events of each type ("system:name") each source of a recording has: all, or those that happened while a thread
/// with that number or a later one was current.
struct EventCounts {
    private(set) var bySource: [String: [String: Int]] = [:]

    private struct Source {
        var name: String
        var decoder: BatchDecoder
        var types: [String]
    }

    init(_ input: some SessionInput, from thread: Int32 = 0) throws {
        var sources: [SourceID: Source] = [:]
        while let next = try input.next() {
            switch next {
            case .record(.sourceOpened(let id, let facts, let texts, _)):
                let formats = try texts.map { try EventFormatParser.parse($0.text, system: $0.system) }
                let table = FormatTable(
                    byteOrder: facts.prepared.byteOrder, longSize: facts.prepared.longSize, formats: formats)
                sources[id] = Source(
                    name: facts.isHost ? "host" : facts.name, decoder: BatchDecoder(formats: table),
                    types: formats.map(\.fullName))
            case .record(.message(let id, .batch(let body))):
                guard var source = sources[id] else { continue }
                for event in try source.decoder.decode(body).headers where event.pid >= thread {
                    bySource[source.name, default: [:]][source.types[Int(event.typeIndex)], default: 0] += 1
                }
                sources[id] = source
            default: continue
            }
        }
    }
}

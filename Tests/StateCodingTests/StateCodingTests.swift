import StateCoding
import Testing

struct StateCodingTests {
    private enum Phase: UInt8, Codable { case live, gone }
    private enum Meaning: Codable, Equatable {
        case nothing
        case sleep(Int, until: String?)
        case list([Int32])
    }
    private struct Inner: Codable, Equatable {
        var number: Int32?
        var text = ""
        var last: Double?
    }
    private struct State: Codable, Equatable {
        var phase = Phase.gone
        var meanings: [Meaning] = []
        var table: [Int32: Inner] = [:]
        var optional: [Int64?] = []
        var set: Set<UInt16> = []
        var bytes: [UInt8] = []
        var times: [Int64] = []
        var counts: [UInt64] = []
        var range: ClosedRange<Double> = 0.5...1.5
        var nested: [[Inner]] = []
        var isSet = true
        var nothing: Inner?
        var word: UInt64 = .max
        var deep: Int?? = nil
    }

    private static let full = State(
        meanings: [.nothing, .sleep(-3, until: nil), .sleep(4, until: "ü\n"), .list([1, -1, .min])],
        table: [7: Inner(number: nil, text: "a"), -7: Inner(number: 3, text: "b", last: -0.25)],
        optional: [nil, .min, .max, 0], set: [1, 2, 65_535], bytes: [0, 255], times: [.min, 0, .max],
        counts: [.max, 0],
        nested: [[], [Inner(), Inner(text: "x")], []], isSet: false, nothing: Inner(), word: 0, deep: 5)

    private func check<Value: Codable & Equatable>(_ value: Value, sourceLocation: SourceLocation = #_sourceLocation)
        throws
    {
        let bytes = try StateEncoder.encode(value)
        #expect(try StateDecoder.decode(Value.self, from: bytes) == value, sourceLocation: sourceLocation)
    }

    @Test func `a state comes back as it was`() throws {
        try check(Self.full)
        try check(State())
        try check([Self.full, State(), Self.full])
        try check(5)
        try check([String?]([nil, "", "x"]))
    }

    @Test func `no prefix of a state is one, and none stops the program`() throws {
        let bytes = try StateEncoder.encode(Self.full)
        for count in bytes.indices {
            #expect(throws: (any Error).self) { try StateDecoder.decode(State.self, from: Array(bytes[..<count])) }
        }
        #expect(throws: (any Error).self) { try StateDecoder.decode(State.self, from: bytes + [0]) }
    }

    @Test func `no changed byte stops the program`() throws {
        let bytes = try StateEncoder.encode(Self.full)
        for place in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[place] ^= 1 << bit
                _ = try? StateDecoder.decode(State.self, from: damaged)
            }
        }
    }

    private struct Before: Codable { var a = 1, b = 2 }
    private struct Renamed: Codable { var a = 1, c = 2 }
    private struct Longer: Codable { var a = 1, b = 2, c = 3 }

    @Test func `a state of other fields is refused`() throws {
        let bytes = try StateEncoder.encode(Before())
        #expect(throws: (any Error).self) { try StateDecoder.decode(Renamed.self, from: bytes) }
        #expect(throws: (any Error).self) { try StateDecoder.decode(Longer.self, from: bytes) }
        let longer = try StateEncoder.encode(Longer())
        #expect(throws: (any Error).self) { try StateDecoder.decode(Before.self, from: longer) }
    }

    @Test func `a dictionary whose keys are texts is refused when it is written, not when it is needed`() {
        #expect(throws: StateError.self) { try StateEncoder.encode(["a": 1]) }
        #expect(throws: StateError.self) { try StateEncoder.encode([[3: 1]]) }
    }
}

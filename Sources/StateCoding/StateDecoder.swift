/// Reads what `StateEncoder` wrote. Bytes are checked: damaged ones are an error and stop nothing. What the *values* mean to
/// the type that they are given to is not known here.
package enum StateDecoder {
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        let source = StateSource(bytes)
        let value = try source.take(type)
        guard source.isAtEnd else { throw StateError(description: "the state goes on behind its end") }
        return value
    }
}

private final class StateSource {
    private let bytes: [UInt8]
    private var at = 0
    private var names: [String] = []
    /// The name that was read ahead and not yet asked for.
    private var waiting: (depth: Int, name: String)?
    private var depth = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { at == bytes.count }

    private func fail(_ problem: String) -> StateError {
        StateError(description: "\(problem) at byte \(at) of the state")
    }

    func take<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if type == [UInt8].self, let list = try takeBytes() as? Value { return list }
        if type == [Int64].self, let list = try takeList({ try $0.signed() }) as? Value { return list }
        if type == [UInt64].self, let list = try takeList({ try $0.varint() }) as? Value { return list }
        let outer = depth
        let value = try type.init(from: StateValueDecoder(source: self))
        try close(to: outer)
        return value
    }

    private func takeBytes() throws -> [UInt8] {
        let count = try self.count()
        defer { at += count }
        return Array(bytes[at..<at + count])
    }

    private func takeList<Element>(_ body: (StateSource) throws -> Element) throws -> [Element] {
        let count = try self.count()
        var list: [Element] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try body(self)) }
        return list
    }

    /// Of things that take at least one byte each.
    private func count() throws -> Int {
        let count = try varint()
        guard count <= UInt64(bytes.count - at) else { throw fail("a list of \(count) ends early") }
        return Int(count)
    }

    func begin() -> Int {
        depth += 1
        return depth
    }

    /// Every container within `depth` must have been read to its end: what was left in one is of another version.
    func close(to depth: Int) throws {
        while self.depth > depth {
            if let left = waiting, left.depth == self.depth { throw fail("the field '\(left.name)' is not known") }
            guard try byte() == 0 else { throw fail("something follows that is not known") }
            self.depth -= 1
        }
    }

    /// Whether a list goes on.
    func hasMore() throws -> Bool {
        guard at < bytes.count else { throw fail("the state ends early") }
        return bytes[at] != 0
    }

    /// The name of the next field of the container at `depth`; nil at its end.
    func nextName(depth: Int) throws -> String? {
        try close(to: depth)
        if waiting?.depth != depth {
            guard try hasMore() else { return nil }
            let number = try varint()
            if number == UInt64(names.count + 1) { names.append(try text()) }
            guard number > 0, number <= UInt64(names.count) else { throw fail("a field has no name") }
            waiting = (depth, names[Int(number) - 1])
        }
        return waiting?.name
    }

    func begin(_ name: String, depth: Int) throws {
        guard try nextName(depth: depth) == name else { throw fail("the field '\(name)' is missing") }
        waiting = nil
    }

    func byte() throws -> UInt8 {
        guard at < bytes.count else { throw fail("the state ends early") }
        defer { at += 1 }
        return bytes[at]
    }

    func varint() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let next = try byte()
            guard shift < 63 || next <= 1 else { break }
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 { return value }
        }
        throw fail("an integer is longer than 64 bits")
    }

    func signed() throws -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    func text() throws -> String {
        let count = try self.count()
        defer { at += count }
        return String(decoding: bytes[at..<at + count], as: UTF8.self)
    }

    func fixed(bytes count: Int) throws -> UInt64 {
        var value: UInt64 = 0
        for byte in 0..<count { value |= UInt64(try self.byte()) << UInt64(8 * byte) }
        return value
    }

    func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
        let value = Value.isSigned ? Value(exactly: try signed()) : Value(exactly: try varint())
        guard let value else { throw fail("an integer does not fit") }
        return value
    }
}

/// What a type's `init(from:)` is given.
private struct StateValueDecoder: Decoder {
    let source: StateSource
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(StateFields(source: source, depth: source.begin()))
    }

    func unkeyedContainer() -> any UnkeyedDecodingContainer { StateList(source: source, depth: source.begin()) }

    func singleValueContainer() -> any SingleValueDecodingContainer { StateOne(source: source) }
}

private struct StateFields<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let source: StateSource
    let depth: Int
    var codingPath: [any CodingKey] { [] }

    /// The next field only: an enumeration with values asks which of its cases is there.
    var allKeys: [Key] { nextName.flatMap { Key(stringValue: $0) }.map { [$0] } ?? [] }

    func contains(_ key: Key) -> Bool { nextName == key.stringValue }

    private var nextName: String? { (try? source.nextName(depth: depth)) ?? nil }

    func decodeNil(forKey key: Key) -> Bool { !contains(key) }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try source.begin(key.stringValue, depth: depth)
        return try source.take(type)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try source.begin(key.stringValue, depth: depth)
        return StateValueDecoder(source: source).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try source.begin(key.stringValue, depth: depth)
        return StateValueDecoder(source: source).unkeyedContainer()
    }

    func superDecoder() -> any Decoder { StateValueDecoder(source: source) }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        try source.begin(key.stringValue, depth: depth)
        return StateValueDecoder(source: source)
    }
}

private struct StateList: UnkeyedDecodingContainer {
    let source: StateSource
    let depth: Int
    private(set) var currentIndex = 0
    var codingPath: [any CodingKey] { [] }
    var count: Int? { nil }
    var isAtEnd: Bool { (try? source.hasMore()) != true }

    init(source: StateSource, depth: Int) {
        self.source = source
        self.depth = depth
    }

    private mutating func begin() throws {
        try source.close(to: depth)
        guard try source.byte() == 1 else { throw StateError(description: "a list of the state ends early") }
        currentIndex += 1
    }

    mutating func decodeNil() throws -> Bool { false }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try begin()
        return try source.take(type)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try begin()
        return StateValueDecoder(source: source).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try begin()
        return StateValueDecoder(source: source).unkeyedContainer()
    }

    mutating func superDecoder() throws -> any Decoder {
        try begin()
        return StateValueDecoder(source: source)
    }
}

private struct StateOne: SingleValueDecodingContainer {
    let source: StateSource
    var codingPath: [any CodingKey] { [] }

    func decodeNil() -> Bool {
        guard (try? source.hasMore()) == false else { return false }
        _ = try? source.byte()
        return true
    }

    func decode(_ type: Bool.Type) throws -> Bool { try source.byte() != 0 }
    func decode(_ type: String.Type) throws -> String { try source.text() }
    func decode(_ type: Double.Type) throws -> Double { Double(bitPattern: try source.fixed(bytes: 8)) }
    func decode(_ type: Float.Type) throws -> Float {
        Float(bitPattern: UInt32(truncatingIfNeeded: try source.fixed(bytes: 4)))
    }
    func decode(_ type: Int.Type) throws -> Int { try source.integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try source.integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try source.integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try source.integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try source.integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try source.integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try source.integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try source.integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try source.integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try source.integer(type) }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        guard try source.byte() == 1 else { throw StateError(description: "a value of the state is missing") }
        return try source.take(type)
    }
}

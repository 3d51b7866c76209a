/// A value's whole state as bytes, and back: what a checkpoint of the analysis is made of.
///
/// The types say by `Codable` what belongs to their state, and the compiler keeps that complete: whoever adds a field to a
/// state machine need not know that it is written down. What is written carries the names of the fields, so that a program
/// whose types differ finds that out instead of misreading; it does not carry their types. It is a cache that can be made
/// anew from the recording, and no format for the years.
///
/// ```
/// integer   varint (LEB128), signed ones zigzag | floating point: 8 or 4 bytes | Bool: 1 byte
/// text      varint of bytes, bytes
/// [UInt8], [Int64], [UInt64]   varint of elements, then the bytes or varints
/// value of one value (optional, raw value)   0 for nil, or 1 and the value
/// list      1 and an element, for each; 0
/// fields    varint of the name (1 and up, in the order of first use; a new one is followed by its text) and the value,
///           for each; 0
/// ```
/// Values come back in the order in which they were written, as the compiler's own `init(from:)` asks for them.
/// Dictionaries with keys of type `String` or `Int` ask otherwise and are refused.
package enum StateEncoder {
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let sink = StateSink()
        try sink.put(value)
        if let refusal = sink.refusal { throw refusal }
        return sink.bytes
    }
}

/// Why a state cannot be written or read. A reader then does without the checkpoint.
package struct StateError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

private final class StateSink {
    var bytes: [UInt8] = []
    var refusal: StateError?
    private var names: [String: UInt64] = [:]
    /// Containers that have begun and not ended.
    private(set) var depth = 0

    func put<Value: Encodable>(_ value: Value) throws {
        if Value.self == [UInt8].self, let list = value as? [UInt8] {
            put(varint: UInt64(list.count))
            bytes += list
        } else if Value.self == [Int64].self, let list = value as? [Int64] {
            put(varint: UInt64(list.count))
            for element in list { put(signed: element) }
        } else if Value.self == [UInt64].self, let list = value as? [UInt64] {
            put(varint: UInt64(list.count))
            for element in list { put(varint: element) }
        } else {
            let outer = depth
            try value.encode(to: StateValueEncoder(sink: self))
            close(to: outer)
        }
    }

    func begin() -> Int {
        depth += 1
        return depth
    }

    /// Ends the containers within `depth`: those that are left are never told.
    func close(to depth: Int) {
        while self.depth > depth {
            bytes.append(0)
            self.depth -= 1
        }
    }

    func put(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    func put(signed value: Int64) { put(varint: UInt64(bitPattern: value << 1 ^ value >> 63)) }

    func put(text: String) {
        put(varint: UInt64(text.utf8.count))
        bytes += text.utf8
    }

    func put(name: String) {
        if let known = names[name] { return put(varint: known) }
        names[name] = UInt64(names.count + 1)
        put(varint: UInt64(names.count))
        put(text: name)
    }

    func put(fixed value: UInt64, bytes count: Int) {
        for byte in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    }
}

/// What a value's `encode(to:)` is given.
private struct StateValueEncoder: Encoder {
    let sink: StateSink
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        // The standard library's own key type of dictionaries; they ask for all keys before they read one.
        if "\(type)" == "_DictionaryCodingKey" {
            sink.refusal = StateError(
                description: "a dictionary with keys of text or Int is no state: use a list of pairs")
        }
        return KeyedEncodingContainer(StateFields(sink: sink, depth: sink.begin()))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer { StateList(sink: sink, depth: sink.begin()) }

    func singleValueContainer() -> any SingleValueEncodingContainer { StateOne(sink: sink) }
}

private struct StateFields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let sink: StateSink
    let depth: Int
    var codingPath: [any CodingKey] { [] }

    private func begin(_ key: Key) {
        sink.close(to: depth)
        sink.put(name: key.stringValue)
    }

    /// A field that is nil is left out.
    mutating func encodeNil(forKey key: Key) { sink.close(to: depth) }

    mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        begin(key)
        try sink.put(value)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        begin(key)
        return StateValueEncoder(sink: sink).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        begin(key)
        return StateValueEncoder(sink: sink).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder { StateValueEncoder(sink: sink) }

    mutating func superEncoder(forKey key: Key) -> any Encoder {
        begin(key)
        return StateValueEncoder(sink: sink)
    }
}

private struct StateList: UnkeyedEncodingContainer {
    let sink: StateSink
    let depth: Int
    private(set) var count = 0
    var codingPath: [any CodingKey] { [] }

    init(sink: StateSink, depth: Int) {
        self.sink = sink
        self.depth = depth
    }

    private mutating func begin() {
        sink.close(to: depth)
        sink.bytes.append(1)
        count += 1
    }

    mutating func encodeNil() {
        begin()
        sink.bytes.append(0)
    }

    mutating func encode<Value: Encodable>(_ value: Value) throws {
        begin()
        try sink.put(value)
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        begin()
        return StateValueEncoder(sink: sink).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        begin()
        return StateValueEncoder(sink: sink).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        begin()
        return StateValueEncoder(sink: sink)
    }
}

private struct StateOne: SingleValueEncodingContainer {
    let sink: StateSink
    var codingPath: [any CodingKey] { [] }

    mutating func encodeNil() { sink.bytes.append(0) }

    // Numbers and texts themselves: nobody asks them whether they are nil.
    mutating func encode(_ value: Bool) { sink.bytes.append(value ? 1 : 0) }
    mutating func encode(_ value: String) { sink.put(text: value) }
    mutating func encode(_ value: Double) { sink.put(fixed: value.bitPattern, bytes: 8) }
    mutating func encode(_ value: Float) { sink.put(fixed: UInt64(value.bitPattern), bytes: 4) }
    mutating func encode(_ value: Int) { sink.put(signed: Int64(value)) }
    mutating func encode(_ value: Int8) { sink.put(signed: Int64(value)) }
    mutating func encode(_ value: Int16) { sink.put(signed: Int64(value)) }
    mutating func encode(_ value: Int32) { sink.put(signed: Int64(value)) }
    mutating func encode(_ value: Int64) { sink.put(signed: value) }
    mutating func encode(_ value: UInt) { sink.put(varint: UInt64(value)) }
    mutating func encode(_ value: UInt8) { sink.put(varint: UInt64(value)) }
    mutating func encode(_ value: UInt16) { sink.put(varint: UInt64(value)) }
    mutating func encode(_ value: UInt32) { sink.put(varint: UInt64(value)) }
    mutating func encode(_ value: UInt64) { sink.put(varint: value) }

    mutating func encode<Value: Encodable>(_ value: Value) throws {
        sink.bytes.append(1)
        try sink.put(value)
    }
}

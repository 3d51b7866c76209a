/// A list of large values that are changed where they lie, many times between two copies of the list.
///
/// `Array` asks at every change of an element whether it shares its elements with a copy: a call, behind which the compiler
/// knows nothing any more of what it had loaded. The analysis changes five to ten elements for an event. Here the question
/// is asked once for many events: by `own()`, which every door of the analyzer that changes something calls first. Between
/// that and the door's end nobody makes a copy that outlives a change; debug builds check it at every change.
///
/// Elements themselves are ordinary values. As in an array, an index out of range traps.
struct Slots<Element>: RandomAccessCollection {
    /// Owns the memory, and with it the elements.
    private final class Storage {
        let base: UnsafeMutablePointer<Element>
        let capacity: Int
        var count = 0

        init(capacity: Int) {
            base = .allocate(capacity: capacity)
            self.capacity = capacity
        }

        deinit {
            unsafe base.deinitialize(count: count)
            unsafe base.deallocate()
        }
    }

    private var storage = Storage(capacity: 0)
    /// The storage's, at hand without another load.
    private var base: UnsafeMutablePointer<Element>
    private(set) var count = 0

    init() { unsafe base = storage.base }

    var startIndex: Int { 0 }
    var endIndex: Int { count }

    subscript(index: Int) -> Element {
        @inline(__always) unsafeAddress {
            precondition(index >= 0 && index < count, "no such slot")
            return unsafe UnsafePointer(base + index)
        }
        @inline(__always) unsafeMutableAddress {
            precondition(index >= 0 && index < count, "no such slot")
            assert(isKnownUniquelyReferenced(&storage), "changed without own()")
            return unsafe base + index
        }
    }

    /// From here on changes are seen by nobody else.
    mutating func own() {
        if !isKnownUniquelyReferenced(&storage) { move(to: count) }
    }

    mutating func append(_ element: Element) {
        if !isKnownUniquelyReferenced(&storage) || count == storage.capacity { move(to: Swift.max(4, count * 2)) }
        unsafe (base + count).initialize(to: element)
        count += 1
        storage.count = count
    }

    mutating func remove(at index: Int) {
        precondition(index >= 0 && index < count, "no such slot")
        own()
        unsafe (base + index).deinitialize(count: 1)
        unsafe (base + index).moveInitialize(from: base + index + 1, count: count - index - 1)
        count -= 1
        storage.count = count
    }

    /// Into storage of its own; the elements are copied only when somebody else still has them.
    private mutating func move(to capacity: Int) {
        let larger = Storage(capacity: capacity)
        if isKnownUniquelyReferenced(&storage) {
            unsafe larger.base.moveInitialize(from: base, count: count)
            storage.count = 0
        } else {
            unsafe larger.base.initialize(from: base, count: count)
        }
        larger.count = count
        storage = larger
        unsafe base = larger.base
    }
}

/// Whoever has the same one has the same lists. No part of anybody's state.
final class Ownership: Sendable, Codable {
    private enum None: CodingKey {}

    init() {}

    init(from decoder: any Decoder) throws { _ = try decoder.container(keyedBy: None.self) }

    func encode(to encoder: any Encoder) throws { _ = encoder.container(keyedBy: None.self) }
}

// Whoever else has the storage only reads it: it is changed by its only owner, as the storage of an array is.
extension Slots: @unchecked Sendable where Element: Sendable {}

extension Slots: Codable where Element: Codable {
    init(from decoder: any Decoder) throws {
        self.init()
        for element in try [Element](from: decoder) { append(element) }
    }

    func encode(to encoder: any Encoder) throws { try Array(self).encode(to: encoder) }
}

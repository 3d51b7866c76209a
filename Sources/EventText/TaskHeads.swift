import TraceModel

/// The names of a source's tasks, with the text that each has in a line: `            bash-1204    `.
///
/// Asked once for every event, so that a table of its own is worth it: open addressing with a multiplicative hash (the keys
/// are thread ids that a guest may choose; whoever makes them collide makes the list of his own events slow), and what is
/// found is copied into the line as it is.
struct TaskHeads {
    private struct Slot {
        var tid: Int32 = 0
        var isUsed = false
        var head = TaskHead()
        var comm = Comm()
    }

    private var slots = [Slot](repeating: Slot(), count: 256)
    private var count = 0
    private var shift: UInt32 = 32 - 8
    let idle = TaskHead(0, Comm("<idle>"))

    func comm(_ tid: Int32) -> Comm? {
        let place = place(of: tid)
        return slots[place].isUsed ? slots[place].comm : nil
    }

    /// What a line begins with when `tid` was current; nil when its name is not known.
    @inline(__always)
    func head(_ tid: Int32) -> TaskHead? {
        if tid == 0 { return idle }
        let place = place(of: tid)
        return slots[place].isUsed && !slots[place].comm.isEmpty ? slots[place].head : nil
    }

    @inline(__always)
    private func place(of tid: Int32) -> Int {
        let mask = slots.count &- 1
        var place = Int((UInt32(bitPattern: tid) &* 0x9e37_79b1) &>> shift)
        while slots[place].isUsed, slots[place].tid != tid { place = (place &+ 1) & mask }
        return place
    }

    /// Names change seldom: looking costs less than storing.
    @inline(__always)
    mutating func learn(_ tid: Int32, _ comm: Comm) {
        let place = place(of: tid)
        if slots[place].isUsed, slots[place].comm == comm { return }
        store(tid, comm, at: place)
    }

    private mutating func store(_ tid: Int32, _ comm: Comm, at place: Int) {
        var place = place
        if !slots[place].isUsed {
            if count >= Limits.taskNames { self = TaskHeads() }
            if 2 * (count + 1) > slots.count { grow() }
            count += 1
            place = self.place(of: tid)
        }
        slots[place] = Slot(tid: tid, isUsed: true, head: TaskHead(tid, comm), comm: comm)
    }

    private mutating func grow() {
        let old = slots
        slots = [Slot](repeating: Slot(), count: 2 * old.count)
        shift -= 1
        for slot in old where slot.isUsed { slots[place(of: slot.tid)] = slot }
    }
}

/// A task's name and number as a line has them: 25 bytes, or up to 28 where the name is long and the number too.
struct TaskHead {
    private var words = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    private var count = 0

    static let nameWidth = 16
    static let width = nameWidth + 9
    /// What `put` stores.
    static let room = 32

    init() {}

    /// Without a name, of a task that was never told.
    init(_ tid: Int32, _ comm: Comm?) {
        var name = InlineArray<16, UInt8>(repeating: 0)
        let known = comm?.copy(to: &name) ?? 0
        let unknown: StaticString = "<...>"
        var words = self.words
        count = withUnsafeMutableBytes(of: &words) { room in
            // Fourteen digits and more are no thread's number: 16 + 1 + 11 bytes at most.
            withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { scratch in
                guard let base = scratch.baseAddress else { return 0 }
                var line = LineCursor(base)
                for _ in 0..<max(0, TaskHead.nameWidth - (known == 0 ? unknown.utf8CodeUnitCount : known)) {
                    line.put(UInt8(ascii: " "))
                }
                if known == 0 {
                    line.put(untrusted: unknown.utf8Start, unknown.utf8CodeUnitCount)
                } else {
                    withUnsafeBytes(of: name) { bytes in
                        if let start = bytes.baseAddress { line.put(untrusted: start, known) }
                    }
                }
                line.put(UInt8(ascii: "-"))
                line.put(signed: Int64(tid))
                while line.at - base < TaskHead.width { line.put(UInt8(ascii: " ")) }
                let count = min(line.at - base, room.count)
                room.copyMemory(from: UnsafeRawBufferPointer(start: base, count: count))
                return count
            }
        }
        self.words = words
    }

    @inline(__always)
    func put(into line: inout LineCursor) {
        line.put(word: words.0.littleEndian)
        line.put(word: words.1.littleEndian)
        line.put(word: words.2.littleEndian)
        // The fourth holds what is longer than 24 bytes, which every one is.
        line.put(word: words.3.littleEndian, count: count &- 24)
    }
}

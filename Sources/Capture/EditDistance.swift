/// How many letters must be inserted, left out, replaced or swapped with their neighbour to turn one word into another.
enum EditDistance {
    /// Optimal string alignment: Damerau–Levenshtein in which no letter is touched twice; three rows of memory.
    static func between(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for (row, byte) in a.enumerated() {
            var current = [row + 1]
            current.reserveCapacity(b.count + 1)
            for (column, other) in b.enumerated() {
                var distance = min(last[column + 1] + 1, current[column] + 1, last[column] + (byte == other ? 0 : 1))
                if row > 0, column > 0, byte == b[column - 1], other == a[row - 1] {
                    distance = min(distance, beforeLast[column - 1] + 1)
                }
                current.append(distance)
            }
            beforeLast = last
            last = current
        }
        return last[b.count]
    }
}

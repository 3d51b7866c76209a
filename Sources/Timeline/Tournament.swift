/// A loser tree: the smallest of many keys, and after it has changed the next smallest in log₂ n comparisons.
///
/// Each inner node keeps the loser of the match played there (Knuth, The Art of Computer Programming 3, §5.4.1), so that
/// a replay looks at one contestant per level where a heap looks at two. Equal keys go to the lower contestant: the
/// order is total. The runner-up, who is among those that the winner beat, says how far the winner may go on without
/// another match: a burst costs one comparison per event.
struct Tournament: Sendable, Codable {
    private struct Entry: Sendable, Codable {
        var key: Int64
        var contestant: Int

        @inline(__always)
        func beats(_ other: Entry) -> Bool {
            key < other.key || (key == other.key && contestant < other.contestant)
        }
    }

    /// First the leaves as they enter; then the losers of the inner nodes 1..<width. Node n is played between nodes 2n
    /// and 2n + 1; leaf i is node width + i.
    private var nodes: [Entry] = []
    /// Winners while the tree is built.
    private var scratch: [Entry] = []
    private var width = 1
    private var champion = Entry(key: outKey, contestant: 0)

    /// Of a contestant that has nothing left, and of leaves that pad the tree.
    private static let outKey = Int64.max

    /// Empties the tree and keeps its storage.
    mutating func removeAll() { nodes.removeAll(keepingCapacity: true) }

    /// Adds a contestant; they are numbered from 0 as they come.
    mutating func enter(_ key: Int64) {
        nodes.append(Entry(key: min(key, Self.outKey - 1), contestant: nodes.count))
    }

    /// Plays the first round.
    mutating func begin() {
        width = 1
        while width < nodes.count { width *= 2 }
        while nodes.count < width { nodes.append(Entry(key: Self.outKey, contestant: nodes.count)) }
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: nodes)
        scratch.append(contentsOf: nodes)
        for node in stride(from: width - 1, to: 0, by: -1) {
            let (left, right) = (scratch[2 * node], scratch[2 * node + 1])
            let leftWins = left.beats(right)
            scratch[node] = leftWins ? left : right
            nodes[node] = leftWins ? right : left
        }
        champion = scratch[1]
    }

    /// The contestant with the smallest key; nil when none is left.
    @inline(__always)
    var winner: Int? { champion.key == Self.outKey ? nil : champion.contestant }

    /// Whether the winner would win again with `key`. Looks from the top, where the runner-up mostly is.
    @inline(__always)
    func wouldWin(with key: Int64) -> Bool {
        let next = Entry(key: key, contestant: champion.contestant)
        var shift = width.trailingZeroBitCount
        while shift > 0 {
            if nodes[(width + champion.contestant) >> shift].beats(next) { return false }
            shift -= 1
        }
        return true
    }

    /// The largest key with which the winner would still win.
    @inline(__always)
    var winningKey: Int64 {
        var runnerUp = Entry(key: Self.outKey, contestant: .max)
        var node = (width + champion.contestant) >> 1
        while node > 0 {
            if nodes[node].beats(runnerUp) { runnerUp = nodes[node] }
            node >>= 1
        }
        // A lower contestant that lost has a key above the winner's, so that one can be subtracted.
        return champion.contestant < runnerUp.contestant ? runnerUp.key : runnerUp.key - 1
    }

    /// Gives the winner its next key, nil when it has none, and finds the new winner.
    @inline(__always)
    mutating func replaceWinner(with key: Int64?) {
        var best = champion
        best.key = key.map { min($0, Self.outKey - 1) } ?? Self.outKey
        var node = (width + best.contestant) >> 1
        nodes.withUnsafeMutableBufferPointer { nodes in
            while node > 0 {
                let loser = nodes[node]
                let loses = best.beats(loser)
                nodes[node] = loses ? loser : best
                best = loses ? best : loser
                node >>= 1
            }
        }
        champion = best
    }
}

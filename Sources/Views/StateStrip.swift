import TraceModel

extension StateShares {
    /// The time of all states as one strip of `width` cells: the eye sees a starved vCPU among sixty before it reads.
    ///
    /// Each state has a shade of its own, the darkest for waiting, so that it can be read without colours. Cells are
    /// shared out by largest remainder; a state of less than half a cell has none, because a whole one would claim too much.
    func strip(width: Int) -> Line {
        let parts: [(time: Int64, text: String, style: Style)] = [
            (running, "▓", .running), (onCPU, "▓", .running), (hypervisor, "▒", .hypervisor), (ready, "█", .ready),
            (halted, "░", .halted), (blocked, "│", .blocked), (unknown, "?", .unknown),
        ].filter { $0.time >= total / Int64(2 * max(1, width)) }
        var line = Line()
        guard width > 0, total > 0, !parts.isEmpty else {
            line.pad(to: max(0, width))
            return line
        }
        let cell = Double(total) / Double(width)
        var counts = parts.map { Int(Double($0.time) / cell) }
        while counts.reduce(0, +) < width,
            let index = counts.indices.max(by: { a, b in
                Double(parts[a].time) - Double(counts[a]) * cell < Double(parts[b].time) - Double(counts[b]) * cell
            })
        {
            counts[index] += 1
        }
        while counts.reduce(0, +) > width, let index = counts.indices.max(by: { counts[$0] < counts[$1] }) {
            counts[index] -= 1
        }
        for (part, count) in zip(parts, counts) { line.append(String(repeating: part.text, count: count), part.style) }
        return line
    }
}

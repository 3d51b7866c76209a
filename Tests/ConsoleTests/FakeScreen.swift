import Views

/// A terminal as far as our bytes need one: cursor, style, clearing, wide characters and marks.
struct FakeScreen {
    struct Cell: Equatable {
        var text = " "
        var style = "0"
    }

    let width: Int
    let height: Int
    var cells: [Cell]
    private var row = 0
    private var column = 0
    private var style = "0"
    /// What was sent that this terminal does not know.
    var misunderstood: [String] = []

    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        cells = Array(repeating: Cell(), count: width * height)
    }

    mutating func receive(_ bytes: [UInt8]) {
        var scalars = Array(String(decoding: bytes, as: UTF8.self).unicodeScalars)[...]
        while let scalar = scalars.popFirst() {
            if scalar != "\u{1b}" {
                put(scalar)
                continue
            }
            var sequence = String.UnicodeScalarView()
            guard scalars.popFirst() == "[" else {
                misunderstood.append("ESC without [")
                continue
            }
            while let next = scalars.popFirst() {
                sequence.append(next)
                if (0x40...0x7e).contains(next.value) { break }
            }
            obey(String(sequence))
        }
    }

    private mutating func obey(_ sequence: String) {
        let body = sequence.dropLast()
        switch sequence.last {
        case "m": style = String(body)
        case "J" where body == "2": cells = Array(repeating: Cell(text: " ", style: style), count: width * height)
        case "H":
            let place = body.split(separator: ";").compactMap { Int($0) }
            guard place.count == 2 else { return misunderstood.append(sequence) }
            row = place[0] - 1
            column = place[1] - 1
        case "h", "l": break
        default: misunderstood.append(sequence)
        }
    }

    private mutating func put(_ scalar: Unicode.Scalar) {
        guard row < height, column < width || scalar.cells == 0 else {
            return misunderstood.append("writing at \(row), \(column)")
        }
        let index = row * width + column
        switch scalar.cells {
        case 0:
            // A mark joins what was written last.
            var owner = index - 1
            if column > 1, cells[owner].text.isEmpty { owner -= 1 }
            cells[owner].text.unicodeScalars.append(scalar)
        case 2:
            erase(index)
            erase(index + 1)
            cells[index] = Cell(text: String(scalar), style: style)
            cells[index + 1] = Cell(text: "", style: style)
            column += 2
        default:
            erase(index)
            cells[index] = Cell(text: String(scalar), style: style)
            column += 1
        }
    }

    /// Overwriting half of a wide character erases the other half, as terminals do.
    private mutating func erase(_ index: Int) {
        if cells[index].text.isEmpty, index % width > 0 { cells[index - 1] = Cell(text: " ", style: style) }
        if index % width + 1 < width, cells[index + 1].text.isEmpty { cells[index + 1] = Cell(text: " ", style: style) }
    }
}

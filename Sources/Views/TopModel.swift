package import TraceModel

/// A key as the live view understands it; the terminal's byte sequences are decoded at the edge.
package enum Key: Hashable, Sendable {
    case character(Character)
    case up, down, left, right, pageUp, pageDown, home, end
    case enter, escape, backspace, tab
}

/// The interaction of the live view as a value: keys and snapshots in, frames and actions out. No terminal, no clock.
///
/// The keys are those of top, htop and esxtop. The selection follows its row when the order changes. While paused the
/// newest snapshot is kept aside, so that resuming shows the present at once.
package struct TopModel: Sendable {
    package enum Action: Hashable, Sendable {
        case none
        case redraw
        case quit
        /// Snapshots are wanted at this interval from now on.
        case setInterval(milliseconds: Int)
    }

    package private(set) var options: TopOptions
    private var view: TopView?
    /// The snapshot that `view` shows, and the one to compare the next with.
    private var shown: Snapshot?
    private var pending: (current: Snapshot, previous: Snapshot?)?
    private var lastHeight = 24

    /// The steps of `+` and `-`.
    private static let intervals = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000]

    package init(options: TopOptions = TopOptions()) { self.options = options }

    /// A new snapshot to show; figures are differences to the one shown before.
    package mutating func show(_ snapshot: Snapshot) {
        if options.isPaused {
            pending = (snapshot, pending?.current)
        } else {
            view = TopView(current: snapshot, previous: shown)
            shown = snapshot
        }
        settleSelection()
    }

    package mutating func frame(width: Int, height: Int) -> Frame {
        lastHeight = height
        guard let view else {
            return Frame(lines: height > 0 ? [Line("tandem  waiting for the first events…", .dim).cut(to: width)] : [])
        }
        let (frame, firstRow) = view.frame(options, width: width, height: height)
        options.firstRow = firstRow
        return frame
    }

    package mutating func handle(_ key: Key) -> Action {
        if options.prompt != nil { return answer(key) }
        if options.overlay == .help {
            options.overlay = .none
            return .redraw
        }
        switch key {
        case .character("q"): return .quit
        case .character("h"), .character("?"): options.overlay = .help
        case .character("p"), .character(" "): togglePause()
        case .up, .character("k"): move(by: -1)
        case .down, .character("j"): move(by: 1)
        case .pageUp: move(by: -max(1, lastHeight / 2))
        case .pageDown: move(by: max(1, lastHeight / 2))
        case .home, .character("g"): move(by: -Int(Int32.max))
        case .end, .character("G"): move(by: Int(Int32.max))
        case .enter: toggleDetail()
        case .escape: escape()
        case .left, .character("<"): sort(byStep: -1)
        case .right, .character(">"): sort(byStep: 1)
        case .character("s"): sort(by: options.sort == .ready ? .vcpu : .ready)
        case .character("r"), .character("I"): options.isInverted.toggle()
        case .character("t"): options.isGrouped.toggle()
        case .character("/"): options.prompt = .filter(options.filter)
        case .character("d"): options.prompt = .delay("")
        case .character("+"): return changeInterval(by: 1)
        case .character("-"): return changeInterval(by: -1)
        // Ctrl-L, the habit of everyone whose screen is spoiled.
        case .character("\u{0c}"): break
        case .character, .backspace, .tab: return .none
        }
        return .redraw
    }

    private mutating func togglePause() {
        options.isPaused.toggle()
        guard !options.isPaused, let (current, previous) = pending else { return }
        view = TopView(current: current, previous: previous ?? shown)
        shown = current
        pending = nil
        settleSelection()
    }

    private mutating func escape() {
        if options.overlay != .none {
            options.overlay = .none
        } else if !options.filter.isEmpty {
            options.filter = ""
        } else {
            options.selection = nil
        }
    }

    private mutating func toggleDetail() {
        guard options.overlay != .detail else {
            options.overlay = .none
            return
        }
        if options.selection == nil { move(by: 1) }
        if case .vcpu = options.selection { options.overlay = .detail }
    }

    private mutating func move(by distance: Int) {
        let rows = view?.selectableRows(options) ?? []
        guard !rows.isEmpty else { return }
        guard let selection = options.selection, let index = rows.firstIndex(of: selection) else {
            options.selection = distance > 1 ? rows.last : rows.first
            return
        }
        options.selection = rows[min(max(0, index + distance), rows.count - 1)]
    }

    /// A selected row that is gone is not selected any more; its neighbour was not meant.
    private mutating func settleSelection() {
        guard let selection = options.selection, let view else { return }
        var everything = options
        everything.filter = ""
        guard !view.selectableRows(everything).contains(selection) else { return }
        options.selection = nil
        if options.overlay == .detail { options.overlay = .none }
    }

    private mutating func sort(byStep step: Int) {
        let columns = view?.sortableColumns(options) ?? TopColumn.allCases
        let index = columns.firstIndex(of: options.sort) ?? 0
        sort(by: columns[(index + step + columns.count) % columns.count])
    }

    private mutating func sort(by column: TopColumn) {
        options.sort = column
        options.isInverted = false
        options.firstRow = 0
    }

    private mutating func changeInterval(by step: Int) -> Action {
        let intervals = TopModel.intervals
        let next =
            step > 0
            ? intervals.first { $0 > options.intervalMilliseconds }
            : intervals.last { $0 < options.intervalMilliseconds }
        guard let next else { return .none }
        return setInterval(next)
    }

    private mutating func setInterval(_ milliseconds: Int) -> Action {
        options.intervalMilliseconds = milliseconds
        return .setInterval(milliseconds: milliseconds)
    }

    // MARK: Questions in the last line

    private mutating func answer(_ key: Key) -> Action {
        guard let prompt = options.prompt else { return .none }
        let text: String
        switch prompt {
        case .filter(let old), .delay(let old): text = old
        }
        switch key {
        case .escape:
            options.prompt = nil
            if case .filter = prompt { options.filter = "" }
        case .enter:
            options.prompt = nil
            if case .delay = prompt, let milliseconds = TopModel.milliseconds(text) { return setInterval(milliseconds) }
        case .backspace: change(prompt, String(text.dropLast()))
        case .character(let character) where text.count < 32: change(prompt, text + String(character))
        default: return .none
        }
        return .redraw
    }

    private mutating func change(_ prompt: TopOptions.Prompt, _ text: String) {
        switch prompt {
        case .filter:
            options.prompt = .filter(text)
            // Rows are filtered while typing, as in htop.
            options.filter = text
        case .delay: options.prompt = .delay(text)
        }
    }

    /// `0.5` or `2`: seconds between a tenth and an hour; nil for anything else.
    static func milliseconds(_ seconds: String) -> Int? {
        guard let value = Double(seconds), value >= 0.1, value <= 3_600 else { return nil }
        return Int((value * 1_000).rounded())
    }
}

extension TopView {
    /// The columns that `<` and `>` walk through.
    func sortableColumns(_ options: TopOptions) -> [TopColumn] {
        TopColumn.columns(for: figures.evidence, grouped: options.isGrouped, showsOnCPU: figures.showsOnCPU)
    }
}

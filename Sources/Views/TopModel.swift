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
    /// The snapshot that `view` shows, which is the one to compare the next with, and the one before it.
    private var shown: Snapshot?
    private var shownBefore: Snapshot?
    private var overlayBehindHelp = TopOptions.Overlay.none
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
            show(snapshot, after: shown)
        }
        settleSelection()
    }

    private mutating func show(_ snapshot: Snapshot, after previous: Snapshot?) {
        view = TopView(current: snapshot, previous: options.isCumulative ? nil : previous)
        (shown, shownBefore) = (snapshot, previous)
    }

    package mutating func frame(width: Int, height: Int) -> Frame {
        lastHeight = height
        guard let view else {
            return Frame(lines: height > 0 ? [Line("tandem  waiting for the first events…", .dim).cut(to: width)] : [])
        }
        let drawn = view.draw(options, width: width, height: height)
        options.firstRow = drawn.firstRow
        options.firstPageLine = drawn.firstPageLine
        return drawn.frame
    }

    package mutating func handle(_ key: Key) -> Action {
        if options.prompt != nil { return answer(key) }
        if options.overlay != .none, scroll(key) { return .redraw }
        if options.overlay == .help {
            options.overlay = overlayBehindHelp
            options.firstPageLine = 0
            return .redraw
        }
        switch key {
        case .character("q"): return .quit
        case .character("h"), .character("?"):
            overlayBehindHelp = options.overlay
            open(.help)
        case .character("p"), .character(" "): togglePause()
        case .character("m"): options.overlay == .matrix ? close() : open(.matrix)
        case .character("c"): toggleCumulative()
        case .enter: options.overlay == .none ? openDetail() : close()
        case .escape: escape()
        case .left, .character("<"): step(-1)
        case .right, .character(">"): step(1)
        case .character("d"): options.prompt = .delay("")
        case .character("+"): return changeInterval(by: 1)
        case .character("-"): return changeInterval(by: -1)
        // Ctrl-L, the habit of everyone whose screen is spoiled.
        case .character("\u{0c}"): break
        default: return options.overlay == .none ? handleInTable(key) : .none
        }
        return .redraw
    }

    private mutating func handleInTable(_ key: Key) -> Action {
        switch key {
        case .up, .character("k"): move(by: -1)
        case .down, .character("j"): move(by: 1)
        case .pageUp: move(by: -max(1, lastHeight / 2))
        case .pageDown: move(by: max(1, lastHeight / 2))
        case .home, .character("g"): move(by: -Int(Int32.max))
        case .end, .character("G"): move(by: Int(Int32.max))
        case .character("s"): sort(by: options.sort == .ready ? .vcpu : .ready)
        case .character("r"), .character("I"): options.isInverted.toggle()
        case .character("t"): changeGrouping()
        case .character("/"): options.prompt = .filter(options.filter)
        default: return .none
        }
        return .redraw
    }

    // MARK: Pages

    private mutating func open(_ overlay: TopOptions.Overlay) {
        options.overlay = overlay
        options.firstPageLine = 0
    }

    private mutating func close() { open(.none) }

    /// Moves the page that is shown; false for a key that does not.
    private mutating func scroll(_ key: Key) -> Bool {
        let page = max(1, lastHeight / 2)
        let distance: Int
        switch key {
        case .up, .character("k"): distance = -1
        case .down, .character("j"): distance = 1
        case .pageUp: distance = -page
        case .pageDown: distance = page
        case .home, .character("g"): distance = -Int(Int32.max)
        case .end, .character("G"): distance = Int(Int32.max)
        default: return false
        }
        // The page's length is known when it is drawn, which puts right what is too much.
        options.firstPageLine = max(0, options.firstPageLine + distance)
        return true
    }

    /// To the column beside, or to the vCPU beside when the page of one is open.
    private mutating func step(_ step: Int) {
        switch options.overlay {
        case .none: sort(byStep: step)
        case .detail: move(by: step)
        case .help, .matrix: break
        }
    }

    private mutating func toggleCumulative() {
        options.isCumulative.toggle()
        if let shown { show(shown, after: shownBefore) }
    }

    private mutating func changeGrouping() {
        let all = TopOptions.Grouping.allCases
        let index = all.firstIndex(of: options.grouping) ?? 0
        options.grouping = all[(index + 1) % all.count]
        options.firstRow = 0
        // Rows of machines and rows of vCPUs are not the same rows.
        if let selection = options.selection, view?.selectableRows(options).contains(selection) == false {
            options.selection = nil
        }
        let columns = view?.sortableColumns(options) ?? []
        if !columns.isEmpty, !columns.contains(options.sort) { sort(by: .vcpu) }
    }

    private mutating func togglePause() {
        options.isPaused.toggle()
        guard !options.isPaused, let (current, previous) = pending else { return }
        show(current, after: previous ?? shown)
        pending = nil
        settleSelection()
    }

    private mutating func escape() {
        if options.overlay != .none {
            close()
        } else if !options.filter.isEmpty {
            options.filter = ""
        } else {
            options.selection = nil
        }
    }

    private mutating func openDetail() {
        if options.selection == nil { move(by: 1) }
        switch options.selection {
        case .vcpu, .machine: open(.detail)
        case .hostCPU, nil: break
        }
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
        if options.overlay == .detail { close() }
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
        TopColumn.columns(for: figures.evidence, options.grouping, showsOnCPU: figures.showsOnCPU)
            .filter(TopColumn.sortable.contains)
    }
}

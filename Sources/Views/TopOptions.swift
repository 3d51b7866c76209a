/// How the live view is to be drawn: everything that keys and command-line options decide.
package struct TopOptions: Hashable, Sendable {
    /// What is shown in place of the table.
    package enum Overlay: Hashable, Sendable { case none, help, detail, matrix }

    /// How the rows of the table are put together.
    package enum Grouping: Hashable, Sendable, CaseIterable {
        /// vCPUs under their machines.
        case grouped
        /// All vCPUs in one list.
        case flat
        /// One row per machine.
        case machines
    }

    /// A question asked in the last line.
    package enum Prompt: Hashable, Sendable {
        case filter(String)
        case delay(String)
    }

    /// The snapshot's own order by default: machines and vCPUs stay in their places.
    package var sort: TopColumn = .vcpu
    package var isInverted = false
    package var grouping: Grouping = .grouped
    /// Everything since the start instead of the last interval.
    package var isCumulative = false
    /// Only rows in which a name contains this.
    package var filter = ""
    package var selection: TopRowID?
    package var firstRow = 0
    /// The first line of the page that is shown in place of the table.
    package var firstPageLine = 0
    package var overlay: Overlay = .none
    package var prompt: Prompt?
    package var isPaused = false
    package var intervalMilliseconds = 1_000
    /// A terminal with keys: footer, cursor and overlays are drawn.
    package var isInteractive = true

    package init() {}

    var isDescending: Bool { sort.descendsFirst != isInverted }
}

/// How the live view is to be drawn: everything that keys and command-line options decide.
package struct TopOptions: Hashable, Sendable {
    package enum Overlay: Hashable, Sendable { case none, help, detail }

    /// A question asked in the last line.
    package enum Prompt: Hashable, Sendable {
        case filter(String)
        case delay(String)
    }

    /// The snapshot's own order by default: machines and vCPUs stay in their places.
    package var sort: TopColumn = .vcpu
    package var isInverted = false
    /// vCPUs under their machines.
    package var isGrouped = true
    /// Only rows in which a name contains this.
    package var filter = ""
    package var selection: TopRowID?
    package var firstRow = 0
    package var overlay: Overlay = .none
    package var prompt: Prompt?
    package var isPaused = false
    package var intervalMilliseconds = 1_000
    /// A terminal with keys: footer, cursor and overlays are drawn.
    package var isInteractive = true

    package init() {}

    var isDescending: Bool { sort.descendsFirst != isInverted }
}

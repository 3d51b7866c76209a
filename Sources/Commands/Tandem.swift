package import ArgumentParser
import Collector

/// The host program: one verb, one file.
package struct Tandem: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "tandem",
        abstract: "What happens to every virtual CPU of this host, live, and who is to blame.",
        discussion: """
            Start tandem-agent in the guests, then:

              tandem record -A web1@3 -A db1@4 -o run1.tandem     record this host and two guests (vsock CIDs 3 and 4)
              tandem top                                          watch the running session
              tandem top -A web1@3                                or watch without recording
              tandem guests                                       which virtual machines run here?
              tandem demo                                         look at a recorded session, without root
            """,
        version: "tandem \(version)",
        subcommands: [
            RecordCommand.self, TopCommand.self, GuestsCommand.self, ReplayCommand.self, ReportCommand.self,
            ImportCommand.self, ExportCommand.self, DemoCommand.self, KVMClockCommand.self,
        ])

    package init() {}
}

import ArgumentParser
import Collector
import Foundation
import TraceModel
import Views

/// `tandem guests`: the virtual machines of this host, and whether an agent answers in each.
struct GuestsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guests", abstract: "List the virtual machines of this host and whether an agent answers.")

    @Flag(help: "Do not connect to the guests; only list them.")
    var noProbe = false

    @Option(help: "Agent port on vsock.")
    var port: UInt32 = 9823

    @Option(help: "Output format: table or json.")
    var format = "table"

    func run() throws {
        guard let format = OutputFormat(rawValue: format), format != .csv else {
            throw ValidationError("--format is table or json")
        }
        let survey = GuestSurvey.take(port: port, isAsking: !noProbe)
        if format == .json {
            print(try json(survey))
            return
        }
        let guests = survey.guests.map { GuestsView.Guest(facts: $0.facts, agent: $0.view) }
        print(GuestsView.render(guests, width: Terminal.width ?? 120).plainText)
        for limit in survey.limits { FileHandle.standardError.write(Data("tandem: \(limit)\n".utf8)) }
    }

    private struct Row: Encodable {
        var facts: VMFacts
        var agent: String
    }

    private func json(_ survey: GuestSurvey) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let rows = survey.guests.map { Row(facts: $0.facts, agent: $0.answer.text) }
        return String(decoding: try encoder.encode(rows), as: UTF8.self)
    }
}

extension GuestSurvey.Guest {
    fileprivate var view: GuestsView.Guest.Agent {
        switch answer {
        case .notAsked: .notAsked
        case .answers(let program): .answers(program)
        case .busy(let holder): .answers(holder)
        case .silent(let reason): .silent(reason)
        }
    }
}

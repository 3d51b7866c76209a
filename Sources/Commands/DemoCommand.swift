import ArgumentParser
import Glibc
import SessionLog

/// `tandem demo`: a recorded session of two guests that compete for one CPU; needs neither root nor a machine.
struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Show a recorded session, in five seconds and without root.")

    @Option(help: "Output format of the result: table, json or csv.")
    var format = "table"

    func run() throws {
        guard let format = OutputFormat(rawValue: format) else {
            throw ValidationError("--format is one of table, json, csv")
        }
        // The recording is as long as the demonstration may be, times this.
        let source = try ReplaySource(
            try SessionFiles.open(SessionPaths(path: try DemoRecording.directory())), speed: DemoRecording.speed)
        try Player(source: source, format: format).play()
    }
}

/// The recording that comes with the program.
enum DemoRecording {
    static let speed = 2.5

    /// SwiftPM puts resources into a folder beside the executable.
    static func directory() throws -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let executable = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = executable.split(separator: "/").dropLast().joined(separator: "/")
        let path = "/\(folder)/tandem_Commands.resources/demo-recording"
        guard access(path, R_OK) == 0 else {
            throw SessionArguments.Problem(
                description: "the demonstration's recording is not at '\(path)': keep the folder "
                    + "'tandem_Commands.resources' beside the program")
        }
        return path
    }
}

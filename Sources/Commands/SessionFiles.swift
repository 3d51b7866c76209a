import ArgumentParser
import CTF
import SessionLog

/// Everything that a session can be read from.
enum SessionFiles {
    /// Asked in this order; each looks at a path's name and first bytes.
    static var kinds: [any SessionFileKind.Type] { [RecordingKind.self, CTFKind.self] }

    static func open(_ paths: SessionPaths) throws -> any SessionInput {
        guard let kind = kinds.first(where: { $0.claims(paths.path) }) else {
            throw SessionArguments.Problem(
                description: "'\(paths.path)' is not there, or holds no session; a session is "
                    + kinds.map { $0.description }.joined(separator: ", or "))
        }
        return try kind.open(paths)
    }
}

/// How verbs that read a session name it.
struct SessionFileArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("The session: a directory made by 'tandem record'.", valueName: "session"))
    var path: String

    @Option(
        name: .customShort("A"),
        help: ArgumentHelp(
            "A guest's file, where the session is a host's file of another program.", valueName: "[name=]guest"))
    var guests: [String] = []

    func open() throws -> any SessionInput {
        try SessionFiles.open(SessionPaths(path: path, guests: guests.map { SessionPaths.Guest(argument: $0) }))
    }
}

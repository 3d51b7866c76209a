import Foundation
import Testing
import Views

/// Compares a screen with `Golden/NAME.txt`; with TANDEM_UPDATE_GOLDEN=1 writes the file instead. A changed file is
/// reviewed like code.
func checkGolden(_ frame: Frame, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
    let file = folder.appendingPathComponent(name + ".txt")
    let text = frame.plainText
    if ProcessInfo.processInfo.environment["TANDEM_UPDATE_GOLDEN"] == "1" {
        try text.write(to: file, atomically: true, encoding: .utf8)
        return
    }
    let expected = try String(contentsOf: file, encoding: .utf8)
    guard text != expected else { return }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let expectedLines = expected.split(separator: "\n", omittingEmptySubsequences: false)
    let number =
        zip(lines, expectedLines).enumerated().first { $1.0 != $1.1 }?.offset
        ?? min(lines.count, expectedLines.count)
    func line(_ lines: [Substring]) -> String { lines.indices.contains(number) ? String(lines[number]) : "(no line)" }
    Issue.record(
        """
        \(name).txt, line \(number + 1):
        expected \(line(expectedLines))
        is       \(line(lines))
        Rewrite it with TANDEM_UPDATE_GOLDEN=1 when the new screen is right.
        """, sourceLocation: sourceLocation)
}

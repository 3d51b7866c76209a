import ArgumentParser
import Capture
import Foundation

/// `tandem kvm-clock`: the one step that needs debugfs, and so root's rights, apart from all others.
struct KVMClockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kvm-clock",
        abstract: "Print how KVM makes the TSC of every vCPU, for a session that may not read debugfs.",
        discussion: """
            One line for each vCPU: process, vCPU, TSC offset, scaling ratio and its fraction bits. A session that is \
            allowed to read debugfs needs no help; otherwise:

              sudo tandem kvm-clock >clock && tandem record --kvm-clock clock -A web1@3
            """)

    func run() throws {
        for reading in try KVMClockFiles.read() { print(reading.line) }
    }

    /// What a run of this verb wrote into a file.
    static func readings(in path: String) throws(SessionArguments.Problem) -> [KVMClockReading] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw SessionArguments.Problem(description: "--kvm-clock '\(path)' cannot be read")
        }
        var readings: [KVMClockReading] = []
        for line in text.split(separator: "\n") {
            guard let reading = KVMClockReading(line: line) else {
                throw SessionArguments.Problem(
                    description: "--kvm-clock '\(path)': '\(line)' is no line of 'tandem kvm-clock'")
            }
            readings.append(reading)
        }
        return readings
    }
}

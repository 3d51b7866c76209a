import Glibc
import RecordingSupport

/// What a subcommand measures: a recording, and the `trace.dat` of the same events where there is one.
struct BenchmarkInput: ~Copyable {
    let recording: Recording
    let traceDat: String?
    /// Keeps the files of a recording that was made for this run.
    private let folder: TemporaryFolder?

    struct UsageError: Error, CustomStringConvertible {
        let description: String
    }

    init(_ arguments: ArraySlice<String>) throws {
        var subBufferKilobytes: Int?
        var seconds: Double?
        var path: String?
        var rest = arguments
        while let argument = rest.popFirst() {
            switch argument {
            case "--sub-buffer":
                guard let value = rest.popFirst().flatMap({ Int($0) }), value > 0 else {
                    throw UsageError(description: "--sub-buffer needs a number of KiB")
                }
                subBufferKilobytes = value
            case "--record":
                guard let value = rest.popFirst().flatMap({ Double($0) }) else {
                    throw UsageError(description: "--record needs a number of seconds")
                }
                seconds = value
            default: path = argument
            }
        }
        let traceCmd = ChildProcess.find("trace-cmd")
        if let seconds {
            if let missing = TracingInstance.missing() { throw UsageError(description: "recording needs \(missing)") }
            let recording = try Recording.make(label: "bench", megabytes: 512, subBufferKilobytes: subBufferKilobytes) {
                $1 >= seconds
            }
            let folder = try TemporaryFolder()
            // trace-cmd takes the size of sub-buffers from the top-level instance, which is not ours to set.
            traceDat =
                subBufferKilobytes == nil
                ? try traceCmd.map { try recording.writeTraceDat(to: folder.path, traceCmd: $0) } : nil
            self.recording = recording
            self.folder = consume folder
        } else if let path {
            recording = try Recording.read(folder: path, subBufferBytes: (subBufferKilobytes ?? 4) * 1024)
            let file = "\(path)/trace.dat"
            traceDat = traceCmd != nil && Files.exists(file) ? file : nil
            folder = nil
        } else {
            throw UsageError(description: "nothing to measure: give --record SECONDS or a folder")
        }
    }
}

func exitWithUsage() -> Never {
    print(usage)
    exit(2)
}

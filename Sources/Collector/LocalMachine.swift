import Capture
import Glibc
import Recorder
import SessionLog
import TraceModel
import Wire

/// This host, as it introduces itself and as a recording names it.
enum LocalMachine {
    static var hello: Hello {
        let facts = MachineFacts.current
        return Hello(
            role: .collector, program: "tandem \(version)", hostname: facts.hostname, bootID: facts.bootID,
            kernelRelease: facts.kernelRelease, cpuCount: facts.cpuCount)
    }

    static func sessionFacts(start: HostTime, options: SessionOptions) -> SessionFacts {
        let facts = MachineFacts.current
        return SessionFacts(
            program: "tandem \(version)", hostname: facts.hostname, kernelRelease: facts.kernelRelease,
            bootID: facts.bootID, start: start, wallClockSeconds: Int64(time(nil)),
            maximumLagNanoseconds: options.maximumLagNanoseconds)
    }

    static func taskNames() -> TaskNamesMessage {
        TaskNamesMessage(
            tasks: TaskNames.all(limit: Limits.taskNames / 4).map {
                TaskNamesMessage.Task(tid: $0.tid, comm: $0.comm.text)
            })
    }
}

package let version = "0.1.0"

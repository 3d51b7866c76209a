package import TraceModel

/// The names of the threads that exist when a session starts: events tell a name only once its thread is switched to.
package enum TaskNames {
    package struct Entry: Hashable, Sendable {
        package var tid: Int32
        package var comm: Comm

        package init(tid: Int32, comm: Comm) {
            self.tid = tid
            self.comm = comm
        }
    }

    /// At most `limit` threads; those that end meanwhile, or that /proc hides, are left out.
    package static func all(limit: Int, in proc: String = "/proc") -> [Entry] {
        var entries: [Entry] = []
        for process in (try? KernelFile.names(in: proc)) ?? [] where Int32(process) != nil {
            let tasks = "\(proc)/\(process)/task"
            for task in (try? KernelFile.names(in: tasks)) ?? [] {
                if entries.count >= limit { return entries }
                guard let tid = Int32(task), let text = try? KernelFile.readBytes("\(tasks)/\(task)/comm") else {
                    continue
                }
                entries.append(Entry(tid: tid, comm: comm(parsing: text)))
            }
        }
        return entries
    }

    /// The name in a `comm` file. A name may hold newlines; the last one is the file's.
    ///
    /// For a kernel worker the file adds what it works on, `kworker/0:1-events` (kernel/workqueue.c, wq_worker_comm),
    /// which is not in its name and so in no event: it is cut off. A rescuer is named `kworker/R-…` throughout.
    package static func comm(parsing text: [UInt8]) -> Comm {
        let name = text.last == UInt8(ascii: "\n") ? text.dropLast() : text[...]
        let prefix = Array("kworker/".utf8)
        guard name.starts(with: prefix), name.dropFirst(prefix.count).first != UInt8(ascii: "R") else {
            return Comm(bytes: name)
        }
        return Comm(bytes: name.prefix { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "+") })
    }
}

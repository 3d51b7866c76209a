/// Who had the CPU while vCPUs waited.
extension Snapshot {
    /// Who had the CPU while a ready vCPU waited for it.
    package struct Culprit: Codable, Hashable, Sendable {
        package enum Kind: String, Codable, Hashable, Sendable {
            /// A vCPU of this or another machine.
            case vcpu
            /// A user-space thread of the host.
            case task
            /// A kernel thread, or the idle task (the wake-up's own latency).
            case kernel
            /// Not known: events were lost, or the list was full.
            case unknown
        }

        package var kind: Kind
        package var name: String
        package var tid: Int32
        /// The machine, when `kind` is `vcpu`.
        package var guest: String?
        package var vcpu: Int?
        /// Ready intervals in which it had the CPU at some time.
        package var count: UInt64
        package var nanoseconds: Int64

        package init(
            kind: Kind, name: String, tid: Int32, guest: String? = nil, vcpu: Int? = nil, count: UInt64,
            nanoseconds: Int64
        ) {
            self.kind = kind
            self.name = name
            self.tid = tid
            self.guest = guest
            self.vcpu = vcpu
            self.count = count
            self.nanoseconds = nanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case kind, name, tid, guest, vcpu, count
            case nanoseconds = "time_ns"
        }
    }

    /// One cell of the matrix "which machine took how much time from which": what a machine's vCPUs waited while somebody
    /// else had their CPU. The row is the guest that holds the cell.
    package struct Taken: Codable, Hashable, Sendable {
        /// `vcpu`: a machine, perhaps the same one; `task`: all user-space threads of the host; `kernel`: all its kernel
        /// threads and the idle task; `unknown`: nobody knows, or the culprit was one too many to keep.
        package var kind: Culprit.Kind
        /// Index in `guests`, when `kind` is `vcpu`; absent for a machine that is listed no more.
        package var guest: Int?
        /// Sum of the culprits' `count`.
        package var count: UInt64
        package var nanoseconds: Int64

        package init(kind: Culprit.Kind, guest: Int? = nil, count: UInt64, nanoseconds: Int64) {
            self.kind = kind
            self.guest = guest
            self.count = count
            self.nanoseconds = nanoseconds
        }

        enum CodingKeys: String, CodingKey {
            case kind, guest, count
            case nanoseconds = "time_ns"
        }
    }
}

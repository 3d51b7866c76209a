/// Every bound of Tandem with its arithmetic. A queue, table or wait without a line here is a defect.
package enum Limits {
    // MARK: Wire

    /// Largest frame body in bytes. The largest legitimate one is an event format with its print format (the longest in
    /// Linux 6.18 is about 20 KiB) or a batch of one 64 KiB sub-buffer, which encoding can lengthen by a varint's worth.
    package static let frameBytes = 1 << 20
    /// Largest first frame of a connection: a hello takes at most 18 KiB and an error 17. A TLS record header, read as a
    /// frame header, claims 65,536 bytes and more, and is so told from a frame without waiting for them.
    package static let greetingBytes = 48 << 10
    /// Largest text in a message (names, errors).
    package static let textBytes = 8192
    /// Largest event filter: 256 of them and their patterns, 853 KB, fit one frame. The kernel takes one page, 4 KiB.
    package static let filterBytes = 3 << 10
    /// Largest event-format text.
    package static let formatBytes = 256 << 10
    /// Events per batch. A 64 KiB sub-buffer holds at most 65,536 / 12 = 5,461 records.
    package static let batchEvents = 16_384
    /// Record bytes per batch: several sub-buffers, so that a round over one CPU is one frame.
    package static let batchRecordBytes = 512 << 10
    /// Loss marks per batch. Every other record of a kernel's pages may be malformed: one mark before each event and one
    /// after the last; two for each of the 64 sub-buffers of a round, and three for what was shed before it.
    package static let batchLosses = batchEvents + 256
    /// Formats per session: one for every event of a kernel (2,305 in Linux 6.18) with room to grow.
    package static let formats = 8192
    /// Bytes of all formats of a session together: the 2,323 of Linux 6.18 have 2.0 MB.
    package static let descriptionBytes = 8 << 20
    /// CPUs of one source (NR_CPUS of distribution kernels is at most 8192).
    package static let cpus = 8192
    /// Patterns in one session request.
    package static let eventPatterns = 256

    // MARK: Flow

    /// Bytes that a guest may have on the way to the collector. At the goal of 1 M events/s and about 12 bytes an event
    /// this is 1/3 s of traffic; at 20,000 events/s, 17 s.
    package static let creditBytes = 4 << 20
    /// Encoded bytes that wait in the agent for credit or for the socket. Beyond it, whole batches are shed and counted.
    package static let agentQueueBytes = 4 << 20
    /// Sub-buffer reads per CPU and round, so that one busy CPU cannot starve the others: 64 × 4 KiB = 256 KiB.
    package static let subBuffersPerRound = 64

    // MARK: Waits (milliseconds)

    package static let connectMilliseconds = 5_000
    /// From connecting to the peer's hello, and for each thing that it has to say or take.
    package static let answerMilliseconds = 10_000
    /// Silence of an agent while it is set up. Four busy guests on one emulated processor were seen to keep an agent from
    /// answering for more than ten seconds.
    package static let setupMilliseconds = 30_000
    /// Silence of a peer after which nothing is known of it. The agent sends a watermark at least every second.
    package static let silenceMilliseconds = 10_000
    /// Without credit, when there is something to send: a collector that is stopped for so long has lost its session, so
    /// that another can have it. Three times what counts as silence, because credit comes in eighths of the window.
    package static let creditMilliseconds = 30_000
    /// Silence of a guest that is to send what it still has, after which it is left behind: as busy as at its set-up.
    package static let drainSilenceMilliseconds = 30_000
    /// From asking for the drain to its end, however much still comes: 64 MiB of ring buffers over a link of 1 MB/s take a
    /// minute; a guest that sends a byte now and then may not hold the session for ever.
    package static let drainMilliseconds = 600_000

    // MARK: Recordings

    /// Bytes of one checkpoint: 288 MiB of events that wait for the merge at the very worst (`mergeEvents`), 256 sources with
    /// full tables of names, and vCPUs at 15 KiB each.
    package static let checkpointBytes = 1 << 30
    /// Bytes of the stream between two checkpoints: some six hundred thousand events, less than two tenths of a second to replay.
    package static let checkpointIntervalBytes: UInt64 = 8 << 20

    // MARK: Clock map

    /// Windows of measurements kept per source; one holds two of 16 bytes. Each doubling halves the resolution, and the
    /// rates are found by looking at all pairs: 32² every 2.1 s.
    package static let clockWindows = 32
    /// Knots of a map that came with a trace; at most 32 bytes each, they fit one frame. trace-cmd writes one a period and
    /// CPU: at one a second, nine hours.
    package static let clockKnots = 32_000

    // MARK: Merge

    /// How far a source may lag behind the host before the merge goes on without it. The agent waits at most
    /// 20 ms between two rounds (`--flush`); this leaves a guest 25 of them to be scheduled.
    package static let mergeLagNanoseconds: Int64 = 500_000_000
    /// The same for sessions in files, where nobody is slow and all is waited for: 36 years.
    package static let mergeLagOfFilesNanoseconds: Int64 = 1 << 60
    /// Events held for the merge over all sources: 500 ms at 8 M events/s; 24 bytes of header and about 48 of record
    /// each, 288 MiB at the very worst. Beyond it the merge goes on without waiting.
    package static let mergeEvents = 4 << 20

    /// Bytes of a file's events that are read ahead of those who take them: some hundred turns of 64 KiB, ten milliseconds of
    /// work.
    package static let readAheadBytes = 8 << 20

    // MARK: Analysis

    /// Samples of steal time, and an end, of one guest that wait for the analysis to come to their time: an agent takes one a
    /// second, the analysis lags half of one. A sample of `cpus` CPUs takes 128 KiB.
    package static let pendingNotesPerGuest = 4
    /// vCPUs followed at once: a large host's worth (2 sockets × 256 threads × 8 overcommit).
    package static let vcpus = 4096
    /// vCPUs that stay listed after their threads ended; the oldest go first. At some 15 KiB each (64 culprits, 128 exit
    /// reasons) 4 MiB at the very worst.
    package static let retiredVCPUs = 256
    /// Culprits kept per vCPU (name, count, time: 64 bytes each); further ones are summed up as `other`.
    package static let culpritsPerVCPU = 64
    /// Exit reasons kept per vCPU; VMX defines 77, SVM about 160 sparse codes; further ones are summed up.
    package static let exitReasonsPerVCPU = 128
    /// Culprits of a whole guest in a snapshot: more than a screen holds. Each is some 100 bytes of JSON.
    package static let culpritsPerGuest = 32
    /// Tasks followed per guest, at some 400 bytes each 1.6 MiB; when there are more, the one that ran least makes room
    /// and goes into `others`.
    package static let tasksPerGuest = 4096
    /// Tasks of a guest in a snapshot: more than a screen holds, and 256 guests' worth stays below 8 MB of JSON.
    package static let tasksPerGuestShown = 64
    /// Exit reasons kept per guest task; a task that meets more has them summed up.
    package static let exitReasonsPerTask = 8
    /// Task names kept per source; at 32 bytes each 2 MiB. Beyond it the table starts anew.
    package static let taskNames = 65_536

    // MARK: Inventory

    /// Processes of one scan: the largest `kernel.pid_max` (include/linux/threads.h, `PID_MAX_LIMIT`).
    package static let processes = 4 << 20
    /// Open files and threads looked at per VMM. QEMU with 1,000 vCPUs and 256 queues has about 3,000 of each.
    package static let filesPerVMM = 65_536
    /// Bytes of a machine's name: a host name's limit. QEMU and libvirt set none.
    package static let machineNameBytes = 255
    /// Addresses, and as many sockets, of one machine; QEMU's q35 has 256 PCI buses at most.
    package static let machineAddresses = 256
    /// Bytes of a path (PATH_MAX, include/uapi/linux/limits.h).
    package static let pathBytes = 4096
    /// Bytes of a VMM's command line: libvirt's longest (hundreds of disks) are some 100 KiB. The rest is not looked at.
    package static let commandLineBytes = 256 << 10
    /// Bytes of a Firecracker configuration: 64 drives and interfaces of 200 bytes, and generous metadata.
    package static let vmmConfigurationBytes = 1 << 20
    /// Nesting of a JSON text on a command line or in a configuration; QEMU's and Firecracker's own go four deep.
    package static let jsonDepth = 32
    /// Bytes of a network namespace's socket table: 100,000 Unix sockets of 160 bytes.
    package static let socketTableBytes = 16 << 20

    // MARK: CTF

    /// Directories below the one that was named: LTTng's deepest are six down (session/archives/rotation/ust/uid/0/64-bit).
    package static let traceDirectoryDepth = 12
    /// CTF traces in one directory: a session rotated every minute for a day has 1,440 parts for each domain.
    package static let traceDirectories = 16_384
    /// Bytes of a stream's packet index: 1.4 million packets of 72 bytes, 360 GB of LTTng's usual 256 KiB.
    package static let packetIndexBytes = 100 << 20
    /// Streams of one CTF trace: 16 channels on 256 CPUs.
    package static let traceStreams = 4096
    /// Environment entries of one CTF trace; LTTng writes 15.
    package static let environmentEntries = 256
    /// Characters of one of them. The longest are an export's: how `kvm_exit` is printed (7,000), 4,096 vCPUs at twelve.
    package static let environmentText = 64 << 10
    /// Fields of one CTF event, nested ones counted by themselves; the longest of Linux has 45.
    package static let eventFields = 256
    /// Structures within structures in one CTF event; LTTng's network headers go four deep.
    package static let nestedFields = 8
    /// Bytes of a CTF event's record without texts and sequences.
    package static let fixedRecordBytes = 16 << 10
    /// Bytes of one text or sequence of a CTF event; what is longer is cut. Linux's longest is a path.
    package static let dynamicFieldBytes = pathBytes
    /// Times of events, and windows of guest mode, that a first reading of a trace keeps: 16 MiB of each at most.
    package static let surveyedTimes = 1 << 20
    /// How far a guest that LTTng traces may lag behind: its events come when the live timer has run out (a second unless told
    /// otherwise), and a packet that was just begun waits for the next time.
    package static let lttngLagNanoseconds: Int64 = 3_000_000_000
    /// What a live session of LTTng keeps while nothing is shown yet, with 32 bytes for each event: some seconds of a busy
    /// host. Beyond it the relay daemon keeps it.
    package static let liveWaitingBytes = 64 << 20
    /// Knots of the map that comes out of two traces.
    package static let syncKnots: UInt64 = 2048
    /// How long events of a CPU wait for the switch that tells which thread was current, in its trace time. An idle CPU
    /// with its tick stopped switches once a second or less.
    package static let threadLookaheadNanoseconds: UInt64 = 250_000_000

    // MARK: trace.dat files

    /// Bytes of one section, decompressed. The largest are the symbols: 12 MB of a kernel with all its modules.
    package static let traceDatSectionBytes = 64 << 20
    /// Bytes of a sub-buffer (4 KiB unless told otherwise): its 10,922 records and the 4,096 of a turn fit one batch.
    package static let traceDatSubBufferBytes: UInt32 = 128 << 10
    /// Bytes of one compressed chunk of events: trace-cmd's have ten sub-buffers.
    package static let traceDatChunkBytes = 16 << 20
    /// Sections of options: trace-cmd writes three, and one more with each step of a conversion.
    package static let traceDatOptionSections = 256
    /// Ring buffers of one file, each a tracefs instance of somebody.
    package static let traceDatBuffers = 1024
    /// Guests of one session: each had a process of trace-cmd for each of its CPUs.
    package static let traceDatGuests = 1024
}

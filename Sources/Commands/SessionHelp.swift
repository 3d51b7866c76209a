import Foundation

/// The help of the verbs whose arguments are parsed by hand.
enum SessionHelp {
    private static let session = """
          -A GUEST            add a guest; the options after it are this guest's. GUEST is
                              NAME@CID[:PORT], NAME@HOST:PORT, NAME@unix:PATH or NAME@unix:PATH?PORT (the VMM's
                              socket of hybrid vsock); the default port is 9823
          -A NAME=net://HOST[:PORT]/host/TARGET/SESSION
                              add a guest that LTTng traces: its live session, through the relay daemon at HOST
          --lttng net://…     an LTTng live session in place of tracing this host; all guests are LTTng's then
          -e EVENTS           events: 'system', 'system:event' or a glob; repeatable. Before the first -A the host's
                              (default: what the analysis needs of sched and kvm), after an -A that guest's
                              (default: sched and irq; with timer:hrtimer_start and power:cpu_idle besides,
                              what the guest does is held against the exits that show it)
          -f FILTER           kernel filter for the events of the -e before it
          -C CLOCK            trace clock: mono_raw, mono, boot, tai, x86-tsc (default: x86-tsc where KVM's own clock
                              settings can be read, which makes the guests' times exact; otherwise mono_raw)
          --kvm-clock FILE    those settings, as 'tandem kvm-clock' printed them, when this user may not read debugfs
          -b KIB              ring buffer per CPU (default 4096)
          --pid PID           the VMM process of the guest before it, when it cannot be found out
          --flush MS          longest time an event waits in its machine (default 20; 1 to 2 while many come)
          --max-lag MS        how far a guest may fall behind before the merge goes on without it (default 500,
                              or five times --flush where that is more; 3000 where LTTng traces a guest)
          --insecure          allow clear-text TCP to other addresses than loopback
        """

    static let record = """
        usage: tandem record [options] [-A GUEST [options]] … [-- COMMAND …]

        Records this host and its guests until Ctrl-C (once: stop and drain; twice: abort), for -d seconds, or while
        COMMAND runs. Needs root here, and tandem-agent in each guest.

        \(session)
          -o DIRECTORY        where the recording goes (default: tandem-DATE-TIME.tandem)
          -d SECONDS          stop after this time
          --keep-last TIME    flight recorder: keep the last TIME (60s, 10m) and remove what is older
          --max-size SIZE     keep the newest SIZE (512M, 2G) on disk
          --save-on RULE      with one of these: save what is kept, as DIRECTORY-saved-N, when RULE is broken, such as
                              ready>500us, web1/0:preempted>2ms, ready>20%, lost>0; repeatable. SIGUSR1 saves too
          --rotate SIZE       begin a new file of the recording whenever one has SIZE
          --compress          compress it (zstd): less space for some CPU time, here and whenever it is read
          --format FORMAT     of the summary: table (default), json, csv
          -q                  no progress line
        """

    static let top = """
        usage: tandem top [options]                          attach to the running session, or watch this host alone
               tandem top [options] -A GUEST [options] …     a session of its own, not recorded

        \(session)
          -d SECONDS          time between two frames (default 1)
          -n COUNT            end after this many frames
          --once              one frame, after one interval; same as -n 1
          --format FORMAT     table (default), json (one object a line), csv
          --table NAME        rows of csv: vcpus (default), culprits, exits, wakeups, histograms, tasks, robbed,
                              matrix, sources, checks, cpus
          --sort COLUMN       ready, running, preemptions, worst, exits, … (any title of the table)
          --session PATH      attach to this control socket
          --no-attach         do not attach to a running session
        """

    /// `tandem-20261121-071500.tandem`, in local time.
    static func defaultDirectory(now: Int) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyyMMdd-HHmmss"
        return "tandem-\(formatter.string(from: Date(timeIntervalSince1970: TimeInterval(now)))).tandem"
    }
}

enum OutputFormat: String, CaseIterable {
    case table, json, csv

    init(argument: String?) throws {
        guard let argument, let format = OutputFormat(rawValue: argument) else {
            throw SessionArguments.Problem(
                description: "--format '\(argument ?? "")' is not one of table, json, csv")
        }
        self = format
    }
}

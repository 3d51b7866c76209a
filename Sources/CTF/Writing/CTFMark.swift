import TraceModel
import Wire

/// Environment entries of Tandem's own exports: what LTTng's have no words for.
enum CTFMark {
    /// The boot id of the host whose time line this trace's clock is.
    static let timeLine = "tandem_time_line"
    /// Where on the host's clock a machine's trace began and ended, which is before the first and after the last event.
    static let start = "tandem_start"
    /// Of the host and of guests.
    static let end = "tandem_end"
    /// Of a guest whose agent was lost: since when nothing is known of it, on the host's clock, and why.
    static let gone = "tandem_gone"
    static let goneReason = "tandem_gone_reason"
    /// An event of a guest: the steal time that its kernel had been told of until then, since its boot, on the event's CPU.
    static let steal = "tandem_steal"
    /// A field of each packet's context: how far its events may be from their true place, at most.
    static let bound = "tandem_clock_bound"
    /// A context of each event, under the kernel's name for it: whether an interrupt handler was at work, and more.
    static let flags = "common_flags"
    /// The source's name.
    static let name = "tandem_name"
    /// Of the host: how its kernel prints `kvm_exit`, where the names of the exit reasons are. CTF has no place for it.
    static let exitPrintFormat = "tandem_kvm_exit_format"
    /// Of a guest: the process that runs it on the host.
    static let vmmPID = "tandem_vmm_pid"
    /// Of the host, numbered: what is known of one virtual machine.
    static let virtualMachine = "tandem_vm_"

    /// What carries the samples of steal time: an event like others.
    static func stealFormat(_ formats: FormatTable) -> EventFormat {
        let field = EventField(
            name: "nanoseconds", type: "u64", offset: 8, size: 8, isSigned: false, kind: .integer)
        let id = (0...UInt16.max).last { formats.typeIndex(ofKernelID: $0) == nil } ?? 0
        return EventFormat(kernelID: id, system: "tandem", name: "steal", fields: [field], text: "")
    }

    /// What stands behind `print fmt:`, with other quotes, because not every reader of CTF knows a quote within a text.
    static func printFormat(_ formats: [FormatMessage]) -> String? {
        let exit = formats.first { $0.system == "kvm" && $0.text.hasPrefix("name: kvm_exit\n") }
        guard let exit, let start = exit.text.firstRange(of: SyntheticFormat.printMark)?.upperBound else { return nil }
        let line = exit.text[start...].prefix { $0 != "\n" }
        return line.contains("'") ? nil : String(line.replacing("\"", with: "'"))
    }

    /// The format, as the kernel of an export had it for `kvm_exit`.
    static func format(_ format: EventFormat, _ environment: [String: String]) -> FormatMessage {
        guard format.fullName == "kvm:kvm_exit", let print = environment[exitPrintFormat],
            let start = format.text.firstRange(of: SyntheticFormat.printMark)?.upperBound
        else { return FormatMessage(system: format.system, text: format.text) }
        return FormatMessage(
            system: format.system, text: format.text[..<start] + print.replacing("'", with: "\"") + "\n")
    }

    /// `PID;kvm|emulated;TID:VCPU[,TID:VCPU…];VMM;NAME`.
    static func text(_ facts: VMFacts) -> String {
        let threads = facts.vcpuThreads.map { "\($0.tid):\($0.vcpu.map { "\($0)" } ?? "")" }.joined(separator: ",")
        let vmm = facts.vmm.replacing(";", with: "_")
        return "\(facts.vmmPID);\(facts.isEmulated ? "emulated" : "kvm");\(threads);\(vmm);\(facts.name)"
    }

    /// Nil when the entry is none of ours.
    static func facts(_ text: String) -> VMFacts? {
        let words = text.split(separator: ";", maxSplits: 4, omittingEmptySubsequences: false)
        guard words.count == 5, let pid = Int32(words[0]) else { return nil }
        let threads = words[2].split(separator: ",").compactMap { word -> VMFacts.Thread? in
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let tid = Int32(parts[0]) else { return nil }
            return VMFacts.Thread(tid: tid, vcpu: Int(parts[1]).flatMap { (0...65_535).contains($0) ? $0 : nil })
        }
        return VMFacts(
            vmmPID: pid, vmm: String(words[3]), name: String(words[4]), vcpuThreads: threads,
            isEmulated: words[1] == "emulated")
    }
}

import Analysis
import Testing
import TraceModel

struct ExitReasonTests {
    private func names(_ teller: Teller) throws -> [String] { try teller.vcpu(31).exits.map(\.reason) }

    @Test(arguments: [
        (Int64(1), Int64(0), "EXCEPTION_NMI"), (1, 12, "HLT"), (1, 48, "EPT_VIOLATION"), (1, 49, "EPT_MISCONFIG"),
        (1, 52, "PREEMPTION_TIMER"), (1, 75, "NOTIFY"), (1, 0x123, "reason 0x123"),
        (1, 0x8000_0021, "INVALID_STATE FAILED_VMENTRY"), (1, 0x0400_000c, "HLT"), (2, 0x78, "HLT"),
        (2, 0x60, "INTR"), (2, 0x4e, "EXCP_PF"), (2, 0x400, "NPF"), (2, 0x8000_0001, "VMGEXIT_MMIO_READ"),
        (2, 0xffff_ffff, "ERR"), (2, 0x999, "reason 0x999"), (9, 12, "reason 0xc"), (0, 12, "reason 0xc"),
    ])
    func `reasons have the names of the kernel's headers`(isa: Int64, reason: Int64, name: String) throws {
        #expect(try names(check([(0, 10, .exit(31, reason, isa: isa))], [:])) == [name])
    }

    @Test
    func `the names of the event's own format go first`() throws {
        var teller = Teller()
        teller.analyzer.bind(.host, name: "host", formats: teller.table) { reason, isa in
            reason == 0x400 && isa == 2 ? "npf" : nil
        }
        teller.tell([(0, 10, .exit(31, 0x400, isa: 2)), (0, 20, .entry(31)), (0, 30, .exit(31, 0x78, isa: 2))])
        #expect(try names(teller) == ["npf", "HLT"])
    }

    @Test
    func `a failed entry is another reason than the exit whose number it has, whoever names them`() throws {
        var teller = Teller()
        teller.analyzer.bind(.host, name: "host", formats: teller.table) { reason, _ in
            reason == 33 ? "INVALID_STATE" : nil
        }
        teller.tell([
            (0, 10, .exit(31, 33)), (0, 20, .entry(31)), (0, 25, .exit(31, 0x8000_0021)), (0, 30, .entry(31)),
        ])
        #expect(try names(teller) == ["INVALID_STATE", "INVALID_STATE FAILED_VMENTRY"])
    }

    @Test
    func `where no isa is told no numbering is guessed, and a table that holds for all serves`() throws {
        let exit = EventFormat(
            kernelID: 103, system: "kvm", name: "kvm_exit",
            fields: [KernelFormats.unsigned("exit_reason", 8), KernelFormats.unsigned("vcpu_id", 56)], text: "")
        for (named, name) in [(nil, "reason 0xc"), ("hlt", "hlt")] as [(String?, String)] {
            var teller = Teller([KernelFormats.entry, exit, KernelFormats.switched])
            teller.analyzer.bind(.host, name: "host", formats: teller.table) { _, isa in isa == 0 ? named : nil }
            teller.tell([(0, 10, .exit(31, 12))])
            #expect(try names(teller) == [name])
            #expect(try teller.vcpu(31).state.state == .hypervisor)
        }
    }

    @Test(arguments: [(Int64(2), Int64(0x24), "DABT_LOW"), (0, 0, "IRQ"), (2, 0x01, "WFx"), (2, 0x02, "reason 0x2")])
    func `arm64 has exception classes and codes`(code: Int64, exceptionClass: Int64, name: String) throws {
        var teller = Teller([KernelFormats.armEntry, KernelFormats.armExit, KernelFormats.switched])
        var batch = EventBatch(cpu: 0)
        batch.append("kvm_entry", of: teller.table, pid: 31)
        batch.append("kvm_exit", of: teller.table, pid: 31, ["ret": code, "esr_ec": exceptionClass])
        teller.analyzer.apply(
            batch, times: [HostTime(nanoseconds: 5), HostTime(nanoseconds: 9)], range: 0..<2, source: .host,
            boundNanoseconds: 0)
        #expect(try names(teller) == [name])
        #expect(try teller.vcpu(31).vcpu == nil)
        #expect(try teller.vcpu(31).state.state == (name == "WFx" ? .polling : .hypervisor))
    }

    @Test(arguments: [(false, VCPUState.polling, UInt64(1)), (true, .hypervisor, 0)])
    func `arm64 halts for WFI, and yields for WFE`(isWFE: Bool, state: VCPUState, polled: UInt64) throws {
        var teller = Teller([
            KernelFormats.armEntry, KernelFormats.armExit, KernelFormats.armWait, KernelFormats.switched,
        ])
        var batch = EventBatch(cpu: 0)
        batch.append("kvm_entry", of: teller.table, pid: 31)
        batch.append("kvm_exit", of: teller.table, pid: 31, ["ret": 2, "esr_ec": 1])
        teller.analyzer.apply(
            batch, times: [HostTime(nanoseconds: 5), HostTime(nanoseconds: 9)], range: 0..<2, source: .host,
            boundNanoseconds: 0)
        teller.tell([(0, 10, .waitTrapped(31, isWFE: isWFE))])
        #expect(try teller.vcpu(31).state.state == state)
        teller.tell([(0, 20, .entry(31))])
        #expect(try teller.vcpu(31).halts.polled == polled)
    }

    @Test
    func `exits are listed by time, largest first, with exact counts`() throws {
        var steps: [Step] = []
        for round in 0..<Int64(100) {
            let reason = round % 7
            steps += [(0, round * 10, .entry(31)), (0, round * 10 + 9 - reason, .exit(31, reason))]
        }
        let teller = check(steps + [(0, 1000, .entry(31))], [:])
        let exits = try teller.vcpu(31).exits
        #expect(exits.map(\.nanoseconds) == exits.map(\.nanoseconds).sorted(by: >))
        #expect(exits.reduce(0) { $0 + $1.count } == 100)
        let handled = exits.reduce(0) { $0 + $1.nanoseconds }
        #expect(handled == (try teller.vcpu(31).times[.hypervisor]))
    }

    @Test
    func `beyond the limit further reasons are summed up`() throws {
        var steps: [Step] = []
        let reasons = Int64(Limits.exitReasonsPerVCPU) + 5
        for reason in 0..<reasons {
            steps += [(0, reason * 10, .entry(31)), (0, reason * 10 + 4, .exit(31, 0x1000 + reason, isa: 2))]
        }
        let teller = check(steps + [(0, reasons * 10, .entry(31))], [:])
        let exits = try teller.vcpu(31).exits
        #expect(exits.count == Limits.exitReasonsPerVCPU + 1)
        #expect(exits.last == Snapshot.Exit(reason: "other", count: 5, nanoseconds: 5 * 6))
    }
}

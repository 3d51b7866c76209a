import Analysis
import Testing
import TraceModel

/// The stub trace "OneQemuKvm" of Trace Compass's own tests: host thread 31 is vCPU 0, thread 30 takes its CPU twice.
///
/// Trace Compass's RUNNING is our running, its VMM our hypervisor, its PREEMPT our preempted, as long as prev_state is
/// runnable throughout. It knows nothing before the guest's first switch at 10; we know the host's half of it at 1.
struct TraceCompassTests {
    private let story: [Step] = [
        (0, 1, .switched(30, 31)), (0, 5, .entry(31)), (0, 10, .guestSwitched(130, 131)),
        (0, 35, .guestSwitched(131, 130)), (0, 45, .exit(31, 32)), (0, 60, .entry(31)),
        (0, 75, .guestSwitched(130, 131)), (0, 95, .exit(31, 32)), (0, 100, .switched(31, 30)),
        (0, 150, .switched(30, 31)), (0, 155, .entry(31)), (0, 175, .guestSwitched(131, 130)),
        (0, 195, .exit(31, 32)), (0, 210, .entry(31)), (0, 225, .guestSwitched(130, 131)), (0, 245, .exit(31, 32)),
        (0, 260, .entry(31)), (0, 275, .guestSwitched(131, 130)), (0, 295, .exit(31, 32)),
        (0, 300, .switched(31, 30)), (0, 350, .switched(30, 31)), (0, 355, .entry(31)),
        (0, 375, .guestSwitched(130, 131)), (0, 375, .time),
    ]

    @Test
    func `the stub's states`() throws {
        let teller = check(
            [(0, 1, .linked(pid: 29))] + story,
            [
                31: "hypervisor 1, running 5, hypervisor 45, running 60, hypervisor 95, preempted 100, "
                    + "hypervisor 150, running 155, hypervisor 195, running 210, hypervisor 245, running 260, "
                    + "hypervisor 295, preempted 300, hypervisor 350, running 355"
            ], start: 1)
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.guestTID == 131)
        #expect(vcpu.preemptions == 2)
        #expect(vcpu.culprits.map(\.tid) == [30])
        #expect(vcpu.culprits.map(\.nanoseconds) == [100])
        #expect(vcpu.exits.map(\.reason) == ["MSR_WRITE"])
        #expect(teller.analyzer.anomalies.nonZero.isEmpty)
    }

    @Test
    func `the stub's published totals`() throws {
        var teller = Teller(start: 1)
        teller.tell([(0, 1, .identified(machine(threads: [31]))), (0, 1, .linked(pid: 29))])
        let first = try #require(story.firstIndex { $0.at == 10 })
        teller.tell(Array(story[..<first]) + [(0, 10, .time)])
        let unknownToThem = try teller.vcpu(31).times
        teller.tell(Array(story[first...]))
        let times = try teller.vcpu(31).times - unknownToThem
        #expect(unknownToThem.total == 9)
        #expect(times[.running] == 200)
        #expect(times[.hypervisor] == 65)
        #expect(times[.preempted] == 100)
        #expect(times.total == 365)
    }

    // MARK: The published tables (Trace Compass Incubator, test stubs of OneQemuKvm)

    /// Every instant from 1 to 375 with what the analyzer shows then, once all events of that instant are told.
    private func instants(_ story: [Step], from first: Int64 = 1) -> [(at: Int64, snapshot: Snapshot)] {
        var teller = Teller(start: first)
        teller.tell([(0, first, .identified(machine(threads: [31]))), (0, first, .linked(pid: 29))])
        return (first...375).map { time in
            teller.tell(story.filter { $0.at == time } + [(0, time, .time)])
            return (time, teller.analyzer.snapshot())
        }
    }

    /// `1-9 UNKNOWN, 10-44 RUNNING`: stretches of one text, without those of an empty one.
    private func stretches(_ texts: [(at: Int64, text: String)]) -> String {
        var list: [(from: Int64, to: Int64, text: String)] = []
        for (time, text) in texts {
            if let last = list.last, last.text == text, last.to == time - 1 {
                list[list.count - 1].to = time
            } else if !text.isEmpty {
                list.append((time, time, text))
            }
        }
        return list.map { $0.from == $0.to ? "\($0.from) \($0.text)" : "\($0.from)-\($0.to) \($0.text)" }
            .joined(separator: ", ")
    }

    private func vcpu(_ snapshot: Snapshot) throws -> Snapshot.VCPU { try #require(snapshot.guests.first?.vcpus.first) }

    private func words(_ value: Int) -> String {
        [["UNKNOWN", "IDLE", "RUNNING"][value & 3], value & 128 == 0 ? "" : "VMM", value & 256 == 0 ? "" : "PREEMPT"]
            .filter { !$0.isEmpty }.joined(separator: " ")
    }

    @Test
    func `the table of vCPU values`() throws {
        let values = try instants(story).map { ($0.at, words(try vcpu($0.snapshot).traceCompassValue)) }
        #expect(
            stretches(values)
                == "1-9 UNKNOWN, 10-44 RUNNING, 45-59 RUNNING VMM, 60-94 RUNNING, 95-99 RUNNING VMM, "
                + "100-149 RUNNING VMM PREEMPT, 150-154 RUNNING VMM, 155-194 RUNNING, 195-209 RUNNING VMM, "
                + "210-244 RUNNING, 245-259 RUNNING VMM, 260-294 RUNNING, 295-299 RUNNING VMM, "
                + "300-349 RUNNING VMM PREEMPT, 350-354 RUNNING VMM, 355-375 RUNNING")
    }

    @Test(arguments: [
        (
            Int32(130), "35-74 run, 175-224 run, 275-374 run",
            "45-59 VMM, 195-209 VMM, 295-299 VMM, 300-349 PREEMPT, 350-354 VMM"
        ),
        (131, "10-34 run, 75-174 run, 225-274 run, 375 run", "95-99 VMM, 100-149 PREEMPT, 150-154 VMM, 245-259 VMM"),
    ])
    func `the tables of threads and of what they are robbed of`(tid: Int32, run: String, robbed: String) throws {
        let vcpus = try instants(story).map { ($0.at, try vcpu($0.snapshot)) }
        #expect(stretches(vcpus.map { ($0.0, $0.1.guestTID == tid ? "run" : "") }) == run)
        let overlay = vcpus.map { time, vcpu in
            let value = vcpu.traceCompassValue
            return (time, vcpu.guestTID != tid || value < 128 ? "" : value & 256 == 0 ? "VMM" : "PREEMPT")
        }
        #expect(stretches(overlay) == robbed)
        // The reason of each VMM part is MSR_WRITE, VMX's number 32; preempted, the thread was runnable.
        for (_, vcpu) in vcpus where vcpu.guestTID == tid {
            if vcpu.state.state == .hypervisor, vcpu.exitReason != nil { #expect(vcpu.exitReason == "MSR_WRITE") }
        }
    }

    @Test
    func `the robbed time of each thread, summed up`() throws {
        let last = try #require(instants(story).last?.snapshot)
        #expect(last.guests.first?.vcpus.map(\.hostTID) == [31])
        let tasks = try #require(last.guests.first?.tasks)
        let sums = tasks.map { [Int64($0.tid), $0.believedNanoseconds, $0.times[.preempted], $0.times[.hypervisor]] }
        #expect(sums == [[130, 190, 50, 40], [131, 175, 50, 25]])
        #expect(
            tasks.map(\.robbedBy) == [
                [.init(reason: "MSR_WRITE", nanoseconds: 40)], [.init(reason: "MSR_WRITE", nanoseconds: 25)],
            ])
    }

    /// Trace Compass's fused view begins when every role is known, at 50, and knows the host's thread from its first switch
    /// on, at 100; the guest's switches it follows from 50 on. We know more, and so are told of no more.
    @Test
    func `the table of the physical CPU, whichever layer is on it`() throws {
        let known = story.filter { step in
            if case .guestSwitched = step.happening { step.at >= 50 } else { step.at >= 100 }
        }
        var rows: [(at: Int64, machine: String, thread: String)] = []
        for (time, snapshot) in instants(known, from: 50) {
            guard let cpu = snapshot.host.cpus.first, let guest = cpu.guest.map({ snapshot.guests[$0] }),
                let vcpu = guest.vcpus.first, vcpu.state.state == .running
            else {
                let cpu = snapshot.host.cpus.first
                rows.append((time, "host", cpu.map { "\($0.tid)" } ?? ""))
                continue
            }
            rows.append((time, "guest", vcpu.guestTID.map { "\($0)" } ?? ""))
        }
        #expect(
            stretches(rows.map { ($0.at, $0.machine) })
                == "50-154 host, 155-194 guest, 195-209 host, 210-244 guest, 245-259 host, 260-294 guest, 295-354 host, "
                + "355-375 guest")
        #expect(
            stretches(rows.map { ($0.at, $0.thread) })
                == "100-149 30, 150-154 31, 155-174 131, 175-194 130, 195-209 31, 210-224 130, 225-244 131, 245-259 31, "
                + "260-274 131, 275-294 130, 295-299 31, 300-349 30, 350-354 31, 355-374 130, 375 131")
    }
}

import Testing
import TraceModel
import Views

struct OtherViewsTests {
    @Test(arguments: [
        (200, "00:01:23  host 48.2k/s  web1 12.1k/s  db2 9.80k/s  lost 0  lag 12.4 ms  clock ±1.24 µs  118 MB"),
        (80, "00:01:23  host 48.2k/s  lost 0  lag 12.4 ms  clock ±1.24 µs  118 MB"),
        (60, "00:01:23  host 48.2k/s  lost 0  lag 12.4 ms  118 MB"),
        (25, "00:01:23  lost 0  118 MB"),
        (10, "00:01:23"),
        (3, ""),
    ])
    func `the progress line drops what tells least`(width: Int, text: String) {
        let scenario = Scenario.competing
        let line = ProgressLine.render(
            current: scenario.current, previous: scenario.previous, bytesWritten: 118_400_000, width: width)
        #expect(line.text == text)
    }

    @Test
    func `every row of a CSV has the header's fields, and quotes survive`() throws {
        var snapshot = Scenario.hostile.current
        snapshot.guests[0].vcpus[0].guestTask = "a,\"b\""
        snapshot.guests[0].vcpus[0].detail = nil
        let header = try #require(parse(CSVView.header).first)
        let rows = parse(CSVView.rows(snapshot))
        #expect(rows.count == snapshot.guests[0].vcpus.count)
        #expect(rows.allSatisfy { $0.count == header.count })
        #expect(Set(header).count == header.count)
        let first = Dictionary(uniqueKeysWithValues: zip(header, rows[0]))
        #expect(first["guest_task"] == "a,\"b\"")
        #expect(first["vmm"] == "\"quoted\",vmm")
        #expect(first["detail"] == "")
        #expect(first["clock_bound_ns"] == "")
        #expect(first["preemptions"] == "\(UInt64.max)")
    }

    @Test(arguments: CSVTable.allCases)
    func `every table has as many fields in its rows as in its heading, and rows where there is something`(
        table: CSVTable
    ) throws {
        for scenario: Scenario in [.rich, .hostile] {
            let header = try #require(parse(table.header).first)
            let rows = parse(table.rows(scenario.current))
            #expect(!rows.isEmpty)
            #expect(rows.allSatisfy { $0.count == header.count })
            #expect(Set(header).count == header.count)
        }
    }

    @Test
    func `the histograms of a CSV hold every duration once`() throws {
        let snapshot = Scenario.rich.current
        let header = try #require(parse(CSVTable.histograms.header).first)
        let rows = parse(CSVTable.histograms.rows(snapshot)).map { Dictionary(uniqueKeysWithValues: zip(header, $0)) }
        for vcpu in snapshot.guests[0].vcpus {
            let ready = rows.filter {
                $0["vm"] == "web1" && $0["vcpu"] == vcpu.vcpu.map { "\($0)" } && $0["of"] == "ready"
            }
            #expect(ready.compactMap { $0["count"].flatMap { UInt64($0) } }.reduce(0, +) == vcpu.ready?.count)
            #expect(
                zip(ready, ready.dropFirst()).allSatisfy {
                    Int64($0["below_ns"] ?? "") ?? 0 <= Int64($1["from_ns"] ?? "") ?? 0
                })
        }
    }

    @Test
    func `what the host's events cannot tell is an empty field and no zero`() throws {
        var snapshot = Scenario.rich.current
        snapshot.host.sees.scheduling = false
        let header = try #require(parse(CSVView.header).first)
        func row() throws -> [String: String] {
            Dictionary(uniqueKeysWithValues: zip(header, try #require(parse(CSVView.rows(snapshot)).first)))
        }
        let scheduling = [
            "preempted_ns", "waking_ns", "blocked_ns", "preemptions", "wakeups", "worst_preemption_ns", "ready_count",
            "ready_p99_ns", "wakeup_latency_count",
        ]
        let guestMode = ["running_ns", "hypervisor_ns", "userspace_ns", "polling_ns", "halted_ns"]
        var first = try row()
        #expect(scheduling.filter { first[$0] != "" } == [])
        #expect(guestMode.filter { first[$0] == "" } == [])
        snapshot.host.sees.scheduling = true
        snapshot.host.sees.guestMode = false
        first = try row()
        #expect(guestMode.filter { first[$0] != "" } == [])
        #expect(scheduling.filter { first[$0] == "" } == [])
    }

    @Test
    func `without context switches no line of a report says that there was no waiting`() throws {
        var snapshot = Scenario.rich.current
        snapshot.host.sees.scheduling = false
        for guest in snapshot.guests.indices {
            snapshot.guests[guest].culprits = []
            snapshot.guests[guest].takenBy = []
            for vcpu in snapshot.guests[guest].vcpus.indices {
                snapshot.guests[guest].vcpus[vcpu].times = times([.running: 50, .hypervisor: 9, .halted: 41])
                snapshot.guests[guest].vcpus[vcpu].preemptions = 0
                snapshot.guests[guest].vcpus[vcpu].worstPreemptionNanoseconds = 0
                snapshot.guests[guest].vcpus[vcpu].culprits = []
                snapshot.guests[guest].vcpus[vcpu].ready = nil
            }
        }
        let text = SummaryView.render(snapshot, width: 160).plainText
        #expect(!text.contains("never waited") && !text.contains("No machine has waited"))
        // READY, HALTED, BLOCKED, PREEMPTIONS and WORST.
        let row = try #require(text.split(separator: "\n").first { $0.hasPrefix("web1/0") })
        #expect(row.split(separator: " ").count { $0 == "?" } == 5, "\(row)")
    }

    @Test
    func `the columns of a CSV are a promise`() {
        #expect(
            CSVView.header == """
                window_start_ns,window_end_ns,vm,vmm,vmm_pid,vcpu,host_tid,host_cpu,state,since_ns,detail,guest_task,\
                guest_tid,running_ns,hypervisor_ns,userspace_ns,polling_ns,preempted_ns,waking_ns,halted_ns,blocked_ns,\
                on_cpu_ns,unknown_ns,preemptions,wakeups,migrations,worst_preemption_ns,worst_preemption_at_ns,exits,\
                top_culprit,top_culprit_kind,top_culprit_ns,agent,clock_quality,clock_bound_ns,events_lost,\
                losses_of_unknown_size,ready_count,ready_total_ns,ready_p50_ns,ready_p99_ns,ready_p99_9_ns,ready_max_ns,\
                ready_max_at_ns,wakeup_latency_count,wakeup_latency_total_ns,wakeup_latency_p50_ns,\
                wakeup_latency_p99_ns,wakeup_latency_p99_9_ns,wakeup_latency_max_ns,wakeup_latency_max_at_ns,exit,\
                lower_bounds,halts_polled,halts_slept,poll_limit_ns,guest_busy_ns,guest_idle_ns,guest_unknown_ns,\
                guest_uncertain_ns,steal_told_ns,steal_ready_ns,steal_from_ns,steal_until_ns,steal_unknown_ns

                """)
    }

    /// RFC 4180, as a reader sees it.
    private func parse(_ text: String) -> [[String]] {
        var rows: [[String]] = []
        var row: [String] = []
        var field = ""
        var isQuoted = false
        var wasQuote = false
        for scalar in text.unicodeScalars {
            if isQuoted, scalar != "\"" {
                field.unicodeScalars.append(scalar)
                continue
            }
            switch scalar {
            case "\"":
                if !isQuoted, wasQuote { field.unicodeScalars.append("\"") }
                isQuoted.toggle()
                wasQuote = !isQuoted
                continue
            case ",":
                row.append(field)
                field = ""
            case "\n":
                rows.append(row + [field])
                row = []
                field = ""
            default: field.unicodeScalars.append(scalar)
            }
            wasQuote = false
        }
        return rows
    }

    @Test
    func `an agent without a machine is shown, not forgotten`() {
        var snapshot = Scenario.competing.current
        snapshot.sources.append(source("stranger", events: 7))
        let frame = TopView.render(current: snapshot, previous: nil, options: TopOptions(), width: 120, height: 24)
        #expect(frame.plainText.contains("stranger  agent live  lost 0  no machine of this host is known to be it"))
    }
}

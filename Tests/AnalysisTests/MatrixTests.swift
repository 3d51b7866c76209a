import Analysis
import Testing
import TraceModel

/// Who took how much from whom, by machine.
struct MatrixTests {
    @Test
    func `a machine's waits by who had the CPU: itself, another machine, the host's tasks, its kernel`() throws {
        var teller = Teller()
        teller.tell([
            (0, 0, .identified(machine("web1", threads: [31, 32]))),
            (0, 0, .identified(machine("db", pid: 49, threads: [51]))), (0, 0, .switched(0, 31)),
            (0, 10, .switched(31, 32)), (0, 30, .switched(32, 51)), (0, 60, .switched(51, 900)),
            (0, 70, .switched(900, 0, state: 1)), (0, 75, .switched(0, 31)), (0, 80, .time),
        ])
        let guests = teller.analyzer.snapshot().guests
        #expect(
            guests[0].takenBy
                == [
                    .init(kind: .vcpu, guest: 1, count: 2, nanoseconds: 60),
                    .init(kind: .task, count: 2, nanoseconds: 20),
                    .init(kind: .vcpu, guest: 0, count: 2, nanoseconds: 25),
                    .init(kind: .kernel, count: 2, nanoseconds: 10),
                ].sorted { $0.nanoseconds > $1.nanoseconds })
        #expect(guests[0].culprits.map(\.name) == ["thread-51", "thread-32", "thread-900", "swapper", "thread-31"])
        #expect(guests[0].culprits.map(\.nanoseconds) == [60, 20, 20, 10, 5])
        #expect(guests[1].takenBy.map(\.kind) == [.task, .kernel, .vcpu])
    }

    @Test
    func `a host CPU shows whose vCPU is on it`() throws {
        let teller = check([(0, 1, .switched(30, 31)), (1, 2, .switched(0, 30))], [:])
        let cpus = teller.analyzer.snapshot().host.cpus
        #expect(cpus.map(\.guest) == [0, nil])
        #expect(cpus.map(\.vcpu) == [0, nil])
    }

    @Test
    func `the durations of ready intervals, with the longest and when it began`() throws {
        var steps: [Step] = [(0, 0, .switched(30, 31))]
        for length in Int64(1)...100 {
            let time = length * 1000
            steps += [(0, time, .switched(31, 30)), (0, time + length, .switched(30, 31))]
        }
        let ready = try #require(try check(steps, [:]).vcpu(31).ready)
        #expect(ready.count == 100)
        #expect(ready.totalNanoseconds == 5050)
        #expect(ready.p50Nanoseconds == 50)
        #expect(ready.p99Nanoseconds == 99)
        #expect(ready.p999Nanoseconds == 100)
        #expect(ready.maximumNanoseconds == 100)
        #expect(ready.maximumAtNanoseconds == 100_000)
        #expect(ready.countsByPowerOfTwo == [1, 2, 4, 8, 16, 32, 37])
    }

    @Test
    func `an interval that ends in a loss is in no distribution`() throws {
        let teller = check(
            [(0, 1, .switched(30, 31)), (0, 10, .switched(31, 30)), (0, 20, .lost()), (0, 30, .other(30))], [:])
        let vcpu = try teller.vcpu(31)
        #expect(vcpu.ready == nil)
        #expect(vcpu.isLowerBound)
    }
}

import Capture
import Testing
import TraceModel

/// KVM's numbers, as debugfs shows them, played by folders of plain files.
struct KVMClockFilesTests {
    private func reading(
        _ pid: Int32, _ vcpu: Int, _ offset: Int64, _ ratio: UInt64 = 1, _ bits: UInt8 = 0
    ) -> KVMClockReading {
        KVMClockReading(
            vmmPID: pid, vcpu: KVMClock.VCPU(vcpu: vcpu, offset: offset, ratio: ratio, fractionBits: bits))
    }

    @Test
    func `each vCPU of each machine is read, counted without gaps as its guest counts`() throws {
        let tree = try FakeTree([
            "exits": "17\n", "4711-12/vcpu0/tsc-offset": "-123456789\n", "4711-12/vcpu2/tsc-offset": "-123456788\n",
            "4711-12/vcpu10/tsc-offset": "5\n", "4711-12/halt_exits": "3\n", "99-7/vcpu0/tsc-offset": "-1\n",
            "99-7/vcpu0/tsc-scaling-ratio": "2147483648\n", "99-7/vcpu0/tsc-scaling-ratio-frac-bits": "32\n",
        ])
        let readings = try KVMClockFiles.read(tree.path).sorted {
            ($0.vmmPID, $0.vcpu.vcpu) < ($1.vmmPID, $1.vcpu.vcpu)
        }
        #expect(
            readings == [
                reading(99, 0, -1, 2_147_483_648, 32), reading(4711, 0, -123_456_789), reading(4711, 1, -123_456_788),
                reading(4711, 2, 5),
            ])
    }

    @Test
    func `what is no number, or no machine, is left out`() throws {
        let tree = try FakeTree([
            "abc-1/vcpu0/tsc-offset": "1\n", "12-3/vcpuX/tsc-offset": "1\n", "12-3/vcpu0/tsc-offset": "much\n",
            "12-3/vcpu1/tsc-offset": "7\n", "12-3/vcpu1/tsc-scaling-ratio": "9\n",
        ])
        // A ratio of which the bits are not known is none. The vCPU without an offset still has its number.
        #expect(try KVMClockFiles.read(tree.path) == [reading(12, 1, 7)])
        #expect(throws: CaptureError.self) { _ = try KVMClockFiles.read("\(tree.path)/nothing") }
    }

    @Test
    func `a line says all of a reading, and nothing else is one`() {
        for one in [reading(1, 0, .min), reading(.max, Limits.vcpus - 1, .max, .max, 63), reading(7, 3, -5, 1, 0)] {
            #expect(KVMClockReading(line: one.line) == one)
        }
        for text in ["", "1 2 3 4", "1 2 3 4 5 6", "x 0 0 1 0", "1 -1 0 1 0", "1 \(Limits.vcpus) 0 1 0", "1 0 0 -1 0"] {
            #expect(KVMClockReading(line: text) == nil, "'\(text)'")
        }
    }
}

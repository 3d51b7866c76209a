import Testing
import Wire

/// The vectors of xxHash's own `tests/sanity_test_vectors.h`, computed over its generated buffer.
struct ChecksumTests {
    private static let buffer: [UInt8] = {
        var generator: UInt64 = 2_654_435_761
        return (0..<256).map { _ in
            defer { generator &*= 11_400_714_785_074_694_797 }
            return UInt8(truncatingIfNeeded: generator >> 56)
        }
    }()

    private func check(_ bytes: [UInt8], seed: UInt64, _ expected: UInt64) {
        #expect(bytes.withUnsafeBytes { Checksum.xxh64($0, seed: seed) } == expected)
    }

    @Test(
        arguments: [
            (0, 0xEF46_DB37_51D8_E999, 0xAC75_FDA2_929B_17EF), (1, 0xE934_A84A_DB05_2768, 0x5014_6076_43A9_B4C3),
            (4, 0x9136_A0DC_A574_57EE, 0xCAAB_286B_D8E9_FDB5), (8, 0xCDBC_F538_E71D_1348, 0xFE0C_047A_5353_CDAC),
            (14, 0x8282_DCC4_994E_35C8, 0xC3BD_6BF6_3DEB_6DF0), (31, 0x299B_39A2_90E6_D783, 0xDA67_3D5F_EB5C_1D79),
            (32, 0x18B2_1649_2BB4_4B70, 0xB3F3_3BDF_93AD_E409), (33, 0x55C8_DC3E_578F_5B59, 0xE92C_292F_64BC_3071),
            (63, 0xA9EF_BE0F_A0F3_F4E7, 0x6C91_1FAD_B05B_6FC2), (64, 0xEF55_8F8A_CAC2_B5CD, 0xB5EE_BA99_264C_C44F),
            (222, 0xB641_AE8C_B691_C174, 0x20CB_8AB7_AE10_C14A),
        ] as [(Int, UInt64, UInt64)])
    func `XXH64 gives the published values for every way through its tail`(
        count: Int, unseeded: UInt64, seeded: UInt64
    ) {
        check(Array(ChecksumTests.buffer.prefix(count)), seed: 0, unseeded)
        check(Array(ChecksumTests.buffer.prefix(count)), seed: 2_654_435_761, seeded)
    }

    @Test
    func `XXH64 of short texts is what the reference implementation prints`() {
        check(Array("a".utf8), seed: 0, 0xD24E_C4F1_A98C_6E5B)
        check(Array("abc".utf8), seed: 0, 0x44BC_2CF5_AD77_0999)
        check(Array("abc".utf8), seed: .max, 0x2830_6E58_9CC0_2176)
        check(Array("Nobody inspects the spammish repetition".utf8), seed: 0, 0xFBCE_A83C_8A37_8BF1)
    }

    @Test
    func `where the bytes lie in memory does not matter`() {
        for shift in 0..<16 {
            let shifted = [UInt8](repeating: 0xee, count: shift) + ChecksumTests.buffer.prefix(222)
            shifted.withUnsafeBytes {
                #expect(
                    Checksum.xxh64(UnsafeRawBufferPointer(rebasing: $0[shift...]), seed: 0) == 0xB641_AE8C_B691_C174)
            }
        }
    }
}

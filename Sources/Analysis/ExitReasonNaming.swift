/// How the host's own `kvm_exit` format names exit reasons (reason, `isa`). A function is no state: a checkpoint leaves it out,
/// and whoever restores one gives it again, by `Analyzer.restore`.
struct ExitReasonNaming: Sendable, Codable {
    var name: @Sendable (UInt64, UInt64) -> String? = { _, _ in nil }

    init() {}

    init(from decoder: any Decoder) throws {}

    func encode(to encoder: any Encoder) throws {}
}

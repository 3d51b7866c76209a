import Testing

/// Tandem between a real KVM host and its real guests. `Deploy/lab/check` boots a lab, runs these tests in it, one after the
/// other, and ends the lab whatever comes of them.
///
/// The lab is emulated where the machine has no hardware virtualization, and the machine may be busy: so tests compare
/// shares, counts and names, and never a duration with a limit. What waits, waits for something to be so.
@Suite(.serialized, .enabled(if: Lab.isUp, Lab.missing), .timeLimit(.minutes(10)))
struct LabTests {}

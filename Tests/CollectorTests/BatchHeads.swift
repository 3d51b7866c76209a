import Wire

/// What an encoded batch says of itself, read without its decoder.
enum BatchHeads {
    /// The second number behind the fixed part.
    static func eventCount(_ body: [UInt8]) throws -> UInt64 {
        var reader = BodyReader(Array(body.dropFirst(4)), message: "batch")
        _ = try reader.unsigned()
        return try reader.unsigned()
    }
}

/// Arrays of fixed size as lists, so that states that hold one can be written into checkpoints.
extension InlineArray: @retroactive Encodable where Element: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var list = encoder.unkeyedContainer()
        for index in indices { try list.encode(self[index]) }
    }
}

extension InlineArray: @retroactive Decodable where Element: Decodable {
    public init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        try self.init { (_: Int) throws in try list.decode(Element.self) }
    }
}

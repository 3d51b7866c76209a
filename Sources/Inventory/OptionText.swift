/// Pieces of command lines that several VMMs spell alike, and the forms in which identities are compared.

/// The value of the first of `options` that is there.
func value(of options: [String], in arguments: [String]) -> String? { values(of: options, in: arguments).first }

/// The values given to any of `options`: `--x v`, `--x=v`, and `--x v w` for a list (or `--x v` before an operand).
func values(of options: [String], in arguments: [String]) -> [String] {
    var values: [String] = []
    var isTaking = false
    for argument in arguments.dropFirst() {
        guard argument.hasPrefix("-") else {
            if isTaking { values.append(argument) }
            continue
        }
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let isWanted = parts.first.map { options.contains(String($0)) } ?? false
        isTaking = isWanted && parts.count == 1
        if isWanted, parts.count == 2 { values.append(String(parts[1])) }
    }
    return values
}

/// `a=1,b=2` or `{"a":1,"b":"2"}` as a dictionary; a first word without `=` is the value of `bareKey`.
///
/// A doubled comma is a comma of the value (qemu(1): `-drive file=my,,file`).
func properties(_ text: String, bareKey: String = "") -> [String: String] {
    if text.utf8.first == UInt8(ascii: "{") {
        guard case .object(let members)? = JSONValue(text.utf8) else { return [:] }
        return members.compactMapValues(\.text)
    }
    var properties: [String: String] = [:]
    for (index, item) in commaSeparated(text).enumerated() {
        let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 {
            properties[String(parts[0])] = String(parts[1])
        } else if index == 0, !item.isEmpty {
            properties[bareKey] = item
        }
    }
    return properties
}

private func commaSeparated(_ text: String) -> [String] {
    let bytes = Array(text.utf8)
    var items: [String] = []
    var item: [UInt8] = []
    var index = 0
    while index < bytes.count {
        if bytes[index] != UInt8(ascii: ",") {
            item.append(bytes[index])
        } else if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: ",") {
            item.append(UInt8(ascii: ","))
            index += 1
        } else {
            items.append(String(decoding: item, as: UTF8.self))
            item.removeAll()
        }
        index += 1
    }
    return items + [String(decoding: item, as: UTF8.self)]
}

/// A guest's vsock context id; 0 to 2 and the highest are not a guest's (linux/vm_sockets.h).
func vsockCID(_ text: String) -> UInt32? {
    let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
    let cid = isHexadecimal ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    guard let cid, cid > 2, cid < .max else { return nil }
    return cid
}

/// `8-4-4-4-12` hexadecimal digits, in lower case; nil for anything else.
func machineUUID(_ text: String) -> String? {
    let groups = text.split(separator: "-", omittingEmptySubsequences: false)
    guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12], groups.allSatisfy({ $0.allSatisfy(\.isASCIIHexDigit) }) else {
        return nil
    }
    return text.lowercased()
}

/// Six pairs of hexadecimal digits, in lower case and with colons; nil for anything else and for the address of no card.
func macAddress(_ text: String) -> String? {
    let groups = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
    guard groups.count == 6, groups.allSatisfy({ $0.utf8.count == 2 && $0.allSatisfy(\.isASCIIHexDigit) }) else {
        return nil
    }
    let mac = groups.joined(separator: ":").lowercased()
    return mac == "00:00:00:00:00:00" ? nil : mac
}

extension Character {
    fileprivate var isASCIIHexDigit: Bool { isASCII && isHexDigit }
}

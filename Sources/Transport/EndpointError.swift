/// An address that could not be read: what was read, what is wrong with it, and what can be written instead.
package struct EndpointError: Error, Hashable, Sendable, CustomStringConvertible {
    package var text: String
    package var problem: String
    package var grammar: String

    package init(text: String, problem: String, grammar: String) {
        self.text = text
        self.problem = problem
        self.grammar = grammar
    }

    package var description: String { "cannot read the address '\(text)': \(problem). Write \(grammar)." }
}

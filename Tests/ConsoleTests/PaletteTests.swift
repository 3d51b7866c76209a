import Console
import Glibc
import Testing
import Views

/// The colours, as arithmetic sees them.
struct PaletteTests {
    private typealias Color = (red: Double, green: Double, blue: Double)

    private static let colors = Set(Style.allCases.compactMap { Palette.color($0) }).sorted()

    /// xterm's colour cube and grey ramp (xterm's 256colres.pl), in linear light.
    private func linear(_ index: UInt8) -> Color {
        func light(_ value: Int) -> Double {
            let part = Double(value) / 255
            return part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4)
        }
        if index >= 232 {
            let grey = light(8 + 10 * (Int(index) - 232))
            return (grey, grey, grey)
        }
        let levels = [0, 95, 135, 175, 215, 255]
        let cube = Int(index) - 16
        return (light(levels[cube / 36]), light(levels[cube / 6 % 6]), light(levels[cube % 6]))
    }

    @Test(arguments: PaletteTests.colors)
    func `each colour can be read on black and on white`(color: UInt8) {
        let (red, green, blue) = linear(color)
        let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        // Contrast as WCAG 2 defines it; 3 is what it asks of large text and of graphics.
        #expect((luminance + 0.05) / 0.05 >= 3)
        #expect(1.05 / (luminance + 0.05) >= 3)
    }

    @Test(arguments: [
        ("normal sight", [1.0, 0, 0, 0, 1, 0, 0, 0, 1]),
        // Machado, Oliveira, Fernandes 2009, severity 1.
        (
            "protanopia",
            [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998]
        ),
        (
            "deuteranopia",
            [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881]
        ),
    ])
    func `no two colours look alike`(sight: String, matrix: [Double]) {
        let seen = PaletteTests.colors.map { color -> [Double] in
            let (red, green, blue) = linear(color)
            let rows = (0..<3).map { matrix[$0 * 3] * red + matrix[$0 * 3 + 1] * green + matrix[$0 * 3 + 2] * blue }
            return lab(rows.map { min(1, max(0, $0)) })
        }
        for first in seen.indices {
            for second in seen.indices where second > first {
                let distance = zip(seen[first], seen[second]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
                // A difference of ten in CIELAB is seen at a glance.
                #expect(
                    distance.squareRoot() > 10,
                    "\(sight): \(PaletteTests.colors[first]) and \(PaletteTests.colors[second])")
            }
        }
    }

    /// CIELAB of linear sRGB, white point D65.
    private func lab(_ rgb: [Double]) -> [Double] {
        func curve(_ value: Double) -> Double {
            value > 0.008856 ? pow(value, 1.0 / 3) : 7.787 * value + 16.0 / 116
        }
        let x = curve((0.4124 * rgb[0] + 0.3576 * rgb[1] + 0.1805 * rgb[2]) / 0.9505)
        let y = curve(0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2])
        let z = curve((0.0193 * rgb[0] + 0.1192 * rgb[1] + 0.9505 * rgb[2]) / 1.089)
        return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
    }
}

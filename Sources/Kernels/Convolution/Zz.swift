import Glibc
func knob(_ name: String, _ other: Int) -> Int { unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) } ?? other }

package decode

// decimal is a number as it is written: ±n / 10^places.
type decimal struct {
	n        uint64
	places   int
	negative bool
	complete bool // false where n cannot tell: with an exponent, or more digits than 19
}

// scanNumber scans the JSON number at b[i] and returns where it ends, or the complement of the offset, < 0, where a digit is missing.
func scanNumber(b []byte, i int) (d decimal, end int) {
	if i < len(b) && b[i] == '-' {
		d.negative = true
		i++
	}
	first := i
	if d.n, i = scanDigits(b, i, 0); i == first {
		return d, ^i
	}
	digits := i - first
	if digits > 1 && b[first] == '0' { // the number is that 0, and what follows it out of place
		return d, first + 1
	}
	if i < len(b) && b[i] == '.' {
		point := i + 1
		if d.n, i = scanDigits(b, point, d.n); i == point {
			return d, ^i
		}
		d.places = i - point
	}
	d.complete = digits+d.places <= 19 // which a uint64 holds
	if i < len(b) && b[i]|0x20 == 'e' {
		d.complete = false
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		power := i
		if _, i = scanDigits(b, i, 0); i == power {
			return d, ^i
		}
	}
	return d, i
}

// scanDigits appends the digits at b[i] to n, which wraps around when they are too many, and returns where they end.
func scanDigits(b []byte, i int, n uint64) (uint64, int) {
	for ; i < len(b); i++ {
		digit := b[i] - '0'
		if digit > 9 {
			break
		}
		n = n*10 + uint64(digit)
	}
	return n, i
}

// float returns the float64 nearest to d, and whether it can: an integer up to 2^53 and a power of ten up to 10^22 are exact as
// float64, so that their one quotient is rounded correctly. Clinger (1990), "How to Read Floating Point Numbers Accurately".
func (d decimal) float() (x float64, ok bool) {
	if !d.complete || d.n > 1<<53 {
		return 0, false
	}
	x = float64(d.n) / powers[d.places]
	if d.negative {
		x = -x
	}
	return x, true
}

// powers are those of ten that 19 digits can need.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

package decode

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// clock reads event times. A time that is no time, or before 1970, or after 2262 where int64 nanoseconds end, is refused as BadTime; a
// number where text is wanted, or anything but text and numbers, as WrongType.
type clock struct {
	power  int    // of ten: nanoseconds in the unit of a numeric time
	layout string // of a textual time; "" is RFC 3339
	zone   *time.Location
	named  bool // the layout has a zone by its name alone, such as CET, and no offset
	want   string
}

const numeric = "numeric" // in place of a layout

// units maps each unit to its nanoseconds, as a power of ten, and its name.
var units = map[string]struct {
	power int
	name  string
}{"s": {9, "seconds"}, "ms": {6, "milliseconds"}, "us": {3, "microseconds"}, "ns": {0, "nanoseconds"}}

func newClock(c Time) (clock, error) {
	var errs []error
	wrong := func(name string, value any, want string) {
		errs = append(errs, &invalid.Value{Name: "time." + name, Value: value, Want: want})
	}
	zone, err := time.LoadLocation(c.Zone)
	switch {
	case err != nil || c.Zone == "Local": // which would be another on another machine
		wrong("zone", c.Zone, "an IANA time zone such as UTC or Europe/Berlin")
		zone = time.UTC
	case c.Layout == "" && c.Zone != "UTC":
		wrong("zone", c.Zone, "none without a layout")
	}
	unit, ok := units[c.Unit]
	if c.Unit != "" && !ok {
		wrong("unit", c.Unit, "one of s, ms, us, ns")
	}
	if c.Unit != "" && c.Layout != "" {
		wrong("layout", c.Layout, "none beside a unit")
	}
	if c.Layout != "" && !readsDate(c.Layout, zone) {
		wrong("layout", c.Layout, "the year, month and day of 2 January 2006 in it, such as 2006-01-02 15:04:05")
	}
	if c.Field == "" && (c.Unit != "" || c.Layout != "") {
		wrong("field", "missing", "the field that has the unit or layout")
	}
	k := clock{layout: c.Layout, zone: zone, want: "RFC 3339 such as 2006-01-02T15:04:05Z"}
	if c.Layout != "" {
		k.want = "a time like " + c.Layout
		if k.named = strings.Contains(c.Layout, "MST") && !strings.Contains(c.Layout, "07"); k.named {
			k.want += ", in UTC, GMT or the zone " + c.Zone
		}
	}
	if c.Unit != "" {
		k = clock{power: unit.power, layout: numeric, want: unit.name + " since 1970"}
	}
	return k, errors.Join(errs...)
}

// readsDate tells whether a time written in the layout reads back as of the same day.
func readsDate(layout string, zone *time.Location) bool {
	const day = "2006-01-02"
	for _, t := range []time.Time{time.Date(2013, 11, 24, 9, 8, 7, 0, zone), time.Date(2025, 4, 5, 16, 17, 18, 0, zone)} {
		back, err := time.ParseInLocation(layout, t.Format(layout), zone)
		if err != nil || back.Format(day) != t.Format(day) {
			return false
		}
	}
	return true
}

// eventTime returns the sample's time in Unix nanoseconds: that of the time field or else the record's timestamp. A record whose
// timestamp is negative has none: its time field is believed, and without a time field it is refused.
func (f *fields) eventTime(timestamp int64) (int64, error) {
	t := f.time
	if t == nil {
		if timestamp < 0 {
			return 0, &Refused{BadTime, fmt.Sprintf("timestamp is %d, want nanoseconds since 1970", timestamp)}
		}
		return timestamp, nil
	}
	var ns int64
	var ok bool
	switch {
	case f.clock.layout == numeric && t.kind == number && t.number.complete:
		ns, ok = scale(t.number.n, f.clock.power-t.number.places, t.number.negative)
	case f.clock.layout == numeric && (t.kind == number || t.kind == text):
		ns, ok = epoch(bytes.Trim(f.text(t), " \t"), f.clock.power)
	case t.kind == text && f.clock.layout == "":
		ns, ok = rfc3339(f.text(t))
	case t.kind == text:
		at, err := time.ParseInLocation(f.clock.layout, view(f.text(t)), f.clock.zone)
		ns, ok = nanoseconds(at)
		ok = ok && err == nil && f.clock.knows(at)
	case t.kind == number && f.clock.layout == "":
		return 0, t.refuse(WrongType, f.clock.want+", or its unit in the configuration")
	default:
		return 0, t.refuse(WrongType, f.clock.want)
	}
	if !ok && f.clock.layout == numeric && t.kind == number && t.number.complete {
		return 0, t.refuse(BadTime, f.clock.want+inAnother(t.number.n, t.number.places, f.clock.power))
	}
	if !ok {
		return 0, t.refuse(BadTime, f.clock.want)
	}
	if timestamp >= 0 && ns-timestamp > int64(f.maxAhead) {
		return 0, t.refuse(BadTime, fmt.Sprintf("at most %v after the record's timestamp %s", f.maxAhead,
			time.Unix(0, timestamp).UTC().Format(time.RFC3339)))
	}
	return ns, nil
}

// knows says of a time that it is not of a zone of which a text has nothing but the name, and which is neither the clock's nor everyone's. What CET
// means a reader has to be told, by zone: the package time takes such a name for one of UTC.
func (c *clock) knows(at time.Time) bool {
	name, _ := at.Zone()
	return !c.named || at.Location() == c.zone || at.Location() == time.UTC || strings.HasPrefix(name, "GMT")
}

// Doubtful bounds the times, Unix nanoseconds, that Doubt may have something to say of: all of 1970. Seconds read as milliseconds are of January.
const Doubtful = int64(365 * 24 * time.Hour)

// Doubt says of a time, Unix nanoseconds, that was read from a number in a wrong unit, by all appearances: it is of 1970, and in another unit
// it would be of 2000 to 2100. Of any other time it is "".
func (t Time) Doubt(ns int64) string {
	u, ok := units[t.Unit]
	if !ok || ns < 0 || ns >= Doubtful {
		return ""
	}
	n := uint64(ns) / tens[u.power]
	another := inAnother(n, 0, u.power)
	if another == "" {
		return ""
	}
	return fmt.Sprintf("%s is %d, which in %s is %s%s", t.Field, n, u.name, time.Unix(0, ns).UTC().Format(time.RFC3339), another)
}

// inAnother says in which unit, if in any, n × 10^-places is a time between 2000 and 2100.
func inAnother(n uint64, places, not int) string {
	for name, u := range units {
		if ns, ok := scale(n, u.power-places, false); ok && u.power != not && ns >= year2000 && ns < year2100 {
			return fmt.Sprintf("; in %s, unit: %s, it is %s", u.name, name, time.Unix(0, ns).UTC().Format(time.RFC3339))
		}
	}
	return ""
}

const (
	year2000 int64 = 946684800e9
	year2100 int64 = 4102444800e9
)

// nanoseconds is t in Unix nanoseconds, ok where it is not before 1970 and fits.
func nanoseconds(t time.Time) (ns int64, ok bool) {
	if t.Unix() < 0 || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, false
	}
	return t.UnixNano(), true
}

// epoch reads a JSON number of units of 10^power nanoseconds since 1970, in decimal arithmetic: a float64 knows a present time only to
// 200 ns. What is finer than a nanosecond is cut off.
func epoch(b []byte, power int) (ns int64, ok bool) {
	d, end := scanNumber(b, 0)
	if end != len(b) {
		return 0, false
	}
	if d.complete {
		return scale(d.n, power-d.places, d.negative)
	}
	var n uint64
	var fraction, negative bool
	for i, c := range b {
		switch {
		case c == '-':
			negative = true
		case c == '.':
			fraction = true
		case c|0x20 == 'e':
			return scale(n, power+exponent(b[i+1:]), negative)
		case n < 1e18: // one more digit fits
			n = n*10 + uint64(c-'0')
			if fraction {
				power--
			}
		case !fraction: // a digit that only counts as a place
			power++
		}
	}
	return scale(n, power, negative)
}

// exponent reads a signed integer; what is beyond ±10^9 is as good as that.
func exponent(b []byte) int {
	n, sign := 0, 1
	for _, c := range b {
		switch {
		case c == '-':
			sign = -1
		case c != '+':
			n = min(n*10+int(c-'0'), 1e9)
		}
	}
	return n * sign
}

// scale is n × 10^power, ok where it is not negative and fits.
func scale(n uint64, power int, negative bool) (ns int64, ok bool) {
	switch {
	case n == 0 || power <= -len(tens):
		return 0, n == 0 || !negative
	case negative || power >= len(tens):
		return 0, false
	case power < 0:
		n /= tens[-power]
	default:
		beyond, product := bits.Mul64(n, tens[power])
		if n = product; beyond > 0 {
			return 0, false
		}
	}
	return int64(n), n <= math.MaxInt64 //nolint:gosec // where it is ok
}

// tens are the powers of ten that a uint64 holds.
var tens = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// rfc3339 reads a time as RFC 3339 has it, strictly: 2006-01-02T15:04:05Z, with any number of decimals and ±hh:mm for Z. What is finer
// than a nanosecond is cut off.
func rfc3339(b []byte) (ns int64, ok bool) {
	const form = "0000-00-00T00:00:00"
	if len(b) <= len(form) {
		return 0, false
	}
	for i, c := range []byte(form) {
		if b[i] != c && (c != '0' || !isDigit(b[i])) {
			return 0, false
		}
	}
	two := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	year, month, day, hour, minute, second := two(0)*100+two(2), two(5), two(8), two(11), two(14), two(17)
	b = b[len(form):]
	if b[0] == '.' {
		i := 1
		for unit := int64(1e8); i < len(b) && isDigit(b[i]); i++ {
			ns += int64(b[i]-'0') * unit
			unit /= 10
		}
		if i == 1 {
			return 0, false
		}
		b = b[i:]
	}
	offset := 0 // minutes east
	switch {
	case string(b) == "Z":
	case len(b) == 6 && (b[0] == '+' || b[0] == '-') && b[3] == ':' && isDigit(b[1]) && isDigit(b[2]) && isDigit(b[4]) && isDigit(b[5]):
		if two(1) > 23 || two(4) > 59 {
			return 0, false
		}
		if offset = two(1)*60 + two(4); b[0] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute-offset, second, int(ns), time.UTC)
	inRange := month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && hour < 24 && minute < 60 && second < 60
	ns, ok = nanoseconds(t)
	return ns, ok && inRange
}

// daysIn is the number of days in a month: day 0 of the next is its last.
func daysIn(year, month int) int {
	return time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day()
}

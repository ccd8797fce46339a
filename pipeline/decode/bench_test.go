package decode

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

var record186 = []byte(`{"ts":1714979289123,"machine":"machine-04711","site":"hall-3","temp":71.2345,"pressure":1013.25,"rpm":2999.5,` +
	`"vibration":0.01732,"current":12.875,"status":"running","firmware":"2.14.30"}`)

// machineRecords are records like that of which no two are alike: a processor would learn a single one by heart.
func machineRecords(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	records := make([][]byte, n)
	for i := range records {
		places := func(x float64) string { return strconv.FormatFloat(x, 'f', rng.IntN(5), 64) }
		records[i] = fmt.Appendf(nil, `{"ts":%d,"machine":"machine-%05d","site":"hall-%d","temp":%s,"pressure":%s,"rpm":%s,"vibration":%s,"current":%s,`+
			`"status":"running","firmware":"2.14.30"}`, 1714979289123+i, rng.IntN(10_000), rng.IntN(8), places(70+5*rng.NormFloat64()),
			places(1013+9*rng.NormFloat64()), places(3000+400*rng.NormFloat64()), places(rng.NormFloat64()), places(12+rng.NormFloat64()))
	}
	return records
}

func BenchmarkDecode(b *testing.B) {
	records := machineRecords(1 << 15)
	b.Run("scanner", func(b *testing.B) {
		c := machines
		c.Values = Fields{"temp", "pressure", "rpm", "vibration", "current"}
		d := fresh(b, c)
		var s Sample
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if err := d.Decode(nil, records[i%len(records)], now, &s); err != nil {
				b.Fatal(err)
			}
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M_records/s")
	})
	b.Run("encoding/json", func(b *testing.B) {
		var s struct {
			Ts                                      int64
			Machine                                 string
			Temp, Pressure, RPM, Vibration, Current float64
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if err := json.Unmarshal(records[i%len(records)], &s); err != nil {
				b.Fatal(err)
			}
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M_records/s")
	})
}

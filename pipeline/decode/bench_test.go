package decode

import (
	"encoding/json"
	"testing"
)

var record186 = []byte(`{"ts":1714979289123,"machine":"machine-04711","site":"hall-3","temp":71.2345,"pressure":1013.25,"rpm":2999.5,` +
	`"vibration":0.01732,"current":12.875,"status":"running","firmware":"2.14.30"}`)

func BenchmarkDecode(b *testing.B) {
	b.Run("scanner", func(b *testing.B) {
		c := machines
		c.Values = Fields{"temp", "pressure", "rpm", "vibration", "current"}
		d := fresh(b, c)
		var s Sample
		b.ReportAllocs()
		b.SetBytes(int64(len(record186)))
		for b.Loop() {
			if err := d.Decode(nil, record186, now, &s); err != nil {
				b.Fatal(err)
			}
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
		b.SetBytes(int64(len(record186)))
		for b.Loop() {
			if err := json.Unmarshal(record186, &s); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M_records/s")
	})
}

package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The rows are a table: of each machine in turn, at a time that grows, five numbers.
func TestRowsToPlay(t *testing.T) {
	w := &world{Options: Options{Events: 25, Keys: 10}, dir: t.TempDir()}
	if err := w.writeRows(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(w.rowsFile())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 26 || strings.Join(rows[0], " ") != "machine ts temp pressure rpm vibration load" {
		t.Fatalf("%d rows, %v: %q", len(rows), err, rows[:1])
	}
	last := int64(0)
	for i, row := range rows[1:] {
		if want := fmt.Sprintf("machine-%06d", i%10); row[0] != want {
			t.Errorf("row %d is of %s, want %s", i, row[0], want)
		}
		at, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil || at < last {
			t.Errorf("row %d is at %s, %v, want a time after %d", i, row[1], err, last)
		}
		last = at
		for _, x := range row[2:] {
			if _, err := strconv.ParseFloat(x, 64); err != nil {
				t.Errorf("row %d: %v", i, err)
			}
		}
	}
}

func TestBacktestIsChecked(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{Keys: 1}, "--rows is 0, want > 0"},
		{Options{Events: 1}, "--keys is 0, want > 0"},
		{Options{Events: 1, Keys: 1, Only: []string{"xml"}}, "--only is xml, want json or csv"},
		{Options{Events: 1, Keys: 1, Program: []string{"false"}}, "the backtest ended badly: exit status 1"},
		{Options{Events: 1, Keys: 1, Program: []string{"echo", "x: 2 rows, 2 points"}}, "the backtest has not played all rows: x: 2 rows"},
	} {
		c.o.Runs, c.o.Log = 1, io.Discard
		if _, err := backtestBenchmark.Run(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.says)
		}
	}
}

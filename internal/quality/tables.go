package quality

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// labelled is a table of points in file order, and which of them are anomalies.
type labelled struct {
	name string
	x    [][]float64
	y    []bool
	at   []int64 // Unix seconds; nil where rows have no time
}

// time of a row, in Unix nanoseconds; rows that have none are a minute apart.
func (s *labelled) time(row int) int64 {
	if s.at == nil {
		return int64(row) * int64(time.Minute)
	}
	return s.at[row] * int64(time.Second)
}

// readLabelled reads a CSV file: values from column first on, then the label, then after columns more.
func readLabelled(path string, first, after int) (*labelled, error) {
	rows, err := readTable(path)
	if err != nil {
		return nil, err
	}
	s := &labelled{name: strings.TrimSuffix(filepath.Base(path), ".csv.gz")}
	for i, row := range rows {
		label := len(row) - 1 - after
		if label <= first {
			return nil, fmt.Errorf("%s, row %d: %d columns", path, i+1, len(row))
		}
		numbers := make([]float64, label+1-first)
		for j := range numbers {
			if numbers[j], err = strconv.ParseFloat(row[first+j], 64); err != nil {
				return nil, fmt.Errorf("%s, row %d: %w", path, i+1, err)
			}
		}
		s.x, s.y = append(s.x, numbers[:label-first]), append(s.y, numbers[label-first] > 0)
	}
	return s, nil
}

// readFolder reads all files of a folder, by name.
func readFolder(dir string, first, after int) ([]*labelled, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.csv.gz"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no files *.csv.gz in %s", dir)
	}
	sets := make([]*labelled, len(paths))
	for i, path := range paths {
		if sets[i], err = readLabelled(path, first, after); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// readTable reads a CSV file, gzipped or not, without its header. All rows have the same number of columns, two or more.
func readTable(path string) ([][]string, error) {
	f, err := os.Open(path) //nolint:gosec // a file of the folder that the user names
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was read
	var text io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if text, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	rows, err := csv.NewReader(text).ReadAll()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(rows) < 2 || len(rows[0]) < 2:
		return nil, fmt.Errorf("%s has %d rows, want a header and rows of two columns or more", path, len(rows))
	}
	return rows[1:], nil
}

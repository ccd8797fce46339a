package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ask sends a query to Prometheus, and reads the data of the answer.
func (v views) ask(ctx context.Context, endpoint string, parameters map[string]string, data any) error {
	form := url.Values{}
	for name, value := range parameters {
		form.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.prometheus+"/api/v1/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("query Prometheus: it answers %s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("query Prometheus for %s: %s", parameters["query"], answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// stamp is a time as Prometheus reads it.
func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck() *cobra.Command {
	var address string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running service whether it is ready",
		Long: `Healthcheck asks the service at an address for /-/ready, prints the answer, and exits 1 when it is not ready: for container images, which
hold nothing but this binary.`,
		Example: `  gonomaly healthcheck
  gonomaly healthcheck --address 127.0.0.1:9464 --timeout 2s`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
				return usageError{fmt.Errorf("--address is %q, want host:port", address)}
			}
			if timeout <= 0 {
				return usageError{fmt.Errorf("--timeout is %v, want > 0s", timeout)}
			}
			answer, err := askReady(c.Context(), address, timeout)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), answer)
			return err
		},
	}
	c.Flags().StringVar(&address, "address", "127.0.0.1:9464", "`ADDRESS` of the service's HTTP port")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for an answer")
	return c
}

// askReady returns what the service says when it is ready, and else an error that says why not.
func askReady(ctx context.Context, address string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/-/ready", nil)
	if err != nil {
		return "", usageError{fmt.Errorf("--address: %w", err)}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	answer := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return answer, nil
}

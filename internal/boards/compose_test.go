package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What docker-compose.yml mounts is in the repository, what it asks for is in .env.example, and those who are named are there.
func TestCompose(t *testing.T) {
	text, err := os.ReadFile(root + "docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image   string
			Volumes []string
			Depends map[string]any `yaml:"depends_on"`
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: image is %q, want one with a version", name, s.Image)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := file.Volumes[from]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, from)); err != nil {
				t.Errorf("%s mounts %s: %v", name, from, err)
			}
		}
		for other := range s.Depends {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
	}
	example, err := os.ReadFile(root + ".env.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\$\{(\w+)`).FindAllSubmatch(text, -1) {
		if !strings.Contains(string(example), "\n"+string(m[1])+"=") {
			t.Errorf("%s is not in .env.example", m[1])
		}
	}

	var prometheus struct {
		Alerting struct {
			Alertmanagers []struct {
				Static []struct{ Targets []string } `yaml:"static_configs"`
			}
		}
		Scrape []struct {
			DNS []struct {
				Names []string
			} `yaml:"dns_sd_configs"`
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	load(t, "prometheus.yml", &prometheus)
	var hosts []string
	for _, a := range prometheus.Alerting.Alertmanagers {
		for _, s := range a.Static {
			hosts = append(hosts, s.Targets...)
		}
	}
	for _, s := range prometheus.Scrape {
		for _, d := range s.DNS {
			hosts = append(hosts, d.Names...)
		}
		for _, s := range s.Static {
			hosts = append(hosts, s.Targets...)
		}
	}
	if len(hosts) < 4 {
		t.Errorf("Prometheus knows only %v", hosts)
	}
	for _, h := range hosts {
		host, _, _ := strings.Cut(h, ":")
		if _, ok := file.Services[host]; !ok && host != "localhost" {
			t.Errorf("Prometheus asks for %s, which is no service", host)
		}
	}
}

// The mixin has each dashboard, under its uid.
func TestMixin(t *testing.T) {
	text, err := os.ReadFile(root + "config/monitoring/mixin.libsonnet")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, m := range regexp.MustCompile(`'([\w-]+)\.json': import 'grafana_dashboards/(\w+\.json)'`).FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	for _, b := range boards {
		want = append(want, b.uid+" "+b.file())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the mixin has %v, want %v", got, want)
	}
}

package top

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// patience is how long an instance has to answer.
const patience = 5 * time.Second

// window is how long what is counted is counted over: alerts are too few for a rate over two seconds.
const window = 10 * time.Second

// looks remembers what each instance said last, and before that.
type looks struct {
	urls []string
	last map[string]Scrape
	good map[string][]*Scrape // what was answered, the last of it last; the first is a window or so older
}

func newLooks(urls []string) *looks {
	return &looks{urls: urls, last: map[string]Scrape{}, good: map[string][]*Scrape{}}
}

func (l *looks) add(s Scrape) {
	l.last[s.URL] = s
	if s.Err != nil {
		return
	}
	all := append(l.good[s.URL], &s)
	for len(all) > 2 && s.At.Sub(all[1].At) >= window {
		all = all[1:]
	}
	l.good[s.URL] = all
}

// view is made of the instances that were asked, in the order in which they were named.
func (l *looks) view(at time.Time) View {
	var now []Scrape
	before := map[string]*Scrape{}
	for _, u := range l.urls {
		if s, asked := l.last[u]; asked {
			now = append(now, s)
		}
		if all := l.good[u]; len(all) > 1 {
			before[u] = all[0]
		}
	}
	return look(now, before, at)
}

// ask looks at all instances at once.
func (l *looks) ask(ctx context.Context) {
	found := make([]Scrape, len(l.urls))
	var asking sync.WaitGroup
	for i, u := range l.urls {
		asking.Go(func() { found[i] = askPatiently(ctx, u) })
	}
	asking.Wait()
	for _, s := range found {
		l.add(s)
	}
}

// twice looks at all instances, and again after a pause.
func (l *looks) twice(ctx context.Context, every time.Duration) error {
	l.ask(ctx)
	if len(l.good) == 0 { // there is nothing to see the change of
		return nil
	}
	select {
	case <-time.After(every):
	case <-ctx.Done():
		return ctx.Err()
	}
	l.ask(ctx)
	return nil
}

func askPatiently(ctx context.Context, url string) Scrape {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return Ask(ctx, url)
}

// ErrUnreachable says that an instance did not answer, which the text tells of.
var ErrUnreachable = errors.New("an instance does not answer")

// Once writes one view of instances, from two looks at each with a pause between.
func Once(ctx context.Context, urls []string, every time.Duration, layout Layout, to io.Writer) error {
	l := newLooks(urls)
	if err := l.twice(ctx, every); err != nil {
		return err
	}
	v := l.view(time.Now())
	if _, err := io.WriteString(to, strings.Join(Text(v, layout), "\n")+"\n"); err != nil {
		return err
	}
	for _, in := range v.Instances {
		if in.Err != nil {
			return ErrUnreachable
		}
	}
	return nil
}

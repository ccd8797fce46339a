package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// Run keeps a view of instances on a terminal until it is told to end, by key or by ctx.
func Run(ctx context.Context, urls []string, every time.Duration, layout Layout, in io.Reader, out io.Writer) error {
	return run(ctx, urls, every, layout, in, out)
}

func run(ctx context.Context, urls []string, every time.Duration, layout Layout, in io.Reader, out io.Writer, more ...tea.ProgramOption) error {
	options := append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)}, more...)
	_, err := tea.NewProgram(newScreen(ctx, urls, every, layout), options...).Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil { // both are asked for
		return nil
	}
	return err
}

// screen is the model of the program: what was seen, and how it is shown.
type screen struct {
	ctx           context.Context //nolint:containedctx // commands have no other way to it
	looks         *looks
	every         time.Duration
	layout        Layout
	filter        textinput.Model
	help          bool
	width, height int
	seen          time.Time // when an instance answered, or did not, last
}

func newScreen(ctx context.Context, urls []string, every time.Duration, layout Layout) *screen {
	s := &screen{ctx: ctx, looks: newLooks(urls), every: every, layout: layout, filter: textinput.New(), width: 120, height: 40}
	s.filter.Prompt = "stream has: "
	return s
}

// due asks for another look at an instance.
type due string

// Init asks all instances. Each is asked again at its own pace: one that does not answer holds up no other.
func (s *screen) Init() tea.Cmd {
	var first []tea.Cmd
	for _, u := range s.looks.urls {
		first = append(first, s.ask(u))
	}
	return tea.Batch(first...)
}

func (s *screen) ask(url string) tea.Cmd {
	return func() tea.Msg { return askPatiently(s.ctx, url) }
}

// Update takes what was found, and keys.
func (s *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Scrape:
		s.looks.add(msg)
		s.seen = time.Now()
		return s, tea.Tick(s.every, func(time.Time) tea.Msg { return due(msg.URL) })
	case due:
		return s, s.ask(string(msg))
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
		return s, nil
	case tea.KeyPressMsg:
		return s, s.press(msg)
	}
	if s.filter.Focused() { // it blinks, and takes what is pasted
		return s, s.typed(msg)
	}
	return s, nil
}

func (s *screen) press(key tea.KeyPressMsg) tea.Cmd {
	if key.String() == "ctrl+c" {
		return tea.Quit
	}
	if s.filter.Focused() {
		switch key.String() {
		case "esc":
			s.filter.SetValue("")
			s.layout.Stream = ""
			s.filter.Blur()
		case "enter":
			s.filter.Blur()
		default:
			return s.typed(key)
		}
		return nil
	}
	switch key.String() {
	case "q":
		return tea.Quit
	case "s":
		s.layout.Sort = s.layout.Sort.Next()
	case "/":
		s.help = false
		s.filter.SetValue(s.layout.Stream)
		return s.filter.Focus()
	case "?":
		s.help = !s.help
	case "esc":
		s.help, s.layout.Stream = false, ""
	}
	return nil
}

// typed hands a message to the filter, which takes effect with each letter.
func (s *screen) typed(msg tea.Msg) tea.Cmd {
	var next tea.Cmd
	s.filter, next = s.filter.Update(msg)
	s.layout.Stream = s.filter.Value()
	return next
}

const keys = "q quit   s sort   / filter by stream   ? help"

// help explains what the columns mean, in the words of somebody who has to act on them.
const help = `KEYS
q, ctrl+c   quit
s           sort partitions by the next of: lag, records, checkpoint, watermark, series, name
/           show only streams whose name has what you type; enter keeps it, esc shows all again
?           this help

WHAT IT SHOWS
LAG         how long a partition's next record has waited since its Kafka timestamp; LAG RECORDS counts what waits; – while the broker is silent
LEARNING    keys in warm-up, which raise no alert yet, of SERIES, the keys held
WATERMARK   how far event time stands behind the clock: large where records are old, or on an idle partition
CHECKPOINT  time since the state was stored: what came since is folded again after a crash
STATUS      ok; warn, the lag does not shrink; stall, no progress; stop, the loop stands still; rewind, the offset was set back
TO RESTORE  records that partitions still fold again, in silence, before they tell of new ones
UNOWNED     partitions that no instance has, although the group is stable
SUPPRESSED  points over the limit that raised no alert, mostly because an incident is open already
OLDEST      how long the oldest alert that a sink has not taken has waited; BREAKER open means that the sink refuses or is away
TROUBLES    counters that stay at 0 where all is well; what goes on now stands first
NOISIEST    keys by the incidents that opened in the last hour; 5 to 8 where too many keys have some to count all of them exactly
LAST ALERTS those that stand in the alerts topic, the newest first`

// View draws the screen.
func (s *screen) View() tea.View {
	room := max(s.height-1, 1) // the last line is for keys
	var lines []string
	switch {
	case s.help:
		lines = strings.Split(help, "\n")
	case s.seen.IsZero():
		lines = []string{fmt.Sprintf("asking %s …", strings.Join(s.looks.urls, ", "))}
	default:
		lines = fit(s.looks.view(s.seen), s.layout, room)
	}
	lines = lines[:min(len(lines), room)]
	for len(lines) < room {
		lines = append(lines, "")
	}
	last := s.layout.Paint(faint, keys)
	if s.filter.Focused() {
		last = s.filter.View()
	}
	v := tea.NewView(strings.Join(append(lines, last), "\n"))
	v.AltScreen, v.WindowTitle = true, "gonomaly top"
	return v
}

// fewest is how many partitions are shown, however small the terminal is.
const fewest = 3

// fit shows as many partitions, the worst first, as leave room for the rest. Where that is not enough, troubles that are over give way, and
// then keys and alerts.
func fit(v View, l Layout, room int) (lines []string) {
	for _, try := range []struct {
		told  int
		brief bool
	}{{5, false}, {5, true}, {3, true}, {0, true}} {
		l.Told, l.Brief = try.told, try.brief
		if lines = fitPartitions(v, l, room); len(lines) <= room {
			break
		}
	}
	return lines
}

func fitPartitions(v View, l Layout, room int) []string {
	lines := Text(v, l)
	if over := len(lines) - room; over > 0 && l.Most == 0 {
		shown := 0
		for _, p := range v.Partitions {
			if l.has(p.Stream) {
				shown++
			}
		}
		l.Most = max(shown-over-1, fewest) // a line says how many are left out
		lines = Text(v, l)
	}
	return lines
}

// Frame is what the program shows of instances on a terminal of a size, once it has looked at them twice.
func Frame(ctx context.Context, urls []string, every time.Duration, layout Layout, width, height int) (string, error) {
	s := newScreen(ctx, urls, every, layout)
	s.width, s.height = width, height
	if err := s.looks.twice(ctx, every); err != nil {
		return "", err
	}
	s.seen = time.Now()
	return s.View().Content, nil
}

//go:build chaos && unix

package chaos

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// tap stands between a proxy and its server and reads what passes. So a process can be hit at a durable step: its request is sent and
// nobody has obeyed it yet, or it is obeyed and the process does not know.
type tap struct {
	wire     wire
	watch    *watch
	listener net.Listener

	mu sync.Mutex
	to string // address of the server
}

// wire reads a protocol. A request's id is that of its answer.
type wire struct {
	request func(*bufio.Reader) (frame []byte, id uint32, p passage, err error)
	answer  func(*bufio.Reader) (frame []byte, id uint32, obeyed bool, err error)
}

// passage is a request that makes something durable, or the answer to it. It is zero for all others.
type passage struct {
	step     string
	group    string // of a member's steps
	answered bool
}

// watch holds a passage of a process that somebody lies in wait for.
type watch struct{ trap atomic.Pointer[trap] }

type trap struct {
	passage
	skip     atomic.Int32  // such passages that go on before
	caught   chan struct{} // closed once it is held
	released chan bool     // says whether it goes on, or is dropped with its connection
}

func (w *watch) set(p passage, skip int32) *trap {
	t := &trap{passage: p, caught: make(chan struct{}), released: make(chan bool, 1)}
	t.skip.Store(skip)
	w.trap.Store(t)
	return t
}

// unset takes a trap away, unless it has just caught something.
func (w *watch) unset(t *trap) bool { return w.trap.CompareAndSwap(t, nil) }

// pass returns when a passage may go on, or else be dropped.
func (w *watch) pass(p passage) bool {
	t := w.trap.Load()
	if t == nil || p != t.passage || t.skip.Add(-1) >= 0 || !w.unset(t) {
		return true
	}
	close(t.caught)
	return <-t.released
}

func newTap(w wire, by *watch) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	t := &tap{wire: w, watch: by, listener: l}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go t.connect(client)
		}
	}()
	return t, nil
}

// lead has the next connections lead to another address.
func (t *tap) lead(to string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to = to
}

func (t *tap) connect(client net.Conn) {
	defer client.Close() //nolint:errcheck // whoever is at its end will see
	t.mu.Lock()
	to := t.to
	t.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	var pending sync.Map // passages by the ids of their answers
	done := make(chan struct{}, 2)
	go func() {
		_ = t.requests(client, server, &pending)
		done <- struct{}{}
	}()
	go func() {
		_ = t.answers(server, client, &pending)
		done <- struct{}{}
	}()
	<-done
	_ = server.Close()
}

func (t *tap) requests(client io.Reader, server io.Writer, pending *sync.Map) error {
	for from := bufio.NewReader(client); ; {
		frame, id, p, err := t.wire.request(from)
		if err != nil {
			return err
		}
		if p.step != "" {
			if !t.watch.pass(p) {
				return errors.New("dropped")
			}
			p.answered = true
			pending.Store(id, p)
		}
		if _, err := server.Write(frame); err != nil {
			return err
		}
	}
}

func (t *tap) answers(server io.Reader, client io.Writer, pending *sync.Map) error {
	for from := bufio.NewReader(server); ; {
		frame, id, obeyed, err := t.wire.answer(from)
		if err != nil {
			return err
		}
		if p, ok := pending.LoadAndDelete(id); ok && obeyed && !t.watch.pass(p.(passage)) {
			return errors.New("dropped")
		}
		if _, err := client.Write(frame); err != nil {
			return err
		}
	}
}

// kafkaSteps are the requests that change what a broker keeps.
var kafkaSteps = map[kmsg.Key]string{
	kmsg.InitProducerID:  "init-producer",
	kmsg.Produce:         "produce",
	kmsg.TxnOffsetCommit: "txn-offsets",
	kmsg.EndTxn:          "end-txn",
	kmsg.OffsetCommit:    "sink-offsets", // all others commit in transactions
	kmsg.JoinGroup:       "join",
	kmsg.SyncGroup:       "sync",
	kmsg.LeaveGroup:      "leave",
}

var kafkaWire = wire{
	request: func(r *bufio.Reader) (frame []byte, id uint32, p passage, err error) {
		if frame, err = kafkaFrame(r, 8); err != nil {
			return nil, 0, passage{}, err
		}
		key := kmsg.Key(binary.BigEndian.Uint16(frame[4:])) //nolint:gosec // that is what it is
		return frame, binary.BigEndian.Uint32(frame[8:]), passage{step: kafkaSteps[key], group: memberOf(key, frame)}, nil
	},
	answer: func(r *bufio.Reader) (frame []byte, id uint32, obeyed bool, err error) {
		if frame, err = kafkaFrame(r, 4); err != nil {
			return nil, 0, false, err
		}
		return frame, binary.BigEndian.Uint32(frame[4:]), true, nil
	},
}

// kafkaFrame reads a request or an answer of so many bytes at least.
func kafkaFrame(r *bufio.Reader, least uint32) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size < least || size > 1<<30 {
		return nil, fmt.Errorf("a frame has %d bytes, want %d to 1 GiB", size, least)
	}
	frame := make([]byte, 4+size)
	_, err = io.ReadFull(r, frame)
	return frame, err
}

// memberOf is the group that a member joins or syncs with.
func memberOf(key kmsg.Key, frame []byte) string {
	if key != kmsg.JoinGroup && key != kmsg.SyncGroup || len(frame) < 14 {
		return ""
	}
	req := kmsg.RequestForKey(key.Int16())
	req.SetVersion(int16(binary.BigEndian.Uint16(frame[6:])))          //nolint:gosec // that is what it is
	at := 14 + max(0, int(int16(binary.BigEndian.Uint16(frame[12:])))) //nolint:gosec // behind the client's id, which may be null
	if req.IsFlexible() {
		at++ // no tags
	}
	if at > len(frame) || req.ReadFrom(frame[at:]) != nil {
		return ""
	}
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		return req.Group
	case *kmsg.SyncGroupRequest:
		return req.Group
	}
	return ""
}

// redisWire relies on a client that sends its next command when it has the reply to the last.
var redisWire = wire{
	request: func(r *bufio.Reader) (frame []byte, id uint32, p passage, err error) {
		n, frame, err := redisLength(r, '*', nil)
		var words []string
		for ; err == nil && n > 0; n-- {
			var size int
			if size, frame, err = redisLength(r, '$', frame); err != nil {
				break
			}
			word := make([]byte, size+len("\r\n"))
			_, err = io.ReadFull(r, word)
			frame, words = append(frame, word...), append(words, string(word[:size]))
		}
		return frame, 0, passage{step: redisStep(words)}, err
	},
	answer: func(r *bufio.Reader) (frame []byte, id uint32, obeyed bool, err error) {
		if _, err := r.Peek(1); err != nil {
			return nil, 0, false, err
		}
		frame = make([]byte, r.Buffered())
		_, err = io.ReadFull(r, frame)
		return frame, 0, frame[0] != '-', err
	},
}

// redisLength reads a line such as *3, and appends it to the frame.
func redisLength(r *bufio.Reader, kind byte, frame []byte) (int, []byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return 0, nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	if err != nil || line[0] != kind || n < 0 || n > 1<<30 {
		return 0, nil, fmt.Errorf("a line is %q, want %c and a length", line, kind)
	}
	return n, append(frame, line...), nil
}

// redisStep names the commands that write: a checkpoint's chunk, the pointer to it, and an alert with the sink's position.
func redisStep(words []string) string {
	if len(words) < 4 {
		return ""
	}
	switch command := strings.ToUpper(words[0]); {
	case command == "SET":
		return "chunk"
	case !strings.HasPrefix(command, "EVAL"):
		return ""
	case words[3] == prefix+":alerts":
		return "redis-alert"
	case strings.HasSuffix(words[3], "}"):
		return "pointer"
	}
	return ""
}

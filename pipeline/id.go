package pipeline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
)

// identity is what an alert's id is made of, and nothing else: the same record, folded again after any crash, gives the same id.
type identity struct {
	stream    string
	partition Partition
	offset    int64 // of the record that triggered the alert
	key       string
	kind      Kind
	time      int64 // event time: one record may close many windows of one series
	revision  int
	config    string
}

// id returns 128 bits of SHA-256 in hex. Every part is preceded by its length, so that no two identities share their bytes.
func (i identity) id() string {
	b := make([]byte, 0, 256)
	text := func(s string) {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.LittleEndian.AppendUint64(b, uint64(n)) } //nolint:gosec // the bits are wanted, not the value
	text(i.stream)
	text(i.partition.Topic)
	number(int64(i.partition.ID))
	number(i.offset)
	text(i.key)
	text(string(i.kind))
	number(i.time)
	number(int64(i.revision))
	text(i.config)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Hash names the settings that the state machine depends on, in 12 hex digits. The alerts topic is not among them: where an alert
// goes changes nothing about it.
func (c *Config) Hash() string {
	settings := *c
	settings.Alert.Topic = ""
	return digest(settings)
}

// Hashes are what stands in a checkpoint for the configuration: the hash of the settings that make points of records, a hyphen, and Hash.
// Under other points no state is of use.
func (c *Config) Hashes() string {
	return digest(Config{Decode: c.Decode, Window: c.Window}) + "-" + c.Hash()
}

// digest names settings.
func digest(settings any) string {
	b, err := json.Marshal(settings)
	if err != nil {
		panic("settings that cannot be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

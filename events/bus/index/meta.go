package index

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// ReadFor is the version of the server whose source this package was written from. With another one nothing is
// carried, until somebody has read writeFullState, recoverFullState and what they call again, and the tests pass.
const ReadFor = "2.15.2"

// errOther says that a stream is not one that only grows: something may be removed from it, or comes into it by another
// way than being published to one of a few subjects.
var errOther = errors.New("not a stream that only grows")

// subjectsOf reads the configuration of a stream from meta.inf, whose checksum stands in meta.sum, and returns the
// subjects that it takes. The error is errOther, or errUnusual for a configuration that cannot be trusted.
func subjectsOf(stream string, meta, sum []byte) ([]string, error) {
	if hex.EncodeToString(sumOf(stream, meta)) != string(sum) {
		return nil, unusual("the checksum of the configuration does not match")
	}
	var info server.FileStreamInfo
	decoder := json.NewDecoder(bytes.NewReader(meta))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&info); err != nil {
		return nil, unusual("the configuration cannot be read: %v", err)
	}
	if info.Name != stream {
		return nil, unusual("the configuration is of stream %q", info.Name)
	}
	wild := slices.ContainsFunc(info.Subjects, func(s string) bool { return s == "" || strings.ContainsAny(s, "*>") })
	plainest := server.StreamConfig{Storage: server.FileStorage, Replicas: 1}
	if wild || !info.DenyDelete || !info.DenyPurge || !reflect.DeepEqual(plain(info.StreamConfig), plainest) {
		return nil, errOther
	}
	return info.Subjects, nil
}

// streamSubjects reads the configuration of the stream in a directory, like subjectsOf.
func streamSubjects(dir string) ([]string, error) {
	meta, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "meta.sum"))
	if err != nil {
		return nil, err
	}
	return subjectsOf(filepath.Base(dir), meta, sum)
}

// Finished reports whether a file is a block of a stream that only grows, with a newer one behind it. Nothing is ever
// written into such a block again; and when every message is synced before the next is written, all of it was, and
// without a fault: a stream whose block could not be written or synced begins no other.
func Finished(path string) bool {
	dir, name := filepath.Split(path)
	name, isBlock := strings.CutSuffix(name, blockEnd)
	number, err := strconv.ParseUint(name, 10, 31)
	if !isBlock || err != nil || number == 0 || strconv.FormatUint(number, 10) != name || server.VERSION != ReadFor {
		return false
	}
	next, err := os.Stat(blockFile{number: uint32(number) + 1}.path(dir))
	if err != nil || next.Size() == 0 {
		return false
	}
	_, err = streamSubjects(filepath.Dir(filepath.Clean(dir)))
	return err == nil
}

// plain is a configuration without what has no influence on the files of a stream. What remains is compared with
// the plainest stream there is, so a setting that is not named here is none that is passed over.
func plain(c server.StreamConfig) server.StreamConfig {
	c.Name, c.Description, c.Metadata, c.Subjects = "", "", nil, nil
	c.DenyDelete, c.DenyPurge = false, false
	c.Discard = 0 // what is done at a limit: there is none
	c.Duplicates, c.MaxConsumers, c.MaxMsgSize, c.ConsumerLimits, c.AllowDirect = 0, 0, 0, server.StreamConsumerLimits{}, false
	for _, limit := range []*int64{&c.MaxMsgs, &c.MaxBytes, &c.MaxMsgsPer} {
		if *limit == -1 {
			*limit = 0 // both say that there is none
		}
	}
	return c
}

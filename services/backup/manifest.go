package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"time"

	"creditstream/events/journal"
)

// Format is the version of the form of a backup.
const Format = 1

// ErrDamaged says that a backup is not what was written: it must not be restored from.
var ErrDamaged = errors.New("the backup is damaged")

// Manifest says what a backup holds. It is written last, when all of it is known.
type Manifest struct {
	Format  int       `json:"format"`
	Program string    `json:"program"` // that wrote it
	Created time.Time `json:"created"`
	// Streams are those of JetStream, in the order in which they were put away.
	Streams []Stream `json:"streams"`
	// Journals are where each journal ended; they are among the streams.
	Journals []Journal `json:"journals"`
	// Views are where each view stood: never beyond its journal. None where only journals were asked for.
	Views []View `json:"views,omitempty"`
	// LeftOut are tenants that the server itself does not serve, because their journals cannot be trusted.
	LeftOut []LeftOut `json:"left_out,omitempty"`
	// Files are all files, in the order in which they were written.
	Files []File `json:"files"`
}

// Stream is a stream of JetStream. Its snapshot is the files <Path>/000001 and on, put together.
type Stream struct {
	Name   string          `json:"name"`
	Path   string          `json:"path"`
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

// Journal is a journal and its last commit in the backup.
type Journal struct {
	Tenant   string       `json:"tenant"`
	Shard    int          `json:"shard"`
	Shards   int          `json:"shards"` // of the tenant
	Journal  string       `json:"journal"`
	Sequence uint64       `json:"sequence"`
	Hash     journal.Hash `json:"hash"`
}

// Name says which journal it is.
func (j Journal) Name() journal.Name { return journal.Name{Tenant: j.Tenant, Shard: j.Shard} }

// Head is the place after its last commit.
func (j Journal) Head() journal.Head {
	return journal.Head{Journal: j.Journal, Sequence: j.Sequence, Hash: j.Hash}
}

// View is a view of one journal and the commit that it stands at.
type View struct {
	View     string       `json:"view"`
	Tenant   string       `json:"tenant"`
	Shard    int          `json:"shard"`
	Journal  string       `json:"journal"`
	Sequence uint64       `json:"sequence"`
	Hash     journal.Hash `json:"hash"`
}

// LeftOut is a tenant that is not in the backup.
type LeftOut struct {
	Tenant string `json:"tenant"`
	Reason string `json:"reason"`
}

// File is one file; Path has slashes and is relative.
type File struct {
	Path   string       `json:"path"`
	Size   int64        `json:"size"`
	SHA256 journal.Hash `json:"sha256"`
}

// Bytes is the size of all files.
func (m *Manifest) Bytes() (sum int64) {
	for _, f := range m.Files {
		sum += f.Size
	}
	return sum
}

// Names of the two files that are in no manifest. The second holds the SHA-256 of the first.
const (
	manifestName = "manifest.json"
	sumName      = "manifest.sha256"
)

// namePattern is what the files of a backup are called: nothing that could lead out of its directory.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)

func checkName(path string) error {
	if len(path) > 256 || !namePattern.MatchString(path) || !filepath.IsLocal(filepath.FromSlash(path)) {
		return fmt.Errorf("%w: it has a file called %.80q", ErrDamaged, path)
	}
	return nil
}

// parseManifest reads a manifest and checks it in itself.
func parseManifest(text []byte) (*Manifest, error) {
	var version struct {
		Format  int    `json:"format"`
		Program string `json:"program"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	if version.Format != Format {
		return nil, fmt.Errorf("the backup has format %d, written by %s; this is %s, which reads format %d: restore it with that program or a newer one",
			version.Format, version.Program, Program(), Format)
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	for _, f := range m.Files {
		if err := checkName(f.Path); err != nil {
			return nil, err
		}
	}
	return m, m.check()
}

// check refuses a view that knows more than its journal.
func (m *Manifest) check() error {
	ends := make(map[journal.Name]Journal)
	for _, j := range m.Journals {
		ends[j.Name()] = j
	}
	for _, v := range m.Views {
		j, ok := ends[journal.Name{Tenant: v.Tenant, Shard: v.Shard}]
		if ok && (v.Journal != j.Journal || v.Sequence > j.Sequence) {
			return fmt.Errorf("%w: view %s of %s/%d is at commit %d, its journal ends at %d", ErrDamaged, v.View, v.Tenant, v.Shard, v.Sequence, j.Sequence)
		}
	}
	return nil
}

// Program is this program and its version, for messages that say which one is needed.
func Program() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return "credits " + version
}

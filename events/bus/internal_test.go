package bus

import "testing"

func TestVersionsAreCompared(t *testing.T) {
	for _, test := range []struct {
		version, than string
		want          bool
	}{
		{"2.15.2", "2.15.0", false},
		{"2.15.0", "2.15.0", false},
		{"2.14.9", "2.15.0", true},
		{"2.9.25", "2.15.0", true},
		{"3.0.0", "2.15.0", false},
		{"2.16.0-RC.1", "2.15.0", false},
		{"", "2.15.0", true},
		{"unknown", "2.15.0", true},
	} {
		if got := older(test.version, test.than); got != test.want {
			t.Errorf("%q is older than %s: %v", test.version, test.than, got)
		}
	}
}

func TestAcksComeAfterTheFsync(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		s, err := Start(t.Context(), Config{StoreDir: t.TempDir(), UnsafeNoSync: noSync})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Shutdown()
		if got := s.nats.JetStreamConfig().SyncAlways; got == noSync {
			t.Errorf("UnsafeNoSync %v: the server syncs always: %v", noSync, got)
		}
	}
}

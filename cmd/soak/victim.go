package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"creditstream/services/node"
)

// victimEnv makes this program the server under test; its value is a victimConfig.
const victimEnv = "CREDITSTREAM_SOAK_VICTIM"

// victimConfig is what the driver tells the server under test.
type victimConfig struct {
	Data string `json:"data"`
	// NoSync acknowledges before the fsync.
	NoSync bool `json:"no_sync,omitempty"`
	// AcceptLostAnchors serves what is left though it cannot be shown that nothing is missing.
	AcceptLostAnchors bool `json:"accept_lost_anchors,omitempty"`
	// Trap is the point at which the process kills itself, when it passes there for the TrapAfter-th time.
	Trap      string `json:"trap,omitempty"`
	TrapAfter int64  `json:"trap_after,omitempty"`
	// TrapDelay is up to how long it waits there: what is on its way may get further.
	TrapDelay time.Duration `json:"trap_delay,omitempty"`
	// Reserve is node.Config's.
	Reserve int64 `json:"reserve,omitempty"`
	// TestClock, when set, is where its clock stands still.
	TestClock time.Time `json:"test_clock,omitzero"`
	// Verify verifies the directory as it is found, prints the report, and serves nothing.
	Verify bool `json:"verify,omitempty"`
}

// victim runs the server until standard input ends.
func victim(text string) error {
	var cfg victimConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return fmt.Errorf("read %s: %w", victimEnv, err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if cfg.Verify {
		report, err := node.VerifyData(context.Background(), cfg.Data, log, node.Verifying{})
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	n, err := node.Start(context.Background(), node.Config{
		Data: cfg.Data, Listen: "127.0.0.1:0", NATSListen: "127.0.0.1:0", Dev: true, UnsafeNoSync: cfg.NoSync, AcceptLostAnchors: cfg.AcceptLostAnchors,
		Reserve: cfg.Reserve, Trap: cfg.trap(), Logger: log, TestClock: cfg.TestClock,
	})
	if err != nil {
		return err
	}
	fmt.Println(n.HTTP(), n.NATS())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return n.Close()
}

// trap ends the process as kill -9 does.
func (cfg victimConfig) trap() func(string) {
	if cfg.Trap == "" {
		return nil
	}
	var passed atomic.Int64
	return func(point string) {
		if point != cfg.Trap || passed.Add(1) != cfg.TrapAfter {
			return
		}
		if cfg.TrapDelay > 0 {
			time.Sleep(rand.N(cfg.TrapDelay))
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing further happens at this point
	}
}

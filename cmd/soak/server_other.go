//go:build !linux

package main

import "syscall"

// dieWithUs is for Linux only: elsewhere a child sees its standard input end.
func dieWithUs() *syscall.SysProcAttr { return nil }

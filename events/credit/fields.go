package credit

import "encoding/binary"

// Fields reads the value of a record of a view, field by field: encoding/binary's varints, and texts with their
// length before them. After the first mistake it reads zeroes, and Bad says so: nothing has to be checked in
// between.
type Fields struct {
	// Rest is what was not read yet.
	Rest []byte
	// Bad says that something was read that was not there.
	Bad bool
}

// Fail notes a mistake that the reader of the record found.
func (f *Fields) Fail() { f.Bad, f.Rest = true, nil }

// Uint reads what AppendUvarint wrote.
func (f *Fields) Uint() uint64 {
	u, n := binary.Uvarint(f.Rest)
	if n <= 0 {
		f.Fail()
		return 0
	}
	f.Rest = f.Rest[n:]
	return u
}

// Int reads what AppendVarint wrote.
func (f *Fields) Int() int64 {
	i, n := binary.Varint(f.Rest)
	if n <= 0 {
		f.Fail()
		return 0
	}
	f.Rest = f.Rest[n:]
	return i
}

// Bytes reads a length and as many bytes. They are not copied.
func (f *Fields) Bytes() []byte {
	n := f.Uint()
	if n > uint64(len(f.Rest)) {
		f.Fail()
		return nil
	}
	b := f.Rest[:n]
	f.Rest = f.Rest[n:]
	return b
}

// Done reports whether everything was read, and without a mistake.
func (f *Fields) Done() bool { return !f.Bad && len(f.Rest) == 0 }

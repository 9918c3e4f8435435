package credit

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Amount is a number of credits (or of one meter's units, in a pool that counts those) in the
// tenant's smallest unit. With a catalog of scale 6 one credit is 1_000_000. There are no
// fractions of an Amount and there is no floating point anywhere near one.
type Amount int64

// MaxAmount bounds every single amount that enters the system (a grant, a price, a cost), far
// enough below the limit of int64 that sums over an account cannot overflow unnoticed.
const MaxAmount Amount = 1 << 60

// MaxScale is the largest number of decimals that a catalog may choose.
const MaxScale = 9

// ErrOverflow says that a sum or product left the range of an Amount.
var ErrOverflow = errors.New("amount out of range")

// Add returns a+b, or ErrOverflow when the magnitude would exceed MaxAmount.
func (a Amount) Add(b Amount) (Amount, error) {
	sum := a + b
	if (a > 0 && b > 0 && sum < 0) || (a < 0 && b < 0 && sum >= 0) || sum > MaxAmount || sum < -MaxAmount {
		return 0, ErrOverflow
	}
	return sum, nil
}

// MulDiv returns floor(a*n/d) and the remainder, computed in 128 bits. a and n must not be
// negative and d must be positive.
func (a Amount) MulDiv(n, d int64) (quotient Amount, remainder int64, err error) {
	if a < 0 || n < 0 || d <= 0 {
		return 0, 0, fmt.Errorf("multiply %d by %d over %d: %w", a, n, d, ErrOverflow)
	}
	hi, lo := bits.Mul64(uint64(a), uint64(n))
	if hi >= uint64(d) {
		return 0, 0, ErrOverflow
	}
	q, r := bits.Div64(hi, lo, uint64(d))
	if q > uint64(MaxAmount) {
		return 0, 0, ErrOverflow
	}
	return Amount(q), int64(r), nil
}

// Format writes the amount as a decimal with at most scale decimals and no trailing zeros:
// Amount(2_020_000).Format(6) is "2.02".
func (a Amount) Format(scale int) string {
	return string(a.AppendFormat(nil, scale))
}

// AppendFormat appends what Format returns.
func (a Amount) AppendFormat(dst []byte, scale int) []byte {
	u := uint64(a)
	if a < 0 {
		dst = append(dst, '-')
		u = -u
	}
	unit := pow10(scale)
	dst = appendUint(dst, u/unit)
	frac := u % unit
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit /= 10; frac > 0; unit /= 10 {
		dst = append(dst, byte('0'+frac/unit))
		frac %= unit
	}
	return dst
}

// ParseAmount reads a decimal such as "2.02" at the given scale. It refuses signs, exponents,
// spaces, more than scale decimals and anything above MaxAmount.
func ParseAmount(s string, scale int) (Amount, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if whole == "" || (dotted && frac == "") {
		return 0, fmt.Errorf("%q is not a decimal number such as 2.5", clip(s))
	}
	if trimmed := strings.TrimRight(frac, "0"); len(trimmed) > scale {
		return 0, fmt.Errorf("%q has more than %d decimals", clip(s), scale)
	}
	var n uint64
	digit := func(c byte) error {
		if c < '0' || c > '9' {
			return fmt.Errorf("%q is not a decimal number such as 2.5", clip(s))
		}
		if n > math.MaxInt64/10-1 {
			return fmt.Errorf("%q is too large", clip(s))
		}
		n = n*10 + uint64(c-'0')
		return nil
	}
	for i := range len(whole) {
		if err := digit(whole[i]); err != nil {
			return 0, err
		}
	}
	for i := range scale {
		c := byte('0')
		if i < len(frac) {
			c = frac[i]
		}
		if err := digit(c); err != nil {
			return 0, err
		}
	}
	for i := scale; i < len(frac); i++ {
		if frac[i] != '0' {
			return 0, fmt.Errorf("%q is not a decimal number such as 2.5", clip(s))
		}
	}
	if n > uint64(MaxAmount) {
		return 0, fmt.Errorf("%q is too large", clip(s))
	}
	return Amount(n), nil
}

// Money is an amount of a currency in its ISO 4217 minor unit (cents for USD, whole yen for
// JPY, thousandths for KWD).
type Money struct {
	Currency string `json:"currency"`
	Minor    int64  `json:"minor"`
}

// IsZero reports whether no money is meant at all.
func (m Money) IsZero() bool { return m == Money{} }

func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func appendUint(dst []byte, u uint64) []byte {
	var buf [20]byte
	i := len(buf)
	for {
		i--
		buf[i] = byte('0' + u%10)
		u /= 10
		if u == 0 {
			return append(dst, buf[i:]...)
		}
	}
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

package credentials

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// TOTP is written out here: it is fifteen lines, checked against the RFC's own vectors, and what
// matters (a step never accepted twice) no library does.
const (
	totpSecretSize = 20 // RFC 4226 §4, R6: 160 bits
	totpPeriod     = 30 // seconds; RFC 6238 §5.2
	totpDrift      = 1  // steps either side; RFC 6238 §5.2 allows at most one
	totpModulus    = 1_000_000
)

// totpCode is the code of one step: RFC 4226 §5.3 over HMAC-SHA-1, which authenticator apps agree on
// and whose collisions do not matter in an HMAC.
func totpCode(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	h := hmac.New(sha1.New, secret)
	h.Write(counter[:])
	sum := h.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", codeDigits, number%totpModulus)
}

// matchTOTP finds the step whose code this is, among the present one and one either side. A step up to
// last was accepted before, or lies before one that was: it is used.
func matchTOTP(secret []byte, code string, now time.Time, last int64) (int64, match) {
	present := now.Unix() / totpPeriod
	found, m := int64(0), wrong
	for step := present - totpDrift; step <= present+totpDrift; step++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, step)), []byte(code)) != 1 {
			continue
		}
		if step > last {
			return step, right
		}
		found, m = step, used
	}
	return found, m
}

// totpURI is what an authenticator reads from a QR code.
func totpURI(issuer, account string, secret []byte) string {
	issuer, account = escapeLabel(issuer), escapeLabel(account)
	return fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
		issuer, account, base32.StdEncoding.EncodeToString(secret), issuer, codeDigits, totpPeriod)
}

// escapeLabel escapes the colon, which parts issuer and account, and writes a space as %20:
// authenticators show a form's "+" as it stands.
func escapeLabel(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// sealTOTP encrypts a secret so that it opens only on its own subject.
func (p *pepper) sealTOTP(subject string, secret []byte) (digest, error) {
	aead, err := p.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, secret, []byte(subject)), nil
}

func (p *pepper) openTOTP(subject string, sealed digest) ([]byte, error) {
	aead, err := p.aead()
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, nil, sealed, []byte(subject))
	if err != nil {
		return nil, fmt.Errorf("%w: the TOTP secret of %s does not open", ErrTampered, subject)
	}
	return secret, nil
}

func (p *pepper) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(p.seal)
	if err != nil {
		return nil, fmt.Errorf("seal TOTP secret: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal TOTP secret: %w", err)
	}
	return aead, nil
}

package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"housing/internal/objects"
)

// maxWindow bounds the memory that a part can make its reader take.
const maxWindow = 32 << 20

// partsPrefix is where parts lie.
const partsPrefix = "parts/"

// errDamaged is the error for a part that is not what the manifest says.
var errDamaged = errors.New("damaged")

// sealing is how parts are encrypted: not at all without recipients.
type sealing struct {
	recipients []age.Recipient
	names      []string // as they were given, sorted
	tag        string   // stands in the names of parts
}

// newSealing reads public keys, age1….
func newSealing(names []string) (*sealing, error) {
	s := &sealing{names: slices.Clone(names)}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	if len(s.names) > maxRecipients {
		return nil, fmt.Errorf("%d recipients are more than %d", len(s.names), maxRecipients)
	}
	for _, name := range s.names {
		r, err := age.ParseX25519Recipient(name)
		if err != nil {
			return nil, fmt.Errorf("recipient %.80q is not a public key of age, such as age1…: %w", name, err)
		}
		s.recipients = append(s.recipients, r)
	}
	if len(s.names) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(s.names, "\n")))
		s.tag = hex.EncodeToString(sum[:4])
	}
	return s, nil
}

// CheckRecipients returns an error unless each is a public key of age.
func CheckRecipients(names []string) error {
	_, err := newSealing(names)
	return err
}

// key returns the name of the part with a digest.
func (s *sealing) key(digest string) string {
	if s.tag == "" {
		return partsPrefix + digest[:2] + "/" + digest + ".zst"
	}
	return partsPrefix + digest[:2] + "/" + digest + "." + s.tag + ".zst.age"
}

// keyOf returns the name of a part of a backup.
func (m *Manifest) keyOf(digest string) string {
	s := sealing{}
	if len(m.Recipients) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(m.Recipients, "\n")))
		s.tag = hex.EncodeToString(sum[:4])
	}
	return s.key(digest)
}

// writer brings parts to a repository.
type writer struct {
	store    objects.Store
	sealing  *sealing
	known    map[string]Part // by name, of earlier backups, without the damaged
	damaged  map[string]bool // by name, as verifications found
	brought  map[string]Part // by name, by this writer
	added    StoredBytes
	encoder  *zstd.Encoder
	progress func(bytes int64)
}

func newWriter(store objects.Store, s *sealing, known map[string]Part, damaged map[string]bool, progress func(int64)) (*writer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
	if err != nil {
		return nil, err
	}
	return &writer{store: store, sealing: s, known: known, damaged: damaged, brought: map[string]Part{}, encoder: encoder, progress: progress}, nil
}

// put brings one part, unless it is there.
func (w *writer) put(ctx context.Context, data []byte) (Part, error) {
	sum := sha256.Sum256(data)
	p := Part{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(data))}
	key := w.sealing.key(p.SHA256)
	defer w.progress(p.Bytes)
	if b, ok := w.brought[key]; ok {
		return b, nil
	}
	there, tag, err := w.find(ctx, key, p)
	if err != nil {
		return p, fmt.Errorf("part %s: %w", key, err)
	}
	if there == nil {
		if there, err = w.bring(ctx, key, p, data, tag); err != nil {
			return p, fmt.Errorf("part %s: %w", key, err)
		}
		w.added.New += there.StoredBytes
	}
	w.added.All += there.StoredBytes
	w.brought[key] = *there
	return *there, nil
}

// find returns a part that is there and can be used: one of an earlier backup,
// or of a run that was cut off. Where there is none it returns nil, and the tag
// to bring it with.
func (w *writer) find(ctx context.Context, key string, p Part) (there *Part, tag string, err error) {
	size, err := w.store.Size(ctx, key)
	if errors.Is(err, objects.ErrAbsent) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if known, ok := w.known[key]; ok && !w.damaged[key] && known.StoredBytes == size && known.Bytes == p.Bytes {
		return &known, "", nil
	}
	if _, ok := w.known[key]; !ok && !w.damaged[key] && size <= maxStoredBytes {
		found, err := w.adopt(ctx, key, p)
		if err != nil || found != nil {
			return found, "", err
		}
	}
	return nil, objects.Whatever, nil
}

// adopt looks at a part that a run left which was cut off. Objects are
// written whole or not at all; what can be read without a secret is compared
// all the same.
func (w *writer) adopt(ctx context.Context, key string, p Part) (*Part, error) {
	body, size, err := w.store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var stored bytes.Buffer
	if _, err := io.Copy(&stored, io.LimitReader(body, size)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(stored.Bytes())
	p.StoredSHA256, p.StoredBytes = hex.EncodeToString(sum[:]), int64(stored.Len())
	if len(w.sealing.recipients) == 0 {
		if _, err := unpack(stored.Bytes(), p, nil); err != nil {
			return nil, nil
		}
	}
	return &p, nil
}

func (w *writer) bring(ctx context.Context, key string, p Part, data []byte, tag string) (*Part, error) {
	stored := w.encoder.EncodeAll(data, nil)
	if len(w.sealing.recipients) > 0 {
		var sealed bytes.Buffer
		to, err := age.Encrypt(&sealed, w.sealing.recipients...)
		if err != nil {
			return nil, err
		}
		if _, err := to.Write(stored); err != nil {
			return nil, err
		}
		if err := to.Close(); err != nil {
			return nil, err
		}
		stored = sealed.Bytes()
	}
	sum := sha256.Sum256(stored)
	p.StoredSHA256, p.StoredBytes = hex.EncodeToString(sum[:]), int64(len(stored))
	err := w.store.Write(ctx, key, bytes.NewReader(stored), tag)
	if errors.Is(err, objects.ErrTaken) { // by a try whose answer was lost
		return w.adopt(ctx, key, p)
	}
	return &p, err
}

// stream cuts what is written to it into parts. Its Close brings the last.
type stream struct {
	ctx    context.Context
	w      *writer
	buffer []byte
	out    Stream
}

// Write takes bytes of the stream.
func (s *stream) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), partBytes-len(s.buffer))
		s.buffer, p = append(s.buffer, p[:n]...), p[n:]
		if len(s.buffer) == partBytes {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (s *stream) flush() error {
	if len(s.buffer) == 0 {
		return nil
	}
	p, err := s.w.put(s.ctx, s.buffer)
	s.buffer = s.buffer[:0]
	s.out.Parts, s.out.Bytes = append(s.out.Parts, p), s.out.Bytes+p.Bytes
	return err
}

// finish brings the rest, and returns the stream; the next begins anew.
func (s *stream) finish() (Stream, error) {
	err := s.flush()
	out := s.out
	if s.out = (Stream{}); out.Parts == nil {
		out.Parts = []Part{}
	}
	return out, err
}

// reader reads the parts of a backup.
type reader struct {
	store      objects.Store
	manifest   *Manifest
	identities []age.Identity
	progress   func(bytes int64)
}

// copyTo writes a stream to to, part by part, each checked before any of it
// is written. The error says which part is wrong.
func (r *reader) copyTo(ctx context.Context, what string, s *Stream, to io.Writer) error {
	for i, p := range s.Parts {
		data, err := r.part(ctx, p)
		if err != nil {
			return &PartError{Of: what, Number: i + 1, Parts: len(s.Parts), Key: r.manifest.keyOf(p.SHA256), Err: err}
		}
		if _, err := to.Write(data); err != nil {
			return err
		}
		r.progress(p.Bytes)
	}
	return nil
}

// PartError says which part of a backup cannot be used.
type PartError struct {
	Of            string // such as "table predictions 2026-11-25"
	Number, Parts int
	Key           string // of the object
	Err           error
}

func (e *PartError) Error() string {
	return fmt.Sprintf("%s, part %d of %d (%s): %v", e.Of, e.Number, e.Parts, e.Key, e.Err)
}

func (e *PartError) Unwrap() error { return e.Err }

// part returns what one part holds.
func (r *reader) part(ctx context.Context, p Part) ([]byte, error) {
	key := r.manifest.keyOf(p.SHA256)
	body, size, err := r.store.Open(ctx, key)
	if errors.Is(err, objects.ErrAbsent) {
		return nil, fmt.Errorf("%w: it is missing", errDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", objects.ReasonOf(err), err)
	}
	defer body.Close()
	if size >= 0 && size != p.StoredBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, should have %d", errDamaged, size, p.StoredBytes)
	}
	stored := bytes.NewBuffer(make([]byte, 0, p.StoredBytes+1))
	if _, err := io.Copy(stored, io.LimitReader(body, p.StoredBytes+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", objects.ReasonOf(err), err)
	}
	return unpack(stored.Bytes(), p, r.identities)
}

// unpack returns what the stored bytes of a part hold: checked, decrypted
// where there are identities, decompressed, checked again.
func unpack(stored []byte, p Part, identities []age.Identity) ([]byte, error) {
	if int64(len(stored)) != p.StoredBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, should have %d", errDamaged, len(stored), p.StoredBytes)
	}
	if sum := sha256.Sum256(stored); hex.EncodeToString(sum[:]) != p.StoredSHA256 {
		return nil, fmt.Errorf("%w: its SHA-256 is %s, should be %s", errDamaged, hex.EncodeToString(sum[:]), p.StoredSHA256)
	}
	var packed io.Reader = bytes.NewReader(stored)
	if identities != nil {
		var err error
		if packed, err = age.Decrypt(packed, identities...); err != nil {
			return nil, fmt.Errorf("it cannot be decrypted: %w", err)
		}
	}
	decoder, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	defer decoder.Close()
	data := bytes.NewBuffer(make([]byte, 0, p.Bytes+1))
	if _, err := io.Copy(data, io.LimitReader(decoder, p.Bytes+1)); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if sum := sha256.Sum256(data.Bytes()); int64(data.Len()) != p.Bytes || hex.EncodeToString(sum[:]) != p.SHA256 {
		return nil, fmt.Errorf("%w: it does not hold what it should", errDamaged)
	}
	return data.Bytes(), nil
}

// ParseIdentities reads secret keys as age-keygen writes them, which decrypt
// backups.
func ParseIdentities(text string) ([]age.Identity, error) {
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, errors.New("holds no secret key of age, such as AGE-SECRET-KEY-1…") // the cause may repeat it
	}
	return identities, nil
}

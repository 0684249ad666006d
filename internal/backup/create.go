package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"housing/internal/buildinfo"
	"housing/internal/registry"
	"housing/internal/rollout"
)

// CreateOptions says what is backed up, and how.
type CreateOptions struct {
	Pool       *pgxpool.Pool      // database; nil for none
	Registry   *registry.Registry // nil for none
	References bool               // leave bundles where they are, and note their digests
	Settings   []byte             // document of settings; nil for none
	Recipients []string           // public keys of age; none for no encryption
	By         string             // who does it
	Retention  Retention
	Progress   func(done, total int64) // in bytes, about; may be nil
}

// Created says what came of a backup.
type Created struct {
	Manifest *Manifest
	Deleted  []string // IDs of backups that are no longer kept
}

// Create makes a backup. Parts that are there already, also those of a run
// that was cut off, are not brought again; the manifest comes last. One
// process at a time changes a repository: another waits. Backups that are no
// longer kept are deleted once the new one is whole.
func (r *Repository) Create(ctx context.Context, o CreateOptions) (*Created, error) {
	sealing, err := newSealing(o.Recipients)
	if err != nil {
		return nil, err
	}
	if o.Pool == nil && o.Registry == nil && o.Settings == nil {
		return nil, errors.New("there is nothing to back up: neither a database nor a registry is named")
	}
	ctx, release, err := r.hold(ctx, o.By)
	if err != nil {
		return nil, err
	}
	defer release()
	before, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	meter := &meter{report: o.Progress}
	c := &creation{options: &o, meter: meter}
	if c.writer, c.last, err = r.prepare(ctx, before, sealing, meter.add); err != nil {
		return nil, err
	}
	m := &Manifest{Format: format, Moment: r.now().UTC(), Program: buildinfo.Program, By: o.By, Recipients: sealing.names}
	if len(m.Recipients) == 0 {
		m.Recipients = nil
	}
	// The plan is read before what it names; versions never change.
	if o.Registry != nil {
		if m.Registry, err = c.listRegistry(ctx); err != nil {
			return nil, err
		}
	}
	if o.Pool != nil {
		if m.Database, m.Moment, err = c.copyDatabase(ctx); err != nil {
			return nil, fault(ctx, err)
		}
	}
	if m.Registry != nil {
		if err := c.copyRegistry(ctx, m.Registry); err != nil {
			return nil, fault(ctx, err)
		}
	}
	if o.Settings != nil {
		s, err := c.copyBytes(ctx, o.Settings)
		if err != nil {
			return nil, fault(ctx, err)
		}
		m.Settings = &s
	}
	m.Stored = c.writer.added
	m.Finished = r.now().UTC()
	m.ID = m.Moment.Format(idLayout) + "-" + randomHex()
	text, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("backup: the manifest would not be read again: %w", err)
	}
	if ctx.Err() != nil {
		return nil, fault(ctx, ctx.Err())
	}
	if err := r.store.Write(ctx, m.ID+"/"+manifestName, bytes.NewReader(text), ""); err != nil {
		return nil, r.fault("write the manifest", err)
	}
	done := &Created{Manifest: m}
	if done.Deleted, err = r.prune(ctx, o.Retention); err != nil {
		return done, fmt.Errorf("backup %s is whole, and what is no longer kept was not deleted: %w", m.ID, err)
	}
	return done, nil
}

// fault gives the cause of a context that ended in place of what it brought
// about.
func fault(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func randomHex() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// prepare looks at what the repository has: parts that need not be brought
// again, and the last backup that its days can be taken from.
func (r *Repository) prepare(ctx context.Context, before []Summary, sealing *sealing, progress func(int64)) (*writer, *Manifest, error) {
	keys, err := r.store.List(ctx, partsPrefix)
	if err != nil {
		return nil, nil, r.fault("list parts", err)
	}
	there := make(map[string]bool, len(keys))
	for _, key := range keys {
		there[key] = true
	}
	known, bad := map[string]Part{}, map[string]bool{}
	for _, b := range before {
		if b.Verification != nil {
			for _, key := range b.Verification.Damaged {
				bad[key] = true
			}
		}
	}
	var last *Manifest
	for _, b := range before {
		if b.Manifest == nil {
			continue
		}
		if err := b.Manifest.streams(func(_ string, s *Stream) error {
			for _, p := range s.Parts {
				if key := b.Manifest.keyOf(p.SHA256); there[key] {
					known[key] = p
				}
			}
			return nil
		}); err != nil {
			return nil, nil, err
		}
		if b.Manifest.keyOf(anyDigest) == sealing.key(anyDigest) {
			last = b.Manifest
		}
	}
	// A part may have been brought again since it was found damaged. To bring it
	// once more would take it from the backups that name what is there now.
	for key := range bad {
		p, ok := known[key]
		if !ok {
			continue
		}
		sum, err := r.storedDigest(ctx, key)
		if err != nil {
			return nil, nil, r.fault("look at part "+key, err)
		}
		if sum == p.StoredSHA256 {
			delete(bad, key)
		}
	}
	w, err := newWriter(r.store, sealing, known, bad, progress)
	return w, last, err
}

// storedDigest returns the SHA-256 of the object of a part.
func (r *Repository) storedDigest(ctx context.Context, key string) (string, error) {
	body, _, err := r.store.Open(ctx, key)
	if err != nil {
		return "", err
	}
	defer body.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(body, maxStoredBytes)); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// anyDigest is a digest to compare the names of parts by.
var anyDigest = hex.EncodeToString(make([]byte, 32))

// creation is a backup that is being made.
type creation struct {
	options *CreateOptions
	writer  *writer
	last    *Manifest // the backup before, encrypted to the same keys; nil for none
	meter   *meter
}

// usable says whether every part of a stream of the last backup is there and
// not known to be damaged.
func (c *creation) usable(s *Stream) bool {
	for _, p := range s.Parts {
		key := c.writer.sealing.key(p.SHA256)
		if _, ok := c.writer.known[key]; !ok || c.writer.damaged[key] {
			return false
		}
	}
	return true
}

// reuse counts the parts of a stream that is taken from the last backup.
func (c *creation) reuse(s *Stream) {
	for _, p := range s.Parts {
		key := c.writer.sealing.key(p.SHA256)
		if _, ok := c.writer.brought[key]; !ok {
			c.writer.brought[key] = p
			c.writer.added.All += p.StoredBytes
		}
	}
}

func (c *creation) newStream(ctx context.Context) *stream {
	return &stream{ctx: ctx, w: c.writer, buffer: make([]byte, 0, partBytes)}
}

// copyBytes brings a small document.
func (c *creation) copyBytes(ctx context.Context, data []byte) (Stream, error) {
	s := c.newStream(ctx)
	if _, err := s.Write(data); err != nil {
		return Stream{}, err
	}
	return s.finish()
}

// meter counts bytes for a progress bar.
type meter struct {
	done, total int64
	report      func(done, total int64)
}

func (m *meter) add(n int64) {
	m.done += n
	m.tell()
}

func (m *meter) expect(n int64) {
	m.total += n
	m.tell()
}

func (m *meter) tell() {
	if m.report != nil {
		m.report(m.done, max(m.total, m.done))
	}
}

// copyRegistry brings the objects that the registry was seen to have.
func (c *creation) copyRegistry(ctx context.Context, to *RegistryCopy) error {
	from := c.options.Registry
	s := c.newStream(ctx)
	for i := range to.Objects {
		o := &to.Objects[i]
		if o.Reference || o.Parts != nil {
			continue
		}
		digest, err := from.ReadObject(ctx, o.Key, s)
		if err != nil {
			return fmt.Errorf("back up the registry: %w", err)
		}
		o.SHA256 = digest
		if o.Stream, err = s.finish(); err != nil {
			return fmt.Errorf("back up %s: %w", o.Key, err)
		}
	}
	return nil
}

// listRegistry reads the plan and the aliases, and then what else there is.
func (c *creation) listRegistry(ctx context.Context) (*RegistryCopy, error) {
	from := c.options.Registry
	out := &RegistryCopy{Location: from.Location(), Objects: []ObjectCopy{}}
	state, _, err := from.State(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("back up the registry: %w", err)
	}
	plan, err := rollout.Of(state)
	if err != nil {
		return nil, fmt.Errorf("back up the registry: %w", err)
	}
	out.Primary = plan.Primary
	documents, err := from.Documents(ctx)
	if err != nil {
		return nil, fmt.Errorf("back up the registry: %w", err)
	}
	versions, err := from.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("back up the registry: %w", err)
	}
	for _, v := range versions {
		keys, err := from.ObjectsOf(ctx, v.Version)
		if err != nil {
			return nil, fmt.Errorf("back up the registry: %w", err)
		}
		for _, key := range keys {
			o := ObjectCopy{Key: key}
			if registry.IsBundle(key) {
				switch {
				case c.options.References && v.Digest == "":
					return nil, fmt.Errorf("version %s has no digest beside it, so that it cannot be referred to: push it, or copy bundles", v.Version)
				case c.options.References:
					o.Reference, o.SHA256, o.Parts = true, v.Digest, []Part{}
				default:
					c.meter.expect(v.Size)
					c.lastBundle(&o, v.Digest)
				}
			}
			out.Objects = append(out.Objects, o)
		}
	}
	for _, d := range documents {
		o := ObjectCopy{Key: d.Key, SHA256: d.SHA256}
		if o.Stream, err = c.copyBytes(ctx, d.Text); err != nil {
			return nil, fmt.Errorf("back up %s: %w", d.Key, err)
		}
		out.Objects = append(out.Objects, o)
	}
	return out, nil
}

// lastBundle takes a bundle that was read and checked for the last backup
// from there: versions never change.
func (c *creation) lastBundle(o *ObjectCopy, digest string) {
	if c.last == nil || c.last.Registry == nil || digest == "" {
		return
	}
	for i := range c.last.Registry.Objects {
		l := &c.last.Registry.Objects[i]
		if l.Key == o.Key && !l.Reference && l.SHA256 == digest && c.usable(&l.Stream) {
			o.SHA256, o.Stream = l.SHA256, l.Stream
			c.reuse(&l.Stream)
			c.meter.add(l.Bytes)
		}
	}
}

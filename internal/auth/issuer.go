package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// How keys are fetched. A token with an unknown key can bring one fetch about
// in each cooldown, however many such tokens there are.
const (
	refreshEvery = 10 * time.Minute
	cooldown     = 30 * time.Second
	firstRetry   = time.Second
	lastRetry    = 10 * time.Second
	fetchTime    = 5 * time.Second
	maxKeysBytes = 256 << 10

	// patience is how long a token with an unknown key waits for a fetch, and
	// maxWaiting how many may wait at once.
	patience   = time.Second
	maxWaiting = 64
)

// Issuer keeps the public keys of whoever issues tokens. Make one with
// [NewIssuer] and let [Issuer.Run] run; until it has fetched keys, tokens are
// answered with [ErrNoKeys]. When the issuer is away, its last keys stay.
type Issuer struct {
	url    string
	client *http.Client
	report func(error)

	keys    atomic.Pointer[keySet] // nil before the first fetch
	asked   chan struct{}          // holds one wish for a fetch
	waiting atomic.Int32

	mu      sync.Mutex
	prompt  bool          // a wish is heeded now: it does not fall into a cooldown
	fetched chan struct{} // closed when the fetch that is next or under way ends
}

// NewIssuer returns the issuer whose keys are at a URL. Each fetch that ends
// is told by report, nil when it went well.
func NewIssuer(url string, transport http.RoundTripper, report func(error)) *Issuer {
	return &Issuer{
		url: url, report: report,
		client: &http.Client{
			Transport: transport,
			Timeout:   fetchTime,
			// Whoever can make the issuer redirect would choose our keys.
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("it redirects: set JWT_JWKS_URL to where it leads")
			},
		},
		asked: make(chan struct{}, 1), fetched: make(chan struct{}),
	}
}

// Run fetches the keys until ctx ends: at once, every ten minutes, sooner
// after a failure or when a token names an unknown key.
func (i *Issuer) Run(ctx context.Context) {
	defer i.client.CloseIdleConnections()
	retry := firstRetry
	for {
		i.setPrompt(true)
		err := i.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		i.report(err)
		i.ended()
		if err != nil {
			if !sleep(ctx, retry) {
				return
			}
			retry = min(2*retry, lastRetry)
			continue
		}
		retry = firstRetry
		if !sleep(ctx, cooldown) {
			return
		}
		i.setPrompt(true)
		if !i.idle(ctx) {
			return
		}
	}
}

// idle waits until the keys are old or someone asks for a fetch.
func (i *Issuer) idle(ctx context.Context) bool {
	timer := time.NewTimer(refreshEvery - cooldown)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.asked:
	case <-ctx.Done():
		return false
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (i *Issuer) setPrompt(prompt bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.prompt = prompt
}

// ended lets those who wait for the fetch go on.
func (i *Issuer) ended() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.prompt = false
	close(i.fetched)
	i.fetched = make(chan struct{})
	select {
	case <-i.asked: // this fetch was the answer
	default:
	}
}

func (i *Issuer) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url, nil)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := i.client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			failed.URL = request.URL.Host // the rest may hold a key
		}
		return fmt.Errorf("fetch keys: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch keys: the issuer answers %d", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKeysBytes+1))
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}
	if len(text) > maxKeysBytes {
		return fmt.Errorf("fetch keys: the answer is larger than %d bytes", maxKeysBytes)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return err
	}
	i.keys.Store(keys)
	return nil
}

// verify checks the signature with the key that the token names.
func (i *Issuer) verify(ctx context.Context, p *parts) error {
	key := i.find(&p.header)
	if key == nil {
		i.await(ctx)
		key = i.find(&p.header)
	}
	switch {
	case i.keys.Load() == nil:
		return ErrNoKeys
	case key == nil, methods[p.header.Algorithm].Verify(p.signed, p.signature, key) != nil:
		return errSignature
	}
	return nil
}

func (i *Issuer) find(h *header) crypto.PublicKey {
	if keys := i.keys.Load(); keys != nil {
		return keys.find(h)
	}
	return nil
}

// await asks for a fetch and waits a moment for its end, unless one has just
// been or too many wait already.
func (i *Issuer) await(ctx context.Context) {
	i.mu.Lock()
	prompt, fetched := i.prompt, i.fetched
	select {
	case i.asked <- struct{}{}:
	default:
	}
	i.mu.Unlock()
	if !prompt {
		return
	}
	defer i.waiting.Add(-1)
	if i.waiting.Add(1) > maxWaiting {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-fetched:
	case <-timer.C:
	case <-ctx.Done():
	}
}

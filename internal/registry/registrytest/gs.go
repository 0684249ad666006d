package registrytest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// GS stands in for Google Cloud Storage, with what a registry uses of its
// JSON API as it is documented: media upload, get, delete, list by pages, and the
// preconditions by generation.
type GS struct {
	server *httptest.Server

	mu         sync.Mutex
	generation int64
	objects    map[string]gsObject
}

type gsObject struct {
	data       []byte
	generation int64
}

// gsPage is how many objects a page of a list has; few, so that tests turn
// pages.
const gsPage = 3

// NewGS starts a stand-in with an empty bucket that ends with the test.
func NewGS(t testing.TB) *GS {
	g := &GS{objects: map[string]gsObject{}}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /storage/v1/b/"+bucket+"/o/{name}", g.get)
	routes.HandleFunc("GET /storage/v1/b/"+bucket+"/o", g.list)
	routes.HandleFunc("POST /upload/storage/v1/b/"+bucket+"/o", g.put)
	routes.HandleFunc("DELETE /storage/v1/b/"+bucket+"/o/{name}", g.delete)
	g.server = httptest.NewServer(routes)
	t.Cleanup(g.server.Close)
	return g
}

// Location returns the place of a registry in the bucket.
func (g *GS) Location(prefix string) string {
	return "gs://" + bucket + "/" + prefix + "?endpoint=" + g.server.URL
}

// Put writes an object past all conditions.
func (g *GS) Put(name string, data []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generation++
	g.objects[name] = gsObject{data, g.generation}
}

func (g *GS) get(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	object, ok := g.objects[r.PathValue("name")]
	g.mu.Unlock()
	generation := strconv.FormatInt(object.generation, 10)
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.FormValue("ifGenerationNotMatch") == generation:
		w.WriteHeader(http.StatusNotModified)
	case r.FormValue("alt") == "media":
		w.Header().Set("X-Goog-Generation", generation)
		w.Header().Set("Content-Length", strconv.Itoa(len(object.data)))
		_, _ = w.Write(object.data)
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"size": strconv.Itoa(len(object.data))})
	}
}

func (g *GS) put(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	query := r.URL.Query()
	g.mu.Lock()
	defer g.mu.Unlock()
	// That of an object that is not there is 0.
	if want := query.Get("ifGenerationMatch"); want != "" && want != strconv.FormatInt(g.objects[query.Get("name")].generation, 10) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	g.generation++
	g.objects[query.Get("name")] = gsObject{data, g.generation}
	_, _ = io.WriteString(w, `{}`)
}

func (g *GS) delete(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.objects[r.PathValue("name")]; !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	delete(g.objects, r.PathValue("name"))
	w.WriteHeader(http.StatusNoContent)
}

func (g *GS) list(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name := range g.objects {
		if strings.HasPrefix(name, r.FormValue("prefix")) && name > r.FormValue("pageToken") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	type item struct {
		Name string `json:"name"`
	}
	page := struct {
		Items []item `json:"items,omitempty"`
		Next  string `json:"nextPageToken,omitempty"`
	}{}
	for i, name := range names {
		if i == gsPage {
			page.Next = names[i-1]
			break
		}
		page.Items = append(page.Items, item{name})
	}
	_ = json.NewEncoder(w).Encode(page)
}

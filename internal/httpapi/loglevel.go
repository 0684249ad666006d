package httpapi

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
)

const logLevelPath = "/debug/log-level"

// logLevels are the levels that can be asked for, by their names.
var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// serveLogLevel lets a caller on this machine see and change the level of the
// log, until the service ends.
func (a *API) serveLogLevel(mux *http.ServeMux) {
	if a.LogLevel == nil {
		return
	}
	handle := func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		x.route = logLevelPath
		if err := a.logLevel(x, r); err != nil {
			a.fail(x, err)
		}
	}
	mux.HandleFunc("GET "+logLevelPath, handle)
	mux.HandleFunc("PUT "+logLevelPath, handle)
}

func (a *API) logLevel(x *exchange, r *http.Request) error {
	if !fromHere(r) {
		return problem(http.StatusForbidden, "the level of the log is for callers on this machine alone, as through kubectl port-forward")
	}
	if new(http.CrossOriginProtection).Check(r) != nil {
		return problem(http.StatusForbidden, "the level of the log is not for pages of others")
	}
	if r.Method == http.MethodPut {
		const longest = 16
		text, err := io.ReadAll(io.LimitReader(r.Body, longest))
		if err != nil {
			return unreadable(x, err)
		}
		level, known := logLevels[strings.ToLower(strings.TrimSpace(string(text)))]
		if !known {
			return problem(http.StatusUnprocessableEntity, "the body must be debug, info, warn or error")
		}
		before := a.LogLevel.Level()
		a.LogLevel.Set(min(before, level)) // so that the line is written
		a.Log.LogAttrs(r.Context(), slog.LevelInfo, "log_level", x.requestAttr(), x.traceAttr(),
			slog.String("before", strings.ToLower(before.String())), slog.String("after", strings.ToLower(level.String())))
		a.LogLevel.Set(level)
	}
	x.answer(http.StatusOK, valueText, []byte(strings.ToLower(a.LogLevel.Level().String())+"\n"))
	return nil
}

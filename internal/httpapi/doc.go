// Package httpapi is the service over HTTP: routes, middleware, JSON in and
// out, problem errors, OpenAPI and its page.
//
// [New] makes an [API] from a valuer; its [API.Handler] answers everything,
// [API.OpsHandler] what belongs on an own address, and [Server] runs both and
// stops them without losing a request. A request goes through one chain
// (see [API.Handler]) to a handler, which writes its answer or returns an
// error; errors become RFC 9457 problems in one place: the message to the
// client, the cause to the log.
//
// The routes stand in one table. From it come the mux, the OpenAPI document
// and the page at /docs, so that what is described is what is served.
package httpapi

// Package web holds the demo pages: a meeting, a two-person call, a chat, and a landing page that leads to them; and the console, which is
// served beside the server API alone.
package web

import (
	"embed"
	"maps"
)

// Files holds the pages at its root, index.html among them. They are plain files without a build step; their scripts
// import the JavaScript client (package sdkjs) from /sdk/ of the same server, and below third_party/ are the stock
// socket.io clients.
//
//go:embed *.html *.css *.js *.svg third_party/socket.io-client
var Files embed.FS

// Console holds the console below console/, index.html among it, and the charts that it draws with below third_party/uplot/. All of it is
// served in one folder, with [Shared].
//
//go:embed console third_party/uplot
var Console embed.FS

// Shared holds what the console has in common with the other pages.
//
//go:embed style.css icon.svg
var Shared embed.FS

// SocketIOClient is the folder of [Files] that holds the stock socket.io client of protocol 5, with its licence.
const SocketIOClient = "third_party/socket.io-client/4.8.4"

// ContentSecurityPolicy is the Content-Security-Policy header to serve [Files] with (W3C CSP Level 3). The pages have
// no inline script and no inline style; they open WebSockets, to their own server, and play media of WebRTC.
const ContentSecurityPolicy = "default-src 'self'; " +
	"script-src 'self'; " +
	"style-src 'self'; " +
	"connect-src 'self' ws: wss:; " +
	"media-src 'self' blob: mediastream:; " +
	"img-src 'self' data:; " +
	"object-src 'none'; " +
	"frame-ancestors 'none'; " +
	"base-uri 'none'; " +
	"form-action 'none'"

// The other security headers to serve [Files] with.
const (
	// PermissionsPolicy gives camera, microphone and loudspeaker to the pages themselves, and nothing to anybody else.
	PermissionsPolicy = "camera=(self), microphone=(self), speaker-selection=(self), autoplay=(self), clipboard-write=(self), " +
		"geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=(), browsing-topics=()"
	// ReferrerPolicy keeps room names, which are in the pages' addresses, from other sites.
	ReferrerPolicy = "no-referrer"
	// ContentTypeOptions stops browsers from guessing what a file is.
	ContentTypeOptions = "nosniff"
	// CrossOriginOpenerPolicy cuts the pages off from windows of other sites.
	CrossOriginOpenerPolicy = "same-origin"
	// CrossOriginResourcePolicy keeps other sites from embedding the files.
	CrossOriginResourcePolicy = "same-origin"
)

// SecurityHeaders lists the header lines of this package by name, for a server to set on every response with [Files].
var SecurityHeaders = map[string]string{
	"Content-Security-Policy":      ContentSecurityPolicy,
	"Permissions-Policy":           PermissionsPolicy,
	"Referrer-Policy":              ReferrerPolicy,
	"X-Content-Type-Options":       ContentTypeOptions,
	"Cross-Origin-Opener-Policy":   CrossOriginOpenerPolicy,
	"Cross-Origin-Resource-Policy": CrossOriginResourcePolicy,
}

// ConsoleSecurityPolicy is the Content-Security-Policy header to serve [Console] with: it needs less than the other pages do, and talks to
// its own server alone.
const ConsoleSecurityPolicy = "default-src 'none'; " +
	"script-src 'self'; " +
	"style-src 'self'; " +
	"connect-src 'self'; " +
	"img-src 'self'; " +
	"frame-ancestors 'none'; " +
	"base-uri 'none'; " +
	"form-action 'none'; " +
	"require-trusted-types-for 'script'; " +
	"trusted-types 'none'"

// ConsoleHeaders lists the header lines to serve [Console] with.
var ConsoleHeaders = consoleHeaders()

func consoleHeaders() map[string]string {
	headers := maps.Clone(SecurityHeaders)
	headers["Content-Security-Policy"] = ConsoleSecurityPolicy
	headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), hid=(), midi=(), browsing-topics=()"
	return headers
}

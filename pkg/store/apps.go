package store

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// StoredApp is an app that the server API manages. Data is opaque to the store.
type StoredApp struct {
	ID string
	// Version rises with each change of any app.
	Version int64
	Data    []byte
}

// AnyVersion has [Store.PutApp] and [Store.DeleteApp] not look at the version; 0 is one of an app that does not exist.
const AnyVersion = -1

// ErrNoApp is the refusal of a call for an app that does not exist.
var ErrNoApp = errors.New("store: there is no such app")

// maxAppData bounds what is stored of an app, in bytes.
const maxAppData = 256 << 10

// versionsField is the field of the apps' hash that counts versions.
const versionsField = "."

// PutApp stores an app if it has the version that the caller knows, tells all gateways, and gives its new version. It waits for
// Redis. Refusals: bad_request, too_large, conflict, unavailable.
func (s *Store) PutApp(ctx context.Context, id string, data []byte, version int64) (int64, error) {
	if len(data) > maxAppData {
		return 0, wire.Errorf(wire.CodeTooLarge, "an app has at most %d bytes", maxAppData)
	}
	return s.changeApp(ctx, id, version, "put", data)
}

// DeleteApp deletes an app if it has the version that the caller knows, and tells all gateways. It waits for Redis. Refusals: bad_request,
// conflict, [ErrNoApp], unavailable.
func (s *Store) DeleteApp(ctx context.Context, id string, version int64) error {
	_, err := s.changeApp(ctx, id, version, "delete", nil)
	return err
}

func (s *Store) changeApp(ctx context.Context, id string, version int64, how string, data []byte) (int64, error) {
	if !validApp(id) || id == versionsField || version < AnyVersion {
		return 0, wire.Errorf(wire.CodeBadRequest, "not an app id, or not a version")
	}
	reply, err := s.roster.app.Run(ctx, s.client, []string{appsKey, bulletinKey},
		maxAnnouncements, AnnounceApp, id, version, how, data).Slice()
	if err != nil {
		return 0, s.failed(err)
	}
	switch status, _ := at(reply, 0).(string); status {
	case "ok":
		return integer(reply, 1), nil
	case "no_app":
		return 0, ErrNoApp
	}
	return 0, wire.Errorf(wire.CodeConflict, "the app has changed meanwhile")
}

// App reads an app. It waits for Redis. Refusals: [ErrNoApp], unavailable.
func (s *Store) App(ctx context.Context, id string) (*StoredApp, error) {
	values, err := s.client.HMGet(ctx, appsKey, id).Result()
	if err != nil {
		return nil, s.failed(err)
	}
	text, ok := at(values, 0).(string)
	if !ok || id == versionsField {
		return nil, ErrNoApp
	}
	return parseStoredApp(id, text)
}

// Apps reads all apps. known is false when Redis has none and never had any, or has lost them. It waits for Redis. Refusals:
// unavailable.
func (s *Store) Apps(ctx context.Context) (apps []StoredApp, known bool, err error) {
	all, err := s.client.HGetAll(ctx, appsKey).Result()
	if err != nil {
		return nil, false, s.failed(err)
	}
	for id, text := range all {
		if id == versionsField {
			continue
		}
		app, err := parseStoredApp(id, text)
		if err != nil {
			return nil, false, err
		}
		apps = append(apps, *app)
	}
	return apps, len(all) > 0, nil
}

// PutBackApps stores apps again, with their versions, after Redis has lost all of them. Where it has any, or another gateway has done so,
// it does nothing. It waits for Redis.
func (s *Store) PutBackApps(ctx context.Context, apps []StoredApp) error {
	fields := make([]any, 0, 2*len(apps)+1)
	last := int64(0)
	for _, app := range apps {
		last = max(last, app.Version)
		fields = append(fields, app.ID, strconv.FormatInt(app.Version, 10)+" "+string(app.Data))
	}
	// The count may have gone further, for apps that are no more: a jump keeps a version from meaning two things.
	fields = append([]any{strconv.FormatInt(last+versionsJump, 10)}, fields...)
	if err := s.roster.putBackApps.Run(ctx, s.client, []string{appsKey}, fields...).Err(); err != nil {
		return s.failed(err)
	}
	return nil
}

// versionsJump is by how much versions rise when apps are put back.
const versionsJump = 1000

func parseStoredApp(id, text string) (*StoredApp, error) {
	number, data, ok := strings.Cut(text, " ")
	version, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return nil, wire.Errorf(wire.CodeInternal, "the app's record in the store is damaged")
	}
	return &StoredApp{ID: id, Version: version, Data: []byte(data)}, nil
}

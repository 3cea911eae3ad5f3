package wire

import "encoding/json"

// ICEServer is an RTCIceServer dictionary (W3C WebRTC, section 4.2.4).
type ICEServer struct {
	URLs       []string
	Username   string
	Credential string
}

// ICE brings fresh ICE servers: before the credentials of the old ones expire, and when they are others.
type ICE struct {
	Servers []ICEServer
	// Expires is when the first of the credentials ends to be good, in Unix milliseconds; 0 if none does.
	Expires int64
}

// AskICE asks for fresh ICE servers. Answered by [ICEServers].
type AskICE struct{}

// ICEServers answers [AskICE].
type ICEServers struct{ ICE }

// Type names the message on the wire.
func (*ICE) Type() Type { return TypeICE }

// Type names the message on the wire.
func (*AskICE) Type() Type { return TypeICE }

func (*AskICE) decode(*fields)  {}
func (*AskICE) encode(*encoder) {}

func (m *ICE) encode(e *encoder) {
	encodeICEServers(e, m.Servers)
	e.count("expires", m.Expires)
}

func (m *ICE) decode(f *fields) {
	m.Servers = decodeICEServers(f)
	m.Expires = f.integer("expires", 0)
}

// iceServerSize guesses the length of an encoded server.
const iceServerSize = 256

func encodeICEServers(e *encoder, servers []ICEServer) {
	e.key("iceServers")
	e.b = append(e.b, '[')
	for i, server := range servers {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.open()
		e.key("urls")
		for j, url := range server.URLs {
			e.b = append(e.b, "[,"[min(j, 1)])
			e.b = appendString(e.b, url)
		}
		e.b = append(e.b, ']', ',')
		e.text("username", server.Username)
		e.text("credential", server.Credential)
		e.close()
	}
	e.b = append(e.b, ']', ',')
}

func decodeICEServers(f *fields) (servers []ICEServer) {
	f.each("iceServers", func(f *fields) {
		server := ICEServer{Username: f.text("username"), Credential: f.text("credential")}
		if err := json.Unmarshal(f.payload("urls"), &server.URLs); err != nil || len(server.URLs) == 0 {
			f.fail(CodeBadRequest, "urls must be a list of strings")
		}
		servers = append(servers, server)
	})
	return servers
}

package wire

// What the tests outside of the package look at inside it.
var (
	ErrSyntax    = errSyntax
	ErrDepth     = errDepth
	ErrKeys      = errKeys
	ErrDuplicate = errDuplicate
	ErrObject    = errObject
	ErrUTF8      = errUTF8
)

// Member is one field that the scanner found.
type Member struct{ Key, Value string }

// Scan splits an object as decoding does.
func Scan(b []byte, maxDepth, maxKeys int) ([]Member, error) {
	list, err := scanObject(b, nil, maxDepth, maxKeys)
	var members []Member
	for _, f := range list {
		members = append(members, Member{Key: string(f.key), Value: string(f.value)})
	}
	return members, err
}

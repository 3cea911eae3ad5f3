package wiredoc

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// Object is a JSON object of the protocol.
type Object struct {
	Name   string // of its Go type
	Doc    string
	Fields []*Field
	// Rules are what decoding asks for beyond single fields, in its own words.
	Rules []string
}

// Field is one of its fields.
type Field struct {
	Key string
	Doc string
	// Kind is how it is read: a method of the decoder, as "text" or "integer".
	Kind string
	// Valid names what a string has to be, a function of the package; Words are those that it may be.
	Valid string
	Words []string
	// Least and Most bound a number, and how long a list is; 0 for no bound of its own.
	Least, Most int64
	// Of is the type of what is within it, if it is one of the package's; List and Map say that there are many of them.
	Of        string
	List, Map bool
	// Texts is a list of strings.
	Texts bool
	// Null is allowed.
	Null bool
	// Need is true where decoding refuses a message without it, Sent where encoding always writes it.
	Need, Sent bool
}

// codec reads what the decode and encode methods of one type do.
type codec struct {
	*source
	typ    string // whose fields are read
	fields map[string]*Field
	keys   []string
	named  map[string]string // keys by the Go field that they are assigned to
	inline map[string]*Object
	rules  []string
	// derived are the keys that follow from others: written, and of no Go field.
	derived []string
	err     error
}

// object reads a type from its methods; inline gets the types that have none, as they are read within others.
func (s *source) object(typ string, inline map[string]*Object) (*Object, error) {
	decode, encode := s.method(typ, "decode"), s.method(typ, "encode")
	if decode == nil || encode == nil {
		return nil, fmt.Errorf("%s has no decode or no encode", typ)
	}
	c := &codec{source: s, typ: typ, fields: make(map[string]*Field), named: make(map[string]string), inline: inline}
	c.decode(decode.Body)
	read := slices.Clone(c.keys)
	c.keys = nil
	c.encode(typ, encode, true)
	for _, key := range read {
		if !slices.Contains(c.keys, key) && key != "room" { // which an event has in front
			c.fail("%s is read and never written", key)
		}
	}
	return c.result(), c.err
}

// method finds a method of a type, or of what is embedded in it; nil if there is none.
func (s *source) method(typ, name string) *ast.FuncDecl {
	if function := s.functions[typ+"."+name]; function != nil || s.structs[typ] == nil {
		return function
	}
	for _, m := range s.structs[typ].fields {
		if m.name == typeName(m.typ) {
			if function := s.method(m.name, name); function != nil {
				return function
			}
		}
	}
	return nil
}

func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(c.typ+": "+format, args...)
	}
}

func (c *codec) result() *Object {
	o := &Object{Name: c.typ, Rules: c.rules}
	if st := c.structs[c.typ]; st != nil {
		o.Doc = st.doc
	}
	for _, key := range c.keys {
		field := c.fields[key]
		if !slices.Contains(c.derived, key) {
			c.finish(field)
		}
		o.Fields = append(o.Fields, field)
	}
	return o
}

// decode notes what a decoding function does with its fields.
func (c *codec) decode(body ast.Node) {
	ast.Inspect(body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncLit:
			return false // read along with the call that it is an argument of
		case *ast.AssignStmt:
			for i, value := range node.Rhs {
				if field, ok := node.Lhs[i].(*ast.SelectorExpr); ok {
					c.noteName(field.Sel.Name, value)
				}
			}
		case *ast.KeyValueExpr:
			if field, ok := node.Key.(*ast.Ident); ok {
				c.noteName(field.Name, node.Value)
			}
		case *ast.CallExpr:
			c.decodeCall(node)
		}
		return true
	})
}

// noteName remembers which Go field a key is assigned to.
func (c *codec) noteName(field string, value ast.Expr) {
	if call, ok := value.(*ast.CallExpr); ok {
		if _, key, ok := c.access(call, "f"); ok {
			c.named[key] = field
		}
	}
}

// access gives the method and the key of a call like f.text("key").
func (c *codec) access(call *ast.CallExpr, of string) (method, key string, ok bool) {
	selector, isSelector := call.Fun.(*ast.SelectorExpr)
	if !isSelector || len(call.Args) == 0 {
		return "", "", false
	}
	if x, isIdent := selector.X.(*ast.Ident); !isIdent || x.Name != of {
		return "", "", false
	}
	if literal, isLiteral := call.Args[0].(*ast.BasicLit); isLiteral {
		key, _ = strconv.Unquote(literal.Value)
		return selector.Sel.Name, key, true
	}
	return selector.Sel.Name, "", selector.Sel.Name == "fail"
}

func (c *codec) decodeCall(call *ast.CallExpr) {
	if method, key, ok := c.access(call, "f"); ok {
		c.decodeField(method, key, call.Args)
		return
	}
	switch function := call.Fun.(type) {
	case *ast.Ident:
		switch {
		case function.Name == "ValidText":
			c.field("text").Valid = function.Name
		case !passes(call, "f"):
		case function.Name == "checkKept":
			c.rule("messages are kept of the topics `chat` and `whiteboard`")
		default:
			c.decode(c.functions[function.Name].Body)
		}
	case *ast.SelectorExpr: // m.Embedded.decode(f)
		if embedded, ok := function.X.(*ast.SelectorExpr); ok && function.Sel.Name == "decode" && passes(call, "f") {
			c.decode(c.functions[embedded.Sel.Name+".decode"].Body)
		}
	}
}

// passes reports whether a call has a variable as its first argument.
func passes(call *ast.CallExpr, name string) bool {
	if len(call.Args) == 0 {
		return false
	}
	x, ok := call.Args[0].(*ast.Ident)
	return ok && x.Name == name
}

func (c *codec) field(key string) *Field {
	if c.fields[key] == nil {
		c.fields[key] = &Field{Key: key}
		c.keys = append(c.keys, key)
	}
	return c.fields[key]
}

func (c *codec) decodeField(method, key string, args []ast.Expr) {
	switch method {
	case "fail":
		c.failure(args[1:])
		return
	case "need":
		c.field(key).Need = true
		return
	case "get":
		c.field(key)
		return
	case "isNull":
		c.field(key).Null = true
		return
	}
	field := c.field(key)
	field.Kind = method
	switch method {
	case "text", "boolean", "object":
	case "required", "optional":
		field.Kind, field.Need = "text", field.Need || method == "required"
		field.Valid = args[1].(*ast.Ident).Name
	case "payload":
		field.Need = true
	case "word":
		for _, arg := range args[1:] {
			word, ok := c.text(arg)
			if !ok {
				c.fail("%s may be something that is no constant", key)
			}
			field.Words = append(field.Words, word)
		}
	case "integer", "count":
		least, _ := c.text(args[1])
		field.Least, _ = strconv.ParseInt(least, 10, 64)
	case "nested", "each":
		field.List = method == "each"
		if within, ok := args[1].(*ast.FuncLit); ok {
			c.decodeWithin(field, within)
		}
	default:
		c.fail("%s is read by %s, which is not known here", key, method)
	}
}

// decodeWithin reads the objects within a field of which the type has no decode of its own.
func (c *codec) decodeWithin(field *Field, within *ast.FuncLit) {
	typ := c.elementOf(field.Key)
	if typ == "" || c.functions[typ+".decode"] != nil {
		return
	}
	body := ast.Node(within.Body)
	ast.Inspect(within.Body, func(node ast.Node) bool { // of a map: what it does for each of the rooms
		if inner, ok := node.(*ast.FuncLit); ok {
			body = inner.Body
		}
		return true
	})
	inner := &codec{source: c.source, typ: typ, fields: make(map[string]*Field), named: make(map[string]string), inline: c.inline}
	inner.decode(body)
	c.inline[typ] = inner.result()
	if inner.err != nil {
		c.err = inner.err
	}
}

// failure notes what decoding says when it refuses.
func (c *codec) failure(args []ast.Expr) {
	text, ok := c.text(args[0])
	if !ok {
		return
	}
	for _, arg := range args[1:] {
		value, known := c.text(arg)
		if !known {
			return // about what has come, and not about what may
		}
		text = strings.Replace(text, "%d", value, 1)
	}
	if key, isObject := strings.CutSuffix(strings.TrimSuffix(text, " or null"), " must be an object"); isObject {
		c.field(key).Kind = "json-object"
		return
	}
	c.rule(text)
}

func (c *codec) rule(text string) {
	if !slices.Contains(c.rules, text) {
		c.rules = append(c.rules, text)
	}
}

// encode notes what an encoding function writes: always where it is no part of a condition.
func (c *codec) encode(typ string, function *ast.FuncDecl, always bool) {
	if names := function.Type.Params.List[0].Names; len(names) > 0 { // without one, it writes nothing
		c.encodeBlock(typ, names[0].Name, function.Body, always)
	}
}

func (c *codec) encodeBlock(typ, encoder string, body *ast.BlockStmt, always bool) {
	for _, statement := range body.List {
		switch statement := statement.(type) {
		case *ast.IfStmt:
			c.encodeBlock(typ, encoder, statement.Body, false)
		case *ast.ExprStmt:
			if call, ok := statement.X.(*ast.CallExpr); ok {
				c.encodeCall(typ, encoder, call, always)
			}
		}
	}
}

func (c *codec) encodeCall(typ, encoder string, call *ast.CallExpr, always bool) {
	if method, key, ok := c.access(call, encoder); ok {
		if c.fields[key] == nil {
			if method != "bool" { // what follows from another field, and needs not be read
				c.fail("%s is written and never read", key)
				return
			}
			c.fields[key] = &Field{Key: key, Kind: "boolean"}
			c.derived = append(c.derived, key)
		}
		c.keys = append(c.keys, key)
		switch method {
		case "str", "int", "bool", "nullable", "objectOrEmpty", "rawOrNull", "nested", "key":
			c.fields[key].Sent = always
		case "text", "count", "flag", "object", "raw":
		default:
			c.fail("%s is written by %s, which is not known here", key, method)
		}
		c.fields[key].Null = c.fields[key].Null || method == "nullable" || method == "rawOrNull"
		return
	}
	if !passes(call, encoder) {
		return
	}
	switch function := call.Fun.(type) {
	case *ast.Ident:
		c.encode(typ, c.functions[function.Name], always)
	case *ast.SelectorExpr: // m.encodeHead(e), m.Embedded.encode(e)
		if embedded, ok := function.X.(*ast.SelectorExpr); ok {
			typ = embedded.Sel.Name
		}
		c.encode(typ, c.functions[typ+"."+function.Sel.Name], always)
	}
}

// member finds the Go field of a key, also in what is embedded.
func (c *codec) member(typ, key string) (member, bool) {
	st := c.structs[typ]
	if st == nil {
		return member{}, false
	}
	for _, m := range st.fields {
		if m.name == c.named[key] || c.named[key] == "" && strings.EqualFold(m.name, key) || strings.EqualFold(m.name, strings.TrimPrefix(key, "ice")) && m.name == "Servers" {
			return m, true
		}
		if m.name == typeName(m.typ) {
			if found, ok := c.member(m.name, key); ok {
				return found, true
			}
		}
	}
	return member{}, false
}

// elementOf is the struct that a key's values are.
func (c *codec) elementOf(key string) string {
	m, ok := c.member(c.typ, key)
	if !ok || c.structs[typeName(m.typ)] == nil {
		return ""
	}
	return typeName(m.typ)
}

// finish adds what the Go field says.
func (c *codec) finish(field *Field) {
	m, ok := c.member(c.typ, field.Key)
	if !ok {
		c.fail("no field is called as the key %s", field.Key)
		return
	}
	field.Doc = m.doc
	field.Of = c.elementOf(field.Key)
	_, field.Map = m.typ.(*ast.MapType)
	if list, ok := m.typ.(*ast.ArrayType); ok && typeName(list) == "string" {
		field.Texts = true
	}
	if typeName(m.typ) == "json.RawMessage" && c.structs[m.name] != nil { // a type of ours, kept as it came
		field.Of, field.Kind = m.name, "nested"
	}
	if field.Kind == "" {
		c.fail("nothing says what %s is", field.Key)
	}
}
